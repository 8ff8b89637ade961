"""Both brokers a demo may find: they start, carry, are killed, and come back on the same port."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from simulators.broker import (
    HOST,
    EmbeddedBroker,
    Flavour,
    demo_password,
    find_broker,
    find_mosquitto,
    iotcore,
    mosquitto,
)
from simulators.children import Child, Supervisor, free_ports, wait_for_port
from tests.support.peers import missing
from tests.support.waiting import until
from wire.mqtt_link import BrokerAddress, LinkError, Message, MqttLink

pytestmark = [pytest.mark.processes, pytest.mark.peer]

USER, PASSWORD = "demo", demo_password()


def address(port: int, password: str = PASSWORD) -> BrokerAddress:
    return BrokerAddress(host=HOST, port=port, username=USER, password=password)


def prepared(flavour: Flavour, folder: Path) -> EmbeddedBroker:
    device_port, uplink_port = free_ports(2)
    if flavour is Flavour.IOTCORE:
        return iotcore(folder, {USER: PASSWORD}, device_port=device_port, uplink_port=uplink_port)
    if find_mosquitto() is None:
        missing("mosquitto", "mosquitto")
    config = folder / "mosquitto.conf"
    config.write_text(f"listener {device_port} {HOST}\nallow_anonymous true\nmax_inflight_messages 1000\n")
    return mosquitto(config, device_port)


@pytest.fixture(params=list(Flavour))
async def running(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[EmbeddedBroker, Supervisor]]:
    broker = prepared(request.param, tmp_path)
    children = Supervisor(tmp_path)
    try:
        await up(broker, children.start(broker.program))
        yield broker, children
    finally:
        await children.close()


async def up(broker: EmbeddedBroker, child: Child) -> None:
    await wait_for_port(child, broker.device_port)
    await wait_for_port(child, broker.uplink_port)


async def carry(broker: EmbeddedBroker, payload: bytes) -> list[bytes]:
    """A device speaks 3.1.1, an agent listens with MQTT 5; both on the port meant for them."""
    got: list[bytes] = []
    arrived = asyncio.Event()

    def take(message: Message) -> None:
        got.append(message.payload)
        arrived.set()

    ears = address(broker.uplink_port)
    mouth = address(broker.device_port)
    listener = await MqttLink.connect(ears, take, client_id="agent", version=5)
    await listener.subscribe("mqtt/face/#")
    speaker = await MqttLink.connect(mouth, take, client_id="1026701", version=4)
    await speaker.publish("mqtt/face/1026701/Rec", payload)
    async with asyncio.timeout(60):
        await arrived.wait()
    await speaker.close()
    await listener.close()
    return got


async def test_a_picture_sized_message_crosses_from_a_device_to_an_agent(
    running: tuple[EmbeddedBroker, Supervisor],
) -> None:
    payload = os.urandom(300_000)
    assert await carry(running[0], payload) == [payload]


async def test_a_killed_broker_comes_back_on_its_ports(running: tuple[EmbeddedBroker, Supervisor]) -> None:
    broker, children = running
    link = await MqttLink.connect(address(broker.device_port), lambda _: None, client_id="x", version=4)
    for death in (1, 2):
        assert children.kill("broker")
        child = children.children["broker"]
        async with asyncio.timeout(60):
            while child.life.starts <= death:
                await child.changed.wait()
                child.changed.clear()
        await up(broker, child)
        assert await carry(broker, b"again") == [b"again"]
    async with asyncio.timeout(60):
        await link.closed.wait()
    assert isinstance(link.cause, LinkError)


async def test_acknowledgements_given_out_of_order_leave_in_order(
    running: tuple[EmbeddedBroker, Supervisor],
) -> None:
    # The embedded broker ends a connection whose PUBACKs come in another order than the messages went.
    broker, _ = running
    got: list[Message] = []
    listener = await MqttLink.connect(address(broker.uplink_port), got.append, client_id="agent", manual_ack=True)
    await listener.subscribe("t/#")
    speaker = await MqttLink.connect(address(broker.device_port), got.append, client_id="x", version=4)
    for round_no in (1, 2, 3):
        for number in range(20):
            await speaker.publish("t/x", b"%d" % number)
        await until(lambda rounds=round_no: len(got) == 20 * rounds)
        for message in reversed(got[-20:]):
            listener.ack(message)
    await speaker.publish("t/x", b"last")
    await until(lambda: got[-1].payload == b"last")
    assert not listener.closed.is_set()
    await speaker.close()
    await listener.close()


async def test_the_embedded_broker_refuses_a_wrong_password(tmp_path: Path) -> None:
    broker = prepared(Flavour.IOTCORE, tmp_path)
    children = Supervisor(tmp_path)
    try:
        await up(broker, children.start(broker.program))
        for port, version in ((broker.device_port, 4), (broker.uplink_port, 5)):
            with pytest.raises(LinkError):
                await MqttLink.connect(address(port, "guess"), lambda _: None, client_id="x", version=version)
    finally:
        await children.close()
    assert (tmp_path / "iotcore.toml").stat().st_mode & 0o077 == 0


def test_mosquitto_is_found_where_debian_hides_it_and_preferred(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def which(name: str, path: str) -> str | None:
        asked.extend(path.split(os.pathsep))
        return None

    assert find_mosquitto(which) is None
    assert "/usr/sbin" in asked
    monkeypatch.setattr("simulators.broker.find_mosquitto", lambda: "/usr/sbin/mosquitto")
    assert find_broker() is Flavour.MOSQUITTO
    monkeypatch.setattr("simulators.broker.find_mosquitto", lambda: None)
    assert find_broker() is Flavour.IOTCORE
