"""The channel against Debian's mosquitto with the configuration that we ship: its access list and its limits. The
devices are played by mosquitto_pub and mosquitto_sub alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.channels.mqtt import MAILBOX_MAX, RECEIVE_MAXIMUM, MqttChannel, dialler
from edge_agent.intake import Intake
from edge_agent.outbox import OutboxLimits, open_outbox
from tests.channels.clients import listening, publish
from tests.channels.rig import PREFIX, Rig, push_ack, rec_topic, record, settled
from tests.support.clock import seeded
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import until
from wire.mqtt_link import BrokerAddress
from wire.records import Event, decode_record
from wire.topics import Lane

pytestmark = pytest.mark.peer

BOUND_S = 20.0
VERSIONS = pytest.mark.parametrize("version", [4, 5], ids=["mqtt3.1.1", "mqtt5"])


@dataclass(frozen=True)
class Broker:
    """One broker, two ways in."""

    box: BrokerAddress
    devices: BrokerAddress


@pytest.fixture
def broker(mosquitto: Mosquitto) -> Broker:
    return Broker(mosquitto.edge("gate-1", terminal_prefixes=[PREFIX]), mosquitto.terminals())


@asynccontextmanager
async def running(channel: MqttChannel) -> AsyncIterator[None]:
    """The channel from its subscription until it is killed, as a process is: nothing is finished."""
    up = asyncio.Event()
    run = asyncio.create_task(channel.run(up.set))
    try:
        async with asyncio.timeout(BOUND_S):
            await up.wait()
        yield
    finally:
        run.cancel()
        with suppress(asyncio.CancelledError):
            await run


def rig_on(broker: Broker, version: int = 5) -> Rig:
    """Everything new but the name by which the broker knows us: a box after its restart."""
    rig = Rig()
    rig.channel._connect = dialler(broker.box, "campus-edge-gate-1-terminals", version)
    return rig


@VERSIONS
async def test_the_device_hears_push_ack_after_the_commit_and_not_before(broker: Broker, version: int) -> None:
    rig = rig_on(broker, version)
    async with listening(broker.devices, f"{PREFIX}/1026701") as device, running(rig.channel):
        rig.intake.gate.clear()
        await publish(broker.devices, rec_topic(), record(1))
        await until(lambda: rig.intake.waiting == 1)
        await settled()
        assert device.messages == []
        rig.intake.gate.set()
        await until(lambda: bool(device.messages))
    assert device.messages == [push_ack(1)]


@VERSIONS
async def test_what_was_not_committed_when_we_were_killed_comes_again(broker: Broker, version: int) -> None:
    killed = rig_on(broker, version)
    async with running(killed.channel):
        killed.intake.gate.clear()
        await publish(broker.devices, rec_topic(), record(1), record(2))
        await until(lambda: killed.intake.waiting == 2)
    # Also what is said while nobody is there.
    await publish(broker.devices, rec_topic(), record(3))
    again = rig_on(broker, version)
    async with listening(broker.devices, f"{PREFIX}/1026701") as device, running(again.channel):
        await until(lambda: len(device.messages) == 3)
    assert [event.source and event.source.record_no for event in again.intake.events()] == [1, 2, 3]
    third = rig_on(broker, version)
    async with running(third.channel):
        await publish(broker.devices, rec_topic(), record(4))
        await until(lambda: bool(third.intake.events()))
    assert [event.source and event.source.record_no for event in third.intake.events()] == [4]


async def test_an_mqtt_5_broker_holds_back_what_does_not_fit_the_mailbox(broker: Broker) -> None:
    rig = rig_on(broker)
    async with running(rig.channel):
        rig.intake.gate.clear()
        await publish(broker.devices, rec_topic(), *(record(number) for number in range(2 * RECEIVE_MAXIMUM)))
        await until(lambda: rig.channel.health().waiting == RECEIVE_MAXIMUM)
        await asyncio.sleep(0.1)
        assert rig.channel.health().waiting == RECEIVE_MAXIMUM
        rig.intake.gate.set()
        await until(lambda: len(rig.intake.events()) == 2 * RECEIVE_MAXIMUM)


@pytest.mark.parametrize(("version", "qos"), [(4, 1), (5, 0)], ids=["mqtt3.1.1 qos 1", "mqtt5 qos 0"])
async def test_what_no_broker_holds_back_waits_in_the_socket(broker: Broker, version: int, qos: int) -> None:
    rig = rig_on(broker, version)
    count = 3 * MAILBOX_MAX
    async with running(rig.channel):
        rig.intake.gate.clear()
        await publish(broker.devices, rec_topic(), *(record(number) for number in range(count)), qos=qos)
        await until(lambda: rig.channel.health().waiting >= MAILBOX_MAX)
        await asyncio.sleep(0.1)
        assert rig.channel.health().waiting < 2 * MAILBOX_MAX
        rig.intake.gate.set()
        await until(lambda: len(rig.intake.events()) == count)


async def test_online_is_answered(broker: Broker) -> None:
    rig = rig_on(broker)
    async with listening(broker.devices, f"{PREFIX}/1026701") as device, running(rig.channel):
        await publish(
            broker.devices, f"{PREFIX}/basic", {"operator": "Online", "info": {"facesluiceId": "1026701"}}, qos=0
        )
        await until(lambda: bool(device.messages))
    assert device.messages[0][1]["operator"] == "Online-Ack"


async def test_a_real_outbox_keeps_two_swipes_of_one_second_and_a_record_sent_again_once(
    broker: Broker, tmp_path: Path
) -> None:
    rig = rig_on(broker)
    async with open_outbox(
        tmp_path / "outbox.sqlite", clock=rig.clock, random=seeded(1), edge="gate-1", limits=OutboxLimits()
    ) as outbox:
        intake = Intake(outbox, edge="gate-1", clock=rig.clock, random=seeded(2), appended=lambda _: None)
        committing = asyncio.create_task(intake.run())
        rig.intake.accept_each = intake.accept_each
        async with listening(broker.devices, f"{PREFIX}/1026701") as device, running(rig.channel):
            swipes = [
                record(1),
                record(2, customId="20260002"),
                record(1, Sendintime=0),
                record(2, customId="20260003"),
            ]
            await publish(broker.devices, rec_topic(), *swipes)
            await until(lambda: len(device.messages) == 4)
        await intake.finish()
        committing.cancel()
        with suppress(asyncio.CancelledError):
            await committing
        records = [decode_record(row.body) for row in await outbox.read(Lane.D, 0, 100, 1 << 20)]
        conflicts = [decode_record(row.body) for row in await outbox.read(Lane.A, 0, 100, 1 << 20)]
    assert [message for _, message in device.messages] == [push_ack(number)[1] for number in (1, 2, 1, 2)]
    assert [event.source and event.source.record_no for event in records if isinstance(event, Event)] == [1, 2]
    assert [event.topic for event in conflicts if isinstance(event, Event)] == ["Delivery/Conflict"]
    assert rig.counted("repeats", "conflicts") == [1, 1]
