"""What the ledger on disk spares itself to look up and to read back, and that it is the same as if it had not."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.admission.decode import read_run
from aggregator.ledger import AdmissionGroup, Fate, LedgerRow, MemoryLedger, SqliteLedger
from aggregator.ledger.store import DOUBTS
from aggregator.storage import Database
from tests.admission.box import CAMPUS, Box
from tests.support.clock import seeded
from wire.codec import decode_batch
from wire.records import DeviceTime, Event
from wire.topics import CAMPUS_NODE, Lane


class Watched:
    """A ledger whose statements are listened to."""

    def __init__(self, db: Database, ledger: SqliteLedger) -> None:
        self.db = db
        self.ledger = ledger
        self.statements: list[str] = []

    async def listen(self) -> None:
        await self.db.write(lambda connection: connection.set_trace_callback(self.statements.append))

    def asked(self, columns: str) -> int:
        return sum(columns in statement for statement in self.statements)


@pytest.fixture
async def watched(tmp_path: Path) -> AsyncIterator[Watched]:
    async with await Database.open(tmp_path / "ledger.sqlite", "aggregator.ledger") as db:
        one = Watched(db, await SqliteLedger.open(db, campus_id=CAMPUS, random=seeded(9)))
        await one.listen()
        yield one


def group_of(box: Box, after: int = 0, count: int = 500) -> AdmissionGroup:
    run = read_run(box.edge, *decode_batch(box.batch(Lane.D, after, count)[1]))
    return AdmissionGroup([run], box.clock.stamp())


def numbered(box: Box, *numbers: int, **fields) -> None:
    box.put(*[box.event(record_no=number, **fields) for number in numbers])


async def from_file(ledger: SqliteLedger) -> list[LedgerRow]:
    ledger._tail.clear()
    return await ledger.read(0, 100_000)


IDS, SOURCES, SERIES = "SELECT position, hash", "SELECT source_epoch", "SELECT max(series_time_ns)"


async def test_new_records_of_a_known_device_are_not_looked_up(watched: Watched) -> None:
    box = Box()
    for start in (1, 101, 201):
        numbered(box, *range(start, start + 100))
        await watched.ledger.commit(group_of(box, start - 1))
        box.clock.advance(1)
    assert (watched.asked(IDS), watched.asked(SOURCES)) == (0, 0)
    # Once for the device, not once for a record.
    assert (watched.asked("SELECT max(source_no)"), watched.asked(SERIES)) == (1, 1)


async def test_a_number_that_is_not_above_all_is_looked_up(watched: Watched) -> None:
    box = Box()
    numbered(box, 5)
    await watched.ledger.commit(group_of(box))
    numbered(box, 4)
    await watched.ledger.commit(group_of(box, 1))
    assert watched.asked(SOURCES) == 1
    assert await watched.ledger.head() == 2


async def test_a_known_id_is_found_by_the_index_and_everything_is_done_again(watched: Watched) -> None:
    box = Box()
    event = box.event()
    box.put(event)
    await watched.ledger.commit(group_of(box))
    box.put(box.event(), event, box.event())
    result = await watched.ledger.commit(group_of(box, 1))
    assert result.runs[0].fate is Fate.TAKEN
    assert [row.seq for row in await from_file(watched.ledger)] == [1, 2, 4]
    assert await watched.ledger.verify_chain(box.edge, box.epoch, Lane.D) == (4, "")


async def test_after_a_repeat_the_next_groups_are_looked_up_at_once(watched: Watched) -> None:
    box = Box()
    event = box.event()
    box.put(event, event)
    await watched.ledger.commit(group_of(box, 0, 1))
    await watched.ledger.commit(group_of(box, 1))
    rollbacks = watched.asked("ROLLBACK")
    assert rollbacks == 1
    for after in range(2, 2 + DOUBTS):
        box.put(event)
        await watched.ledger.commit(group_of(box, after))
    assert watched.asked("ROLLBACK") == rollbacks


async def test_what_was_rolled_back_is_not_remembered(watched: Watched) -> None:
    """A number that was only nearly committed is above nothing, and the one below it is no repeat."""
    box, twin = Box(), MemoryLedger(campus_id=CAMPUS, random=seeded(9))
    numbered(box, 1)
    first = group_of(box)
    for ledger in (watched.ledger, twin):
        await ledger.commit(first)
    doomed = Box("gate-1", seed=2)
    numbered(doomed, 900)

    def fail(connection: sqlite3.Connection) -> None:
        watched.ledger._transact(
            connection, watched.ledger._tops, first.received, lambda p: p.take_group(group_of(doomed))
        )
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await watched.db.write(fail)
    numbered(box, 2, 900)
    group = group_of(box, 1)
    results = [await ledger.commit(group) for ledger in (watched.ledger, twin)]
    assert results[0] == results[1]
    assert await from_file(watched.ledger) == await twin.read(0, 100)


async def test_what_another_process_appended_is_seen(watched: Watched, tmp_path: Path) -> None:
    box = Box()
    stamp = box.clock.stamp()
    async with await Database.open(tmp_path / "ledger.sqlite", "aggregator.ledger") as db:
        other = await SqliteLedger.open(db, campus_id=CAMPUS, random=seeded(10))
        note = Event(id=f"{1:032x}", device=CAMPUS_NODE, stamp=stamp, topic="Audit/Entry")
        await watched.ledger.append_campus([note], stamp)
        # The same moment again, so that the series time is taken in the other's eyes only.
        [position] = await other.append_campus(
            [Event(id=f"{2:032x}", device=CAMPUS_NODE, stamp=stamp, topic="Audit/Entry")], stamp
        )
        third = Event(id=f"{3:032x}", device=CAMPUS_NODE, stamp=stamp, topic="Audit/Entry")
        assert await watched.ledger.append_campus([third], stamp) == [position + 1]
        rows = await watched.ledger.read(0, 10)
        assert [row.event_id[-1] for row in rows] == ["1", "2", "3"]
        assert len({row.series_time_ns for row in rows}) == 3


async def test_rows_are_the_same_from_memory_and_from_the_file(watched: Watched) -> None:
    box = Box()
    numbered(box, 1, 2, 3, device_time=DeviceTime(raw="?", wall_ns=17))
    box.put(box.event(), box.event(topic="Door/State/DoorPhysicalState", values={"state": "Open", "angle": 3.5}))
    await watched.ledger.commit(group_of(box, 0, 3))
    await watched.ledger.commit(group_of(box, 3))
    held = await watched.ledger.read(0, 100)
    assert watched.asked("SELECT * FROM ledger") == 0
    assert held == await from_file(watched.ledger)


async def test_a_body_blanked_while_rows_are_committed_does_not_come_back(watched: Watched) -> None:
    box = Box()
    box.put(*[box.event() for _ in range(4)])
    await watched.ledger.commit(group_of(box, 0, 2))
    await asyncio.gather(watched.ledger.blank([1, 2]), watched.ledger.commit(group_of(box, 2)))
    assert [row.body is None for row in await watched.ledger.read(0, 10)] == [True, True, False, False]
