"""What every reader promises: its picture is that of the rows up to its position, however it got there."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import suppress

import pytest

from aggregator.ledger import LedgerRow
from aggregator.readers import Reader, Registry, base
from tests.admission.box import Box
from tests.readers.conftest import Rig
from tests.support.waiting import until


class Killed(BaseException):
    """The process ends here."""


class Tape(Reader):
    """Writes down what it is given, in a table that shows every double and every hole."""

    name = "tape"
    poison: frozenset[int] = frozenset()
    kill_at: int | None = None
    failing: Exception | None = None

    def apply(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS tape (position INTEGER, event_id TEXT)")
        if self.failing is not None:
            raise self.failing
        for row in rows:
            if row.position in self.poison:
                raise ValueError(f"card 12345678 at {row.position}")
            connection.execute("INSERT INTO tape VALUES (?, ?)", (row.position, row.event_id))
            if row.position == self.kill_at:
                raise Killed

    def clear(self, connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE IF EXISTS tape")


async def written(rig: Rig) -> list[int]:
    async with rig.views.read() as connection:
        rows = await connection.execute_fetchall("SELECT position FROM tape ORDER BY rowid")
    return [row[0] for row in rows]


async def fill(rig: Rig, count: int, box: Box | None = None) -> None:
    box = box or Box("gate-1", seed=100 + await rig.ledger.head())
    await rig.deliver(box, *(box.event() for _ in range(count)))


async def caught_up(reader: Reader) -> None:
    await reader.find_position()
    while await reader.step():
        pass


async def test_a_reader_goes_on_from_where_the_process_before_it_ended(rig: Rig):
    await fill(rig, 5)
    await caught_up(Tape(rig.ledger, rig.views))
    await fill(rig, 5, Box("gate-2", seed=7))
    reader = Tape(rig.ledger, rig.views)
    await caught_up(reader)
    head = await rig.ledger.head()
    assert await written(rig) == list(range(1, head + 1))
    assert (reader.health.position, reader.health.lag, reader.health.faults) == (head, 0, 0)


@pytest.mark.parametrize("kill_at", [1, 4, 10])
async def test_a_kill_in_the_middle_of_a_batch_loses_and_doubles_nothing(rig: Rig, kill_at: int):
    await fill(rig, 10)
    victim = Tape(rig.ledger, rig.views)
    victim.kill_at = kill_at
    with pytest.raises(Killed):
        await caught_up(victim)
    await caught_up(Tape(rig.ledger, rig.views))
    assert await written(rig) == list(range(1, await rig.ledger.head() + 1))


async def test_a_row_that_cannot_be_taken_is_named_and_those_behind_it_are_taken(
    rig: Rig, caplog: pytest.LogCaptureFixture
):
    await fill(rig, 10)
    reader = Tape(rig.ledger, rig.views)
    reader.poison = frozenset({3, 4, 10})
    await caught_up(reader)
    assert await written(rig) == [1, 2, 5, 6, 7, 8, 9, *range(11, await rig.ledger.head() + 1)]
    assert reader.health.faults == 3
    async with rig.views.read() as connection:
        faults = await connection.execute_fetchall("SELECT reader, position, cause FROM reader_faults")
    assert [tuple(row) for row in faults] == [("tape", number, "ValueError") for number in (3, 4, 10)]
    assert "12345678" not in caplog.text  # What a row holds may be a card number.

    again = Tape(rig.ledger, rig.views)
    await caught_up(again)
    assert (again.health.position, again.health.faults) == (await rig.ledger.head(), 3)


async def test_a_rebuild_looks_at_every_row_anew(rig: Rig):
    await fill(rig, 6)
    reader = Tape(rig.ledger, rig.views)
    reader.poison = frozenset({2})
    await caught_up(reader)
    mended = Tape(rig.ledger, rig.views)
    await mended.find_position()
    assert mended.health.faults == 1
    head = await rig.ledger.head()
    assert await mended.rebuild() == head
    assert await written(rig) == list(range(1, head + 1))
    assert mended.health.faults == 0
    async with rig.views.read() as connection:
        assert await connection.execute_fetchall("SELECT * FROM reader_faults") == []


async def test_a_rebuild_beside_the_running_service_doubles_nothing(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(base, "BATCH_ROWS", 3)
    await fill(rig, 20)
    service, command = Tape(rig.ledger, rig.views), Tape(rig.ledger, rig.views)
    await caught_up(service)
    box = Box("gate-2", seed=5)

    async def arrive() -> None:
        for _ in range(10):
            await rig.deliver(box, box.event())
            await asyncio.sleep(0)

    async def serve() -> None:
        for _ in range(40):
            await service.step()
            await asyncio.sleep(0)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(arrive())
        group.create_task(serve())
        group.create_task(command.rebuild())
    await caught_up(service)
    assert await written(rig) == list(range(1, await rig.ledger.head() + 1))


async def test_a_ledger_that_stands_lower_than_the_reader_makes_it_start_over(rig: Rig):
    await fill(rig, 4)
    backup = rig.ledger.snapshot()
    await fill(rig, 4, Box("gate-2", seed=7))
    await caught_up(Tape(rig.ledger, rig.views))
    reader = Tape(backup, rig.views)
    await caught_up(reader)
    assert await written(rig) == list(range(1, await backup.head() + 1))


async def test_a_restored_ledger_that_has_grown_past_the_reader_is_noticed_too(rig: Rig):
    await fill(rig, 4)
    backup = rig.ledger.snapshot()
    await fill(rig, 4, Box("gate-2", seed=7))
    await caught_up(Tape(rig.ledger, rig.views))
    rig.ledger = backup
    rig.campus.restart(backup)
    rig.campus.boxes.clear()
    await fill(rig, 9, Box("gate-3", seed=8))
    reader = Tape(backup, rig.views)
    await caught_up(reader)
    rows = await backup.read(0, 100)
    async with rig.views.read() as connection:
        tape = await connection.execute_fetchall("SELECT position, event_id FROM tape ORDER BY rowid")
    assert [tuple(row) for row in tape] == [(row.position, row.event_id) for row in rows]


async def test_an_outage_is_told_once_and_the_reader_comes_back(
    rig: Rig, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level("INFO", "aggregator.readers.base")
    monkeypatch.setattr(base, "RETRY_S", 0.01)
    await fill(rig, 5)
    reader = Tape(rig.ledger, rig.views)
    reader.failing = sqlite3.OperationalError("disk I/O error")
    running = asyncio.create_task(reader.run())
    try:
        await until(lambda: reader.health.failing)
        await asyncio.sleep(0.1)
        assert reader.health.faults == 0  # An outage is no fault of the row.
        reader.failing = None
        head = await rig.ledger.head()
        await until(lambda: reader.health.position == head)
        await until(lambda: not reader.health.failing)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert caplog.messages == ["reader down", "reader up"]
    assert await written(rig) == list(range(1, head + 1))


async def test_a_running_reader_takes_what_comes(rig: Rig):
    reader = Registry(rig.ledger, rig.views)
    running = asyncio.create_task(reader.run())
    try:
        for number in range(1, 4):
            await fill(rig, 2, Box(f"gate-{number}", seed=number))
            head = await rig.ledger.head()
            await until(lambda head=head: reader.health.position == head)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert [row["edge"] for row in await reader.edges()] == ["gate-1", "gate-2", "gate-3"]
