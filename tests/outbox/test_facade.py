"""The outbox seen from the event loop."""

import asyncio
import sqlite3
import threading
from pathlib import Path

import pytest

from edge_agent.outbox import Fate, InlineHop, OutboxGone, OutboxLimits, OutboxRefused, ThreadHop, open_outbox
from tests.outbox.making import EDGE, Box, MemoryDisk
from tests.support.clock import VirtualClock, seeded
from wire.topics import Lane


def opened(path: Path, **more):
    return open_outbox(path, clock=VirtualClock(), random=seeded(5), edge=EDGE, limits=OutboxLimits(), **more)


@pytest.fixture
def maker(tmp_path: Path):
    """Makes records; its own outbox is not used."""
    box = Box(tmp_path / "other" / "outbox.sqlite")
    yield box
    box.store.close()


@pytest.mark.parametrize("hop", [None, InlineHop])
async def test_every_operation_is_there(tmp_path: Path, maker: Box, hop) -> None:
    async with opened(tmp_path / "outbox.sqlite", hop=hop and hop()) as outbox:
        assert outbox.recovery is None
        results = await outbox.append([maker.entry(Lane.D) for _ in range(3)])
        assert [result.fate for result in results] == [Fate.STORED] * 3
        rows = await outbox.read(Lane.D, 0, 10, 10_000)
        assert [row.seq for row in rows] == [1, 2, 3]
        assert await outbox.chain_at(Lane.D, 3) == rows[-1].chain
        await outbox.acknowledge({Lane.D: 2})
        await outbox.resume({Lane.D: 1})
        assert (await outbox.lane_states())[Lane.D].acked == 1
        assert (await outbox.depths())[Lane.D].queued == 2
        await outbox.quarantine("d", "malformed", b"x", frozenset())
        assert len(await outbox.quarantined()) == 1
        before = outbox.epoch
        after = await outbox.fork("chain")
        assert await outbox.identity() == (after, before, "chain")
        assert (outbox.epoch, outbox.previous_epoch, outbox.fork_reason) == (after, before, "chain")
        assert not (await outbox.maintain()).more
        assert await outbox.tally() == {}
    async with opened(tmp_path / "outbox.sqlite") as outbox:
        assert outbox.epoch == after


async def test_every_call_runs_on_the_one_thread_and_that_ends_with_the_outbox(tmp_path: Path, maker: Box) -> None:
    before = set(threading.enumerate())
    async with opened(tmp_path / "outbox.sqlite") as outbox:
        await asyncio.gather(*[outbox.append([maker.entry(Lane.D)]) for _ in range(20)])
        (own,) = set(threading.enumerate()) - before
        assert own.name.startswith("outbox")
        assert [row.seq for row in await outbox.read(Lane.D, 0, 100, 100_000)] == list(range(1, 21))
    own.join(10)
    assert not own.is_alive()


async def test_inline_it_uses_no_thread(maker: Box) -> None:
    before = threading.active_count()
    async with opened(Path("nowhere"), hop=InlineHop(), connect=MemoryDisk().connect) as outbox:
        await outbox.append([maker.entry(Lane.D)])
        assert threading.active_count() == before


async def test_an_error_of_the_store_reaches_the_caller(tmp_path: Path, maker: Box) -> None:
    async with opened(tmp_path / "outbox.sqlite") as outbox:
        await outbox.close()
        with pytest.raises(OutboxGone, match="closed"):
            await outbox.append([maker.entry(Lane.D)])


async def test_an_opening_that_fails_leaves_no_thread(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    before = set(threading.enumerate())
    with pytest.raises(OutboxRefused):
        async with opened(tmp_path / "data" / "outbox.sqlite"):
            raise AssertionError("never opened")
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(10)
    assert not any(thread.is_alive() for thread in started)


async def test_the_store_cannot_be_used_from_another_thread_by_mistake(tmp_path: Path, maker: Box) -> None:
    async with opened(tmp_path / "outbox.sqlite") as outbox:
        with pytest.raises(sqlite3.ProgrammingError, match="thread"):
            outbox._store.append([maker.entry(Lane.D)])
        assert (await outbox.append([maker.entry(Lane.D)]))[0].fate is Fate.STORED


async def test_a_hop_of_the_caller_stays_open(tmp_path: Path) -> None:
    hop = ThreadHop()
    async with opened(tmp_path / "outbox.sqlite", hop=hop):
        pass
    assert await hop.run(lambda: 7) == 7
    hop.close()
