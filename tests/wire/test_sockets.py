"""What a socket still holds back is known, and forgotten when it must be."""

import socket
import time
from collections.abc import Iterator
from contextlib import suppress

import pytest

from wire.sockets import acknowledged, forget, give_up_after, given


def read_to_end(sock: socket.socket) -> None:
    while sock.recv(1 << 16):
        pass


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        give_up_after(listener, 7.5)
        ours = socket.create_connection(listener.getsockname())
        theirs, _ = listener.accept()
        with ours, theirs:
            yield ours, theirs


def test_what_the_other_end_has_is_known_to_the_byte(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    before = given(ours)
    ours.sendall(bytes(1000))
    assert given(ours) == before + 1000
    deadline = time.monotonic() + 10
    while acknowledged(ours) < before + 1000:
        assert time.monotonic() < deadline
    assert given(ours) == acknowledged(ours) == before + 1000


def test_what_a_full_line_holds_back_is_known_and_thrown_away(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    ours.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            ours.send(bytes(100_000))
    held = given(ours) - acknowledged(ours)
    assert held > 0
    forget(ours)
    ours.close()
    theirs.settimeout(10)
    with pytest.raises(ConnectionResetError):
        read_to_end(theirs)


def test_what_holds_for_a_listener_holds_for_whoever_comes_in(pair: tuple[socket.socket, socket.socket]) -> None:
    _, theirs = pair
    assert theirs.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 7500


def test_a_closed_socket_says_so(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    ours.close()
    for ask in (acknowledged, given, forget):
        with pytest.raises((OSError, ValueError)):
            ask(ours)
