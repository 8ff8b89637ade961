"""The carrier before Debian's mosquitto with the configuration that we ship."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from edge_agent.uplink.carrier import INBOX_MAX, MqttCarrier
from tests.support.mosquitto import Mosquitto
from tests.support.waiting import until
from wire.mqtt_link import BrokerAddress, LinkError, Message, MqttLink
from wire.topics import Down, Lane, Up, down_topic, up_filter, up_topic

pytestmark = pytest.mark.peer

EDGE = "gate-1"


class Campus:
    """The other end: hears what boxes publish."""

    def __init__(self) -> None:
        self.heard: list[Message] = []
        self.link: MqttLink | None = None

    async def say(self, campus: str, leaf: Down, frame: bytes) -> None:
        assert self.link is not None
        await self.link.publish(down_topic(campus, EDGE, leaf), frame)


@asynccontextmanager
async def campus_at(mosquitto: Mosquitto) -> AsyncIterator[Campus]:
    campus = Campus()
    campus.link = await MqttLink.connect(mosquitto.aggregator(), campus.heard.append, client_id="campus")
    try:
        await campus.link.subscribe(up_filter(mosquitto.campus))
        yield campus
    finally:
        await campus.link.close()


@asynccontextmanager
async def carrier_at(mosquitto: Mosquitto, address: BrokerAddress) -> AsyncIterator[MqttCarrier]:
    carrier = await MqttCarrier.dial(address, campus=mosquitto.campus, edge=EDGE)
    try:
        yield carrier
    finally:
        await carrier.close()


async def test_frames_travel_up_and_down_on_the_topics_of_the_box(mosquitto: Mosquitto) -> None:
    async with campus_at(mosquitto) as campus, carrier_at(mosquitto, mosquitto.edge(EDGE)) as carrier:
        for leaf in (*Up, *Lane):
            carrier.send(leaf, b"\x01\x00" + leaf.value.encode())
        await until(lambda: len(campus.heard) == len(Up) + len(Lane))
        assert [(message.topic, message.payload[2:].decode()) for message in campus.heard] == [
            (up_topic(mosquitto.campus, EDGE, leaf), leaf.value) for leaf in (*Up, *Lane)
        ]
        assert not any(message.retain for message in campus.heard)
        for leaf in Down:
            await campus.say(mosquitto.campus, leaf, leaf.value.encode())
        assert [await carrier.receive() for _ in Down] == [(leaf, leaf.value.encode()) for leaf in Down]
        await until(lambda: not carrier.unsent())


async def test_a_frame_that_the_broker_refuses_ends_the_connection_and_says_why(mosquitto: Mosquitto) -> None:
    """A box with another one's password may not speak for it."""
    async with carrier_at(mosquitto, mosquitto.edge("gate-2")) as carrier, asyncio.timeout(60):
        carrier.send(Up.HELLO, b"I am gate-1")
        with pytest.raises(LinkError, match=r"(?i)not authorized"):
            await carrier.receive()


async def test_a_wrong_password_is_told_from_a_broker_that_is_away(mosquitto: Mosquitto) -> None:
    right = mosquitto.edge(EDGE)
    wrong = BrokerAddress(host=right.host, port=right.port, username=right.username, password="wrong")
    with pytest.raises(LinkError):
        await MqttCarrier.dial(wrong, campus=mosquitto.campus, edge=EDGE)
    mosquitto.kill9()
    with pytest.raises(OSError, match="refused"):
        await MqttCarrier.dial(right, campus=mosquitto.campus, edge=EDGE)
    mosquitto.start()


async def test_a_broker_that_dies_ends_the_connection_for_receiver_and_sender(mosquitto: Mosquitto) -> None:
    async with carrier_at(mosquitto, mosquitto.edge(EDGE)) as carrier:
        mosquitto.kill9()
        async with asyncio.timeout(60):
            with pytest.raises(LinkError):
                await carrier.receive()
        with pytest.raises(LinkError):
            carrier.send(Up.HELLO, b"hello")
        mosquitto.start()


async def test_a_second_box_of_the_same_name_throws_the_first_one_out(mosquitto: Mosquitto) -> None:
    address = mosquitto.edge(EDGE)
    async with carrier_at(mosquitto, address) as first, carrier_at(mosquitto, address) as second, asyncio.timeout(60):
        with pytest.raises(LinkError):
            await first.receive()
        second.send(Up.HELLO, b"still here")


async def test_what_the_broker_had_kept_for_us_is_somebodys_old_word(mosquitto: Mosquitto) -> None:
    """Nothing of ours is retained; what is, was put there by someone else or by a mistake."""
    carrier = MqttCarrier(mosquitto.campus, EDGE)
    topic = down_topic(mosquitto.campus, EDGE, Down.COMMAND)
    carrier._on_message(Message(topic=topic, payload=b"open the door", qos=1, retain=True, token=0))
    carrier._on_message(Message(topic="campus/v1/x/y/down/joke", payload=b"", qos=1, retain=False, token=0))
    carrier._on_message(Message(topic=topic, payload=b"now", qos=1, retain=False, token=0))
    assert await carrier.receive() == (Down.COMMAND, b"now")
    assert carrier.dropped_frames == 2


async def test_a_box_that_does_not_keep_up_drops_frames_and_stays_connected(mosquitto: Mosquitto) -> None:
    """Acks are cumulative: the ones that are dropped cost a resend."""
    carrier = MqttCarrier(mosquitto.campus, EDGE)
    topic = down_topic(mosquitto.campus, EDGE, Down.ACK)
    for number in range(INBOX_MAX + 10):
        carrier._on_message(Message(topic=topic, payload=str(number).encode(), qos=1, retain=False, token=0))
    assert carrier.dropped_frames == 10
    assert await carrier.receive() == (Down.ACK, b"0")


async def test_closing_twice_does_no_harm(mosquitto: Mosquitto) -> None:
    carrier = await MqttCarrier.dial(mosquitto.edge(EDGE), campus=mosquitto.campus, edge=EDGE)
    await carrier.close()
    await carrier.close()
    with pytest.raises(LinkError):
        carrier.send(Lane.A, b"too late")
