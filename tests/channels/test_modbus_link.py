"""The late answer: what comes after its time is never taken for the answer to something else, on a line and on TCP.
And whatever else may come: halves, pieces, garbage, an answer to another question.
"""

import asyncio
import random
import struct
from collections.abc import Sequence

import pytest

from edge_agent.channels.modbus_link import UNANSWERED_MAX, NoAnswer, Refused
from edge_agent.codecs.kinds.modbus import Write
from simulators.modbus_wire import crc16
from tests.campus.virtual_loop import virtual
from tests.channels.modbus_asking import both, read
from tests.channels.modbus_rig import QUIET_S, REPLY_WITHIN_S, Kind, Numbered, Peer, make_link

# --- late answers, on virtual time --------------------------------------------------------------------


@both
@virtual
async def test_of_two_thousand_answers_that_are_as_late_as_they_like_none_is_taken_for_another(kind: Kind) -> None:
    chance = random.Random(11)
    peer = Peer(kind, {1: Numbered()})
    # Later than the longest time a unit may take, and that once more in quiet, is not promised on a line.
    latest_s = REPLY_WITHIN_S + QUIET_S - 0.001
    peer.spoil = lambda frame: [(chance.uniform(0.0, latest_s), frame)]
    link = await peer.connect(make_link(kind))
    answered = 0
    for address in range(2000):
        words = await read(link, address)
        assert words in (None, [address])
        answered += words is not None
    assert 500 < answered < 1500


@virtual
async def test_without_the_pause_a_line_would_take_it() -> None:
    """The trap is real: shows that the test above can fail."""
    peer = Peer("rtu", {1: Numbered()})
    link = await peer.connect(make_link("rtu"))
    peer.spoil = lambda frame: [(0.25, frame)]
    with pytest.raises(NoAnswer):
        await link.read(1, "holding_registers", 11, 1)
    peer.spoil = lambda _: []
    assert await link.read(1, "holding_registers", 22, 1) == [11]


@virtual
async def test_a_line_is_left_quiet_before_it_is_opened_as_somebody_may_have_asked_before_us() -> None:
    peer = Peer("rtu", {1: Numbered()})
    peer.spoil = lambda frame: [(REPLY_WITHIN_S - 0.01, frame)]
    ours_before = await peer.connect(make_link("rtu"))
    dying = asyncio.get_running_loop().create_task(ours_before.read(1, "holding_registers", 11, 1))
    await asyncio.sleep(0.001)
    dying.cancel()
    ours_before.close()
    link = await peer.connect(make_link("rtu"))
    assert await link.read(1, "holding_registers", 22, 1) == [22]


@virtual
async def test_a_gateway_that_numbers_no_answer_is_not_believed() -> None:
    """pymodbus takes number 0 as an answer to anything."""
    peer = Peer("tcp", {1: Numbered()})
    peer.spoil = lambda frame: [(0.01, b"\0\0" + frame[2:])]
    link = await peer.connect(make_link("tcp"))
    with pytest.raises(NoAnswer):
        await link.read(1, "holding_registers", 11, 1)


@virtual
async def test_half_an_answer_that_comes_late_does_not_swallow_the_next() -> None:
    peer = Peer("tcp", {1: Numbered()})
    link = await peer.connect(make_link("tcp"))
    peer.spoil = lambda frame: [(0.1, frame[:5]), (0.3, frame[5:])]
    assert await read(link, 11) is None
    assert peer.dials == 2
    peer.spoil = lambda frame: [(0.01, frame)]
    assert await read(link, 22) == [22]
    # Half of one while nobody has asked: nothing is sent on such a connection any more.
    assert peer.wire is not None
    peer.wire.say(b"\0\x09\0")
    sent = len(peer.requests)
    with pytest.raises(ConnectionError):
        await link.write(1, Write("coils", 0, (0xFF00,)))
    assert len(peer.requests) == sent


# --- what else may come -------------------------------------------------------------------------------


@both
@virtual
async def test_an_answer_in_pieces_is_an_answer(kind: Kind) -> None:
    chance = random.Random(5)
    peer = Peer(kind, {1: Numbered()})

    def pieces(frame: bytes) -> list[tuple[float, bytes]]:
        cuts = sorted(chance.sample(range(1, len(frame)), chance.randrange(len(frame))))
        return [
            (0.001 * (number + 1), frame[start:end])
            for number, (start, end) in enumerate(zip([0, *cuts], [*cuts, len(frame)], strict=True))
        ]

    peer.spoil = pieces
    link = await peer.connect(make_link(kind))
    for address in range(200):
        count = chance.randint(1, 30)
        assert await link.read(1, "holding_registers", address, count) == list(range(address, address + count))


@both
@virtual
async def test_every_truncation_is_no_answer_and_harms_nobody_after_it(kind: Kind) -> None:
    peer = Peer(kind, {1: Numbered()})
    link = await peer.connect(make_link(kind))
    for length in range(1, 11 if kind == "tcp" else 7):
        peer.spoil = lambda frame, length=length: [(0.01, frame[:length])]
        assert await read(link, 11) is None
        peer.spoil = lambda frame: [(0.01, frame)]
        assert await read(link, 22) == [22]


@both
@virtual
async def test_random_bytes_are_no_answer_and_raise_nothing_in_the_loop(kind: Kind) -> None:
    chance = random.Random(6)
    peer = Peer(kind, {1: Numbered()})
    link = await peer.connect(make_link(kind))
    for number in range(400):
        noise = chance.randbytes(chance.randrange(1, 40))

        def nonsense(
            frame: bytes, noise: bytes = noise, *, framed: bool = number % 2 == 1
        ) -> list[tuple[float, bytes]]:
            """Half of it framed as it should be, with nonsense in it."""
            if framed and kind == "tcp":
                noise = frame[:4] + struct.pack(">HB", len(noise) + 1, 1) + noise
            elif framed:
                noise = frame[:1] + noise + crc16(frame[:1] + noise)
            return [(0.01, noise)]

        peer.spoil = nonsense
        try:
            words = await read(link, 11)
        except ConnectionError:
            await peer.connect(link)
        except Refused:
            pass
        else:
            assert words is None
        peer.spoil = lambda frame: [(0.01, frame)]
        assert await read(link, 22) == [22]


@both
@virtual
async def test_garbage_before_an_answer_spoils_it_at_worst(kind: Kind) -> None:
    chance = random.Random(7)
    peer = Peer(kind, {1: Numbered()})
    peer.spoil = lambda frame: [(0.01, chance.randbytes(chance.randrange(1, 6)) + frame)]
    link = await peer.connect(make_link(kind))
    for address in range(100):
        try:
            assert await read(link, address) in (None, [address])
        except (ConnectionError, Refused):
            await peer.connect(link)


@both
@virtual
async def test_an_answer_from_another_unit_in_another_function_or_of_another_length_is_none(kind: Kind) -> None:
    peer = Peer(kind, {1: Numbered()})
    link = await peer.connect(make_link(kind))
    unit = 6 if kind == "tcp" else 0

    def changed(place: int, byte: int, more: bytes = b"") -> None:
        def spoil(frame: bytes) -> list[tuple[float, bytes]]:
            body = frame if kind == "tcp" else frame[:-2]
            body = body[: unit + place] + bytes([byte]) + body[unit + place + 1 :] + more
            if kind == "tcp":
                body = body[:4] + (len(body) - 6).to_bytes(2, "big") + body[6:]
            return [(0.01, body if kind == "tcp" else body + crc16(body))]

        peer.spoil = spoil

    changed(0, 1)
    assert await read(link, 11) == [11]
    for place, byte, more in ((0, 2, b""), (1, 4, b""), (2, 4, b"\0\0")):
        changed(place, byte, more)
        assert await read(link, 11) is None, (place, byte)


@both
@virtual
async def test_a_write_whose_echo_is_another_one_is_not_taken_as_done(kind: Kind) -> None:
    class Deaf(Numbered):
        def write(self, table: str, address: int, words: Sequence[int]) -> None:
            pass

    peer = Peer(kind, {1: Deaf()})
    link = await peer.connect(make_link(kind))
    writes = [
        Write("coils", 0x0200, (300,)),
        Write("holding_registers", 7, (1,)),
        Write("holding_registers", 7, (1, 2)),
    ]
    for write in writes:
        await link.write(1, write)

        def other(frame: bytes) -> list[tuple[float, bytes]]:
            body = frame if kind == "tcp" else frame[:-2]
            body = body[:-1] + bytes([body[-1] ^ 1])
            return [(0.01, body if kind == "tcp" else body + crc16(body))]

        peer.spoil = other
        with pytest.raises(NoAnswer):
            await link.write(1, write)
        await link.quiet()
        peer.spoil = lambda frame: [(0.01, frame)]


@virtual
async def test_a_gateway_that_hears_nothing_of_a_unit_is_no_answer_of_the_unit() -> None:
    peer = Peer("tcp", {1: Numbered()})
    link = await peer.connect(make_link("tcp"))
    peer.spoil = lambda frame: [(0.01, frame[:4] + b"\0\3\1" + bytes([0x83, 0x0B]))]
    with pytest.raises(NoAnswer):
        await link.read(1, "holding_registers", 11, 1)


@virtual
async def test_a_connection_on_which_nobody_answers_is_opened_anew_one_with_a_dead_unit_is_not() -> None:
    peer = Peer("tcp", {1: Numbered(), 2: Numbered()})
    link = await peer.connect(make_link("tcp"))
    peer.line.dead.add(2)
    for _ in range(20):
        with pytest.raises(NoAnswer):
            await link.read(2, "holding_registers", 1, 1)
        await link.quiet()
        assert await link.read(1, "holding_registers", 1, 1) == [1]
    assert peer.dials == 1
    peer.line.dead.add(1)
    for _ in range(UNANSWERED_MAX):
        assert await read(link, 1) is None
    assert peer.dials == 2


@both
@virtual
async def test_a_line_that_ends_while_it_is_asked_is_an_os_error(kind: Kind) -> None:
    peer = Peer(kind, {1: Numbered()})
    link = await peer.connect(make_link(kind))
    peer.spoil = lambda _: []
    asking = asyncio.get_running_loop().create_task(link.read(1, "holding_registers", 1, 1))
    await asyncio.sleep(0.01)
    peer.hang_up()
    ended_s = asyncio.get_running_loop().time()
    with pytest.raises(ConnectionError):
        await asking
    # Nobody waits for an answer that cannot come.
    assert asyncio.get_running_loop().time() == ended_s
    with pytest.raises(ConnectionError):
        await link.read(1, "holding_registers", 1, 1)


@both
@virtual
async def test_who_is_told_to_end_in_the_moment_of_an_answer_ends(kind: Kind) -> None:
    peer = Peer(kind, {1: Numbered()})
    link = await peer.connect(make_link(kind))
    answers: list[bytes] = []

    def keep(frame: bytes) -> list[tuple[float, bytes]]:
        answers.append(frame)
        return []

    peer.spoil = keep
    asking = asyncio.get_running_loop().create_task(link.read(1, "holding_registers", 1, 1))
    await asyncio.sleep(0.01)
    assert peer.wire is not None
    peer.wire.say(answers[0])
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
