"""One connection to Debian's mosquitto: what it carries, how it ends, and that nothing is left behind."""

import asyncio
import gc
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from simulators.children import free_ports
from tests.support.mosquitto import CAMPUS, AnonymousBroker, Mosquitto
from tests.support.waiting import until
from wire.mqtt_link import BrokerAddress, LinkError, LinkRefused, Message, MqttLink
from wire.topics import Up, up_filter, up_topic

pytestmark = pytest.mark.peer


@asynccontextmanager
async def connected(
    address: BrokerAddress, client_id: str, on_message: Callable[[Message], None] = lambda _message: None, **more: Any
) -> AsyncIterator[MqttLink]:
    link = await MqttLink.connect(address, on_message, client_id=client_id, **more)
    try:
        yield link
    finally:
        await link.close()


@pytest.mark.parametrize("version", [4, 5])
@pytest.mark.parametrize("qos", [0, 1])
async def test_messages_arrive_as_they_were_sent_and_in_order(
    anonymous_broker: AnonymousBroker, version: int, qos: int
) -> None:
    heard: list[Message] = []
    address = anonymous_broker.address
    async with (
        connected(address, "hears", heard.append, version=version) as hears,
        connected(address, "says", version=version) as says,
    ):
        await hears.subscribe("a/+", qos=qos)
        payloads = [bytes([number]) * number for number in range(200)]
        for payload in payloads:
            await says.publish("a/b", payload, qos=qos)
        await until(lambda: len(heard) == len(payloads))
    assert [message.payload for message in heard] == payloads
    assert {(message.topic, message.qos, message.retain) for message in heard} == {("a/b", qos, False)}


async def test_many_messages_may_be_under_way_before_the_first_is_answered(anonymous_broker: AnonymousBroker) -> None:
    heard: list[Message] = []
    async with (
        connected(anonymous_broker.address, "hears", heard.append) as hears,
        connected(anonymous_broker.address, "says") as says,
    ):
        await hears.subscribe("a")
        answers = [says.send("a", str(number).encode()) for number in range(500)]
        await asyncio.gather(*answers)
        await until(lambda: len(heard) == 500)
    assert [int(message.payload) for message in heard] == list(range(500))


async def test_a_large_message_arrives_whole_and_unsent_says_when_it_left(anonymous_broker: AnonymousBroker) -> None:
    heard: list[Message] = []
    async with (
        connected(anonymous_broker.address, "hears", heard.append) as hears,
        connected(anonymous_broker.address, "says") as says,
    ):
        await hears.subscribe("a")
        answer = says.send("a", bytes(8_000_000))
        assert says.unsent()
        await answer
        assert not says.unsent()
        await until(lambda: heard)
    assert len(heard[0].payload) == 8_000_000


async def test_what_was_not_acknowledged_comes_again_in_the_next_session(anonymous_broker: AnonymousBroker) -> None:
    heard: list[Message] = []
    persistent = {"clean": False, "manual_ack": True}
    async with connected(anonymous_broker.address, "says") as says:
        async with connected(anonymous_broker.address, "hears", heard.append, **persistent) as hears:
            assert not hears.session_present
            await hears.subscribe("a")
            for number in range(4):
                await says.publish("a", str(number).encode())
            await until(lambda: len(heard) == 4)
            hears.ack(heard[0])
            hears.ack(heard[1])
            # The broker has handled these acknowledgements once it answers what was said after them.
            await hears.publish("other", b"")
        await says.publish("a", b"while away")
        heard.clear()
        async with connected(anonymous_broker.address, "hears", heard.append, **persistent) as hears:
            assert hears.session_present
            await until(lambda: len(heard) == 3)
            for message in heard:
                hears.ack(message)
            await hears.publish("other", b"")
        assert [message.payload for message in heard] == [b"2", b"3", b"while away"]
        heard.clear()
        async with connected(anonymous_broker.address, "hears", heard.append, **persistent) as hears:
            await says.publish("a", b"new")
            await until(lambda: heard)
    assert [message.payload for message in heard] == [b"new"]


async def test_a_killed_broker_has_forgotten_what_waited_and_never_wrote_it(mosquitto: Mosquitto) -> None:
    """What waits may hold a picture of a face; devices and boxes send again what was not acknowledged."""
    heard: list[Message] = []
    box, campus = mosquitto.edge("gate-1"), mosquitto.aggregator()
    async with connected(campus, "hears", heard.append, clean=False, manual_ack=True) as hears:
        await hears.subscribe(up_filter(CAMPUS))
    async with connected(box, "gate-1") as says:
        await says.publish(up_topic(CAMPUS, "gate-1", Up.D), b"CANARY")
    mosquitto.stop()
    files = [path for path in mosquitto.folder.folder.rglob("*") if path.is_file()]
    assert files
    assert not [path for path in files if b"CANARY" in path.read_bytes()]
    mosquitto.start()
    async with connected(campus, "hears", heard.append, clean=False, manual_ack=True) as hears:
        assert not hears.session_present


async def test_the_broker_holds_what_is_beyond_the_receive_maximum_until_something_is_acknowledged(
    anonymous_broker: AnonymousBroker,
) -> None:
    heard: list[Message] = []
    address = anonymous_broker.address
    async with (
        connected(address, "hears", heard.append, manual_ack=True, receive_maximum=3) as hears,
        connected(address, "says") as says,
    ):
        await hears.subscribe("a")
        for number in range(10):
            await says.publish("a", str(number).encode())
        await hears.publish("other", b"")
        assert len(heard) == 3
        # From here on mosquitto 2.0.11 sends three more for each acknowledgement, so nobody may rely on the maximum
        # as a bound; all that is shown is that nothing stalls.
        for number in range(10):
            await until(lambda number=number: len(heard) > number)
            hears.ack(heard[number])
    assert [message.payload for message in heard] == [str(number).encode() for number in range(10)]


async def test_a_paused_link_reads_nothing_and_loses_nothing(anonymous_broker: AnonymousBroker) -> None:
    heard: list[Message] = []
    async with (
        connected(anonymous_broker.address, "hears", heard.append) as hears,
        connected(anonymous_broker.address, "says") as says,
    ):
        await hears.subscribe("a", qos=0)
        hears.pause()
        for _ in range(200):
            await says.publish("a", bytes(1000))
        assert len(heard) < 200
        hears.resume()
        await until(lambda: len(heard) == 200)


async def test_a_wrong_password_is_a_refusal(mosquitto: Mosquitto) -> None:
    address = replace(mosquitto.edge("gate-1"), password="wrong")
    for version in (4, 5):
        with pytest.raises(LinkRefused, match="refused us"):
            await MqttLink.connect(address, lambda _message: None, client_id="x", version=version)


async def test_a_message_that_the_access_list_forbids_is_a_refusal_and_the_link_lives(mosquitto: Mosquitto) -> None:
    async with connected(mosquitto.edge("gate-1"), "gate-1") as link:
        with pytest.raises(LinkRefused, match="refused a message"):
            await link.publish(up_topic(CAMPUS, "gate-2", Up.D), b"x")
        await link.publish(up_topic(CAMPUS, "gate-1", Up.D), b"x")


async def test_a_killed_broker_ends_the_link_with_a_cause_and_everybody_who_waits(
    anonymous_broker: AnonymousBroker,
) -> None:
    link = await MqttLink.connect(anonymous_broker.address, lambda _message: None, client_id="x")
    waiting = [link.send("a", bytes(100_000)) for _ in range(200)]
    anonymous_broker.kill9()
    async with asyncio.timeout(45):
        await link.closed.wait()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(link.cause, LinkError)
    refused = [answer for answer in answers if answer is not None]
    assert refused
    assert all(isinstance(answer, LinkError) and "link is down" in str(answer) for answer in refused)
    with pytest.raises(LinkError, match="link is down"):
        await link.publish("a", b"x")
    with pytest.raises(LinkError, match="link is down"):
        await link.subscribe("a")


async def test_a_dead_link_never_comes_back_by_itself(anonymous_broker: AnonymousBroker) -> None:
    heard: list[Message] = []
    async with connected(anonymous_broker.address, "dies") as link:
        anonymous_broker.kill9()
        await link.closed.wait()
        with pytest.raises(LinkError):
            await link.publish("a", b"queued?")
        anonymous_broker.start()
        async with connected(anonymous_broker.address, "hears", heard.append) as hears:
            await hears.subscribe("#")
            async with connected(anonymous_broker.address, "says") as says:
                await says.publish("b", b"end")
            await until(lambda: heard)
    assert [message.topic for message in heard] == ["b"]


async def test_a_fault_in_the_callback_ends_the_link_with_that_fault(anonymous_broker: AnonymousBroker) -> None:
    def faulty(_message: Message) -> None:
        raise ZeroDivisionError("in the callback")

    async with (
        connected(anonymous_broker.address, "hears", faulty) as hears,
        connected(anonymous_broker.address, "says") as says,
    ):
        await hears.subscribe("a")
        await says.publish("a", b"x")
        async with asyncio.timeout(45):
            await hears.closed.wait()
        assert isinstance(hears.cause, ZeroDivisionError)
        assert not says.closed.is_set()


async def test_another_client_with_the_same_id_takes_over(anonymous_broker: AnonymousBroker) -> None:
    async with (
        connected(anonymous_broker.address, "same") as first,
        connected(anonymous_broker.address, "same") as second,
    ):
        async with asyncio.timeout(45):
            await first.closed.wait()
        assert isinstance(first.cause, LinkError)
        await second.publish("a", b"x")


async def test_nobody_there_is_told_with_the_address() -> None:
    (port,) = free_ports(1)
    with pytest.raises(LinkError, match=rf"127\.0\.0\.1:{port}: .*refused") as told:
        await MqttLink.connect(BrokerAddress(port=port), lambda _message: None, client_id="x")
    assert not isinstance(told.value, LinkRefused)


async def test_somebody_who_never_answers_is_given_up() -> None:
    async def silent(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        address = BrokerAddress(port=server.sockets[0].getsockname()[1])
        with pytest.raises(LinkError, match="no answer in time"):
            await MqttLink.connect(address, lambda _message: None, client_id="x", timeout_s=0.2)
        server.close()


class Standstill:
    """A broker that lets everybody in and then reads nothing until it is told to, as over a line that stands still."""

    def __init__(self) -> None:
        self.goes_on = asyncio.Event()
        self.heard = b""
        self.ended = asyncio.Event()
        # Small, so that little fills what the kernels hold between us.
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)

    @property
    def address(self) -> BrokerAddress:
        return BrokerAddress(host="127.0.0.1", port=self.listener.getsockname()[1])

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        self.listener.setblocking(False)
        client, _ = await loop.sock_accept(self.listener)
        with client:
            await loop.sock_recv(client, 4096)
            await loop.sock_sendall(client, bytes((0x20, 3, 0, 0, 0)))
            await self.goes_on.wait()
            try:
                while data := await loop.sock_recv(client, 1 << 16):
                    self.heard += data
            except ConnectionResetError:
                pass
            finally:
                self.ended.set()


@asynccontextmanager
async def standstill() -> AsyncIterator[tuple[Standstill, MqttLink]]:
    """With a link whose broker has stopped to read, and with more sent than the other end takes."""
    broker = Standstill()
    serving = asyncio.create_task(broker.serve())
    link = await MqttLink.connect(broker.address, lambda _message: None, client_id="box")
    # Our kernel takes much more than theirs, so that what follows waits in it and not in paho.
    link._client.socket().raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    try:
        held = 0
        while held < 3:
            link.send("fill", bytes(20_000), qos=0)
            await asyncio.sleep(0.02)
            held = held + 1 if not link.arrived(link.mark()) else 0
        assert link.mark() is not None
        yield broker, link
    finally:
        link.abort()
        serving.cancel()
        await asyncio.gather(serving, return_exceptions=True)
        broker.listener.close()


@pytest.mark.parametrize("how", ["dropped", "broken", "closed as any socket"])
async def test_what_a_line_at_a_standstill_holds_back_goes_down_with_the_link(how: str) -> None:
    async with standstill() as (broker, link):
        link.send("door", b"OPEN", qos=0)
        assert not link.arrived(link.mark())
        if how == "dropped":
            link.abort()
        else:
            link._end(LinkError("no ping came back"), flush=how != "broken")
        broker.goes_on.set()
        async with asyncio.timeout(60):
            await broker.ended.wait()
    # The last is what the others are there for.
    assert (b"OPEN" in broker.heard) == (how == "closed as any socket")


async def test_what_has_arrived_is_known(anonymous_broker: AnonymousBroker) -> None:
    async with connected(anonymous_broker.address, "says") as says:
        for _ in range(20):
            says.send("a", bytes(1000), qos=0)
            mark = says.mark()
            assert mark is not None
            await until(lambda mark=mark: says.arrived(mark))
        says.send("a", bytes(8_000_000), qos=0)
        await until(lambda: says.mark() is not None)
        await until(lambda: says.arrived(None))
    assert says.arrived(1)


async def test_somebody_who_speaks_something_else_is_told_apart() -> None:
    async def web(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(web, "127.0.0.1", 0) as server:
        address = BrokerAddress(port=server.sockets[0].getsockname()[1])
        with pytest.raises(LinkError):
            await MqttLink.connect(address, lambda _message: None, client_id="x", timeout_s=2)


async def test_a_missing_certificate_file_is_named(tmp_path: Path) -> None:
    address = BrokerAddress(tls_ca=tmp_path / "ca.crt")
    with pytest.raises(LinkError, match=r"ca\.crt.*No such file"):
        await MqttLink.connect(address, lambda _message: None, client_id="x")


async def test_the_will_speaks_when_the_link_breaks_and_not_when_it_says_goodbye(
    anonymous_broker: AnonymousBroker,
) -> None:
    heard: list[Message] = []
    async with connected(anonymous_broker.address, "hears", heard.append) as hears:
        await hears.subscribe("will")
        polite = await MqttLink.connect(
            anonymous_broker.address, lambda _message: None, client_id="polite", will=("will", b"polite", 1)
        )
        await polite.close()
        broken = await MqttLink.connect(
            anonymous_broker.address, lambda _message: None, client_id="broken", will=("will", b"broken", 1)
        )
        broken.abort()
        await until(lambda: heard)
    assert [message.payload for message in heard] == [b"broken"]


def test_links_leave_no_thread_and_no_task_behind(anonymous_broker: AnonymousBroker) -> None:
    async def life() -> set[str]:
        async with connected(anonymous_broker.address, "a") as link:
            await link.publish("a", b"x")
        broken = await MqttLink.connect(anonymous_broker.address, lambda _message: None, client_id="b")
        broken.abort()
        await asyncio.sleep(0)
        return {str(task) for task in asyncio.all_tasks() - {asyncio.current_task()}}

    before = set(threading.enumerate())
    assert asyncio.run(life()) == set()
    assert set(threading.enumerate()) == before


def test_a_link_that_is_collected_after_its_loop_is_gone_says_nothing(
    anonymous_broker: AnonymousBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaints: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", complaints.append)

    async def life() -> list[MqttLink]:
        closed, dropped = [
            await MqttLink.connect(anonymous_broker.address, lambda _message: None, client_id=name) for name in "ab"
        ]
        await closed.close()
        dropped.abort()
        return [closed, dropped]

    links = asyncio.run(life())

    def collect() -> None:
        links.clear()
        gc.collect()

    # Python collects in whatever thread happens to allocate.
    elsewhere = threading.Thread(target=collect)
    elsewhere.start()
    elsewhere.join()
    assert complaints == []


def test_an_address_never_shows_its_password() -> None:
    address = BrokerAddress(username="gate-1", password="secret")
    assert "secret" not in f"{address!r}{address}"
