"""Who reads when, and how much: with a paho whose packets are one byte, on a real pair of sockets."""

import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest

from tests.support.waiting import until
from wire.mqtt_pump import PACKETS_AT_ONCE, Pump
from wire.mqtt_socket import GatheringSocket


class OneByteEach:
    """As much of paho as moves packets."""

    def __init__(self, sock: GatheringSocket) -> None:
        self._sock = sock
        self.heard = bytearray()
        self.to_say: list[bytes] = []

    def loop_read(self) -> int:
        with suppress(BlockingIOError):
            self.heard += self._sock.recv(1)
        return 0

    def loop_write(self) -> int:
        while self.to_say:
            self._sock.send(self.to_say.pop(0))
        return 0

    def want_write(self) -> bool:
        return bool(self.to_say)


class Rig:
    def __init__(self) -> None:
        ours, self.theirs = socket.socketpair()
        ours.setblocking(False)
        self.theirs.setblocking(False)
        self.sock = GatheringSocket(ours)
        self.paho = OneByteEach(self.sock)
        self.ended: list[Exception] = []
        self.pump = Pump(self.paho, lambda result: result == 0, self.ended.append)
        # What `start` also does is for TCP.
        self.pump.sock = self.sock
        self.pump._listen(self.sock, on=True)


@asynccontextmanager
async def rigged() -> AsyncIterator[Rig]:
    rig = Rig()
    try:
        yield rig
    finally:
        rig.pump.stop()
        rig.sock.close()
        rig.theirs.close()


async def test_a_busy_link_looks_by_the_clock_and_a_quiet_one_listens() -> None:
    async with rigged() as rig:
        rig.theirs.send(b"ab")
        rig.pump.read()
        assert (rig.paho.heard, rig.pump.listens, rig.pump._again is None) == (b"ab", False, False)
        rig.pump.read()
        assert (rig.paho.heard, rig.pump.listens, rig.pump._again is None) == (b"ab", True, True)


async def test_what_comes_later_is_heard_whoever_watches() -> None:
    async with rigged() as rig:
        for number in range(1, 20):
            rig.theirs.send(b"x")
            await until(lambda: len(rig.paho.heard) == number)  # noqa: B023  awaited before the next
        await until(lambda: rig.pump.listens)
        rig.theirs.send(b"y")
        await until(lambda: rig.paho.heard.endswith(b"y"))


async def test_one_turn_takes_only_so_much_and_the_rest_comes_by_itself() -> None:
    async with rigged() as rig:
        rig.theirs.send(bytes(3 * PACKETS_AT_ONCE))
        rig.pump.read()
        assert len(rig.paho.heard) == PACKETS_AT_ONCE
        await until(lambda: len(rig.paho.heard) == 3 * PACKETS_AT_ONCE)


async def test_a_paused_link_hands_over_nothing_and_goes_on_where_it_was() -> None:
    async with rigged() as rig:
        rig.theirs.send(b"a")
        rig.pump.read()
        rig.pump.pause()
        rig.theirs.send(b"b")
        rig.pump.read()
        assert (rig.paho.heard, rig.pump.listens) == (b"a", False)
        rig.pump.resume()
        await until(lambda: rig.paho.heard == b"ab")
        await until(lambda: rig.pump.listens)


async def test_what_is_said_in_one_turn_leaves_together_and_what_is_not_taken_leaves_later() -> None:
    async with rigged() as rig:
        said = [bytes([number]) * 30_000 for number in range(100)]
        taken = bytearray()
        for one in said:
            rig.paho.to_say.append(one)
            rig.pump.write()
            if rig.pump.unsent():
                taken += rig.theirs.recv(1 << 20)

        def all_taken() -> bool:
            nonlocal taken
            with suppress(BlockingIOError):
                taken += rig.theirs.recv(1 << 20)
            return len(taken) == 3_000_000

        await until(all_taken)
        assert taken == b"".join(said)
        await until(lambda: not rig.pump.unsent() and not rig.pump._waits_for_room)
        assert rig.ended == []


async def test_a_line_that_breaks_while_it_is_written_to_ends_the_link() -> None:
    async with rigged() as rig:
        rig.theirs.close()
        rig.paho.to_say.append(b"x")
        rig.pump.write()
        assert [type(error) for error in rig.ended] == [BrokenPipeError]


async def test_a_fault_in_the_callback_ends_the_link_with_that_cause(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> int:
        raise ZeroDivisionError

    async with rigged() as rig:
        monkeypatch.setattr(rig.paho, "loop_read", broken)
        rig.pump.read()
        assert [type(error) for error in rig.ended] == [ZeroDivisionError]


async def test_after_its_end_nothing_is_moved() -> None:
    async with rigged() as rig:
        rig.theirs.send(b"a")
        rig.paho.to_say.append(b"b")
        rig.pump.stop()
        rig.pump.read()
        rig.pump.write()
        assert (rig.paho.heard, rig.paho.to_say) == (b"", [b"b"])
