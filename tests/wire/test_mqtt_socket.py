"""The socket that reads ahead and writes together, on a real pair of sockets, and under a real paho."""

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from tests.support.mosquitto import AnonymousBroker
from tests.support.waiting import until
from wire.mqtt_link import Message, MqttLink
from wire.mqtt_socket import AHEAD, GATHERED_MAX, GatheringClient, GatheringSocket


class Counted:
    """A socket whose calls are counted."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self.received: list[int] = []
        self.sent: list[int] = []

    def recv(self, size: int) -> bytes:
        data = self._sock.recv(size)
        self.received.append(len(data))
        return data

    def send(self, data: bytes) -> int:
        self.sent.append(self._sock.send(data))
        return self.sent[-1]

    def __getattr__(self, name: str):
        return getattr(self._sock, name)


@pytest.fixture
def pair() -> Iterator[tuple[GatheringSocket, Counted, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    theirs.setblocking(False)
    counted = Counted(ours)
    yield GatheringSocket(counted), counted, theirs
    ours.close()
    theirs.close()


def test_what_has_arrived_is_read_at_once_and_given_in_pieces(pair) -> None:
    sock, counted, theirs = pair
    theirs.send(b"abcdef")
    assert sock.pending() == 0
    assert (sock.recv(1), sock.pending(), sock.recv(3), sock.recv(100)) == (b"a", 5, b"bcd", b"ef")
    assert counted.received == [6]
    with pytest.raises(BlockingIOError):
        sock.recv(1)


def test_a_large_read_takes_no_copy_and_keeps_the_order(pair) -> None:
    sock, _, theirs = pair
    data = bytes(range(256)) * (AHEAD // 128)
    theirs.send(data)
    taken = sock.recv(5)
    while len(taken) < len(data):
        taken += sock.recv(AHEAD)
    assert taken == data


def test_the_end_of_the_other_side_is_told_after_its_last_bytes(pair) -> None:
    sock, _, theirs = pair
    theirs.send(b"ab")
    theirs.close()
    assert (sock.recv(1), sock.recv(1), sock.recv(1)) == (b"a", b"b", b"")


def test_what_is_sent_goes_out_in_one_piece(pair) -> None:
    sock, counted, theirs = pair
    for part in (b"ab", b"c", b"def"):
        assert sock.send(part) == len(part)
    assert (counted.sent, sock.unsent) == ([], 6)
    sock.flush()
    assert (counted.sent, sock.unsent, theirs.recv(100)) == ([6], 0, b"abcdef")


def test_what_the_socket_does_not_take_stays_in_order_and_is_bounded(pair) -> None:
    sock, _, theirs = pair
    given = bytearray()
    with suppress(BlockingIOError):
        for number in range(10_000):
            assert sock.send(number.to_bytes(4, "big") * 256) == 1024
            given += number.to_bytes(4, "big") * 256
    assert GATHERED_MAX - 1024 < sock.unsent <= GATHERED_MAX
    assert len(given) < 10_000 * 1024
    taken = bytearray()
    while len(taken) < len(given):
        taken += theirs.recv(1 << 20)
        sock.flush()
    assert taken == given


def test_a_socket_that_keeps_its_word_gives_away_what_is_gathered(pair) -> None:
    sock, _, theirs = pair
    sock.keeps_word = True
    sock.send(b"goodbye")
    sock.close()
    assert theirs.recv(100) == b"goodbye"


def test_what_waits_when_anybody_closes_goes_nowhere(pair) -> None:
    sock, _, theirs = pair
    sock.send(b"OPEN")
    sock.close()
    with suppress(ConnectionResetError):
        assert theirs.recv(100) == b""


def test_a_flush_into_a_broken_line_is_an_error_and_a_close_is_none(pair) -> None:
    sock, _, theirs = pair
    theirs.close()
    sock.send(b"x")
    with pytest.raises(OSError, match=r".*"):
        sock.flush()
    sock.close()


@pytest.mark.peer
async def test_paho_still_lets_us_bring_a_socket_along(anonymous_broker: AnonymousBroker) -> None:
    link = await MqttLink.connect(anonymous_broker.address, lambda _message: None, client_id="one")
    assert isinstance(link._client.socket(), GatheringSocket)
    await link.close()


@pytest.mark.peer
async def test_a_paho_that_does_not_is_told_of(
    anonymous_broker: AnonymousBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(GatheringClient, "_create_socket")
    with pytest.raises(TypeError, match="bring a socket along"):
        await MqttLink.connect(anonymous_broker.address, lambda _message: None, client_id="one")


@pytest.mark.peer
async def test_more_than_one_turn_can_take_arrives_whole_and_in_order(anonymous_broker: AnonymousBroker) -> None:
    heard: list[Message] = []
    listener = await MqttLink.connect(anonymous_broker.address, heard.append, client_id="ear")
    speaker = await MqttLink.connect(anonymous_broker.address, lambda _message: None, client_id="mouth")
    await listener.subscribe("t/#")
    listener.pause()
    sent = [speaker.send(f"t/{number}", b"x" * (number * 37 % 3000), qos=number % 2) for number in range(500)]
    await until(lambda: all(one.done() for one in sent) and not speaker.unsent())
    # What a paused link has read already it may hand over, and no more.
    assert len(heard) < 100
    listener.resume()
    await until(lambda: len(heard) == 500)
    assert [message.topic for message in heard] == [f"t/{number}" for number in range(500)]
    assert [len(message.payload) for message in heard] == [number * 37 % 3000 for number in range(500)]
    await listener.close()
    await speaker.close()


def test_a_packet_larger_than_the_bound_goes_when_nothing_waits(pair) -> None:
    sock, _, theirs = pair
    data = b"x" * (16 * GATHERED_MAX)
    assert sock.send(data) == len(data)
    with pytest.raises(BlockingIOError):
        sock.send(b"y")
    taken = 0
    while taken < len(data):
        sock.flush()
        taken += len(theirs.recv(1 << 20))
    assert sock.send(b"y") == 1
