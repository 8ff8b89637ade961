"""Readers in step: each with a picture and position of its own, one transaction for all, nobody held up by another."""

import asyncio
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from aggregator.ledger import LedgerRow
from aggregator.readers import Together, base, together
from aggregator.storage import Database
from tests.admission.box import Box
from tests.readers.conftest import Rig
from tests.readers.test_base import Killed, Tape, fill
from tests.support.waiting import until


class One(Tape):
    name = "one"


class Two(Tape):
    """A tape of its own."""

    name = "two"

    def apply(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        connection.execute("CREATE TABLE IF NOT EXISTS tape_two (position INTEGER)")
        for row in rows:
            if row.position in self.poison:
                raise ValueError("bad")
            connection.execute("INSERT INTO tape_two VALUES (?)", (row.position,))

    def clear(self, connection: sqlite3.Connection) -> None:
        connection.execute("DROP TABLE IF EXISTS tape_two")


class Pair:
    """Two readers in step."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.one, self.two = One(rig.ledger, rig.views), Two(rig.ledger, rig.views)
        self.together = Together(rig.ledger, rig.views, (self.one, self.two))

    async def caught_up(self) -> None:
        await self.together.find_positions()
        while await self.together.step():
            pass

    async def written(self) -> tuple[list[int], list[int]]:
        async with self.rig.views.read() as connection:
            tapes = [
                [row[0] for row in await connection.execute_fetchall(f"SELECT position FROM {name} ORDER BY rowid")]
                for name in ("tape", "tape_two")
            ]
        return tapes[0], tapes[1]


@pytest.fixture
def pair(rig: Rig) -> Pair:
    return Pair(rig)


async def everything(rig: Rig) -> list[int]:
    return list(range(1, await rig.ledger.head() + 1))


def counted(views: Database, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One entry for each transaction."""
    writes: list[int] = []
    write = views.write

    async def counting(function: Any) -> Any:
        writes.append(1)
        return await write(function)

    monkeypatch.setattr(views, "write", counting)
    return writes


async def test_what_all_take_is_one_transaction(rig: Rig, pair: Pair, monkeypatch: pytest.MonkeyPatch):
    await fill(rig, 20)
    writes = counted(rig.views, monkeypatch)
    await pair.caught_up()
    assert len(writes) == 1
    assert await pair.written() == (await everything(rig),) * 2
    assert pair.one.health.position == pair.two.health.position == await rig.ledger.head()


@pytest.mark.parametrize("kill_at", [1, 4, 10])
async def test_a_kill_in_a_transaction_loses_and_doubles_nothing(rig: Rig, pair: Pair, kill_at: int):
    await fill(rig, 10)
    pair.one.kill_at = kill_at
    with pytest.raises(Killed):
        await pair.caught_up()
    await Pair(rig).caught_up()
    assert await pair.written() == (await everything(rig),) * 2


async def test_a_row_that_one_cannot_take_is_passed_over_by_that_one_alone(rig: Rig, pair: Pair):
    await fill(rig, 10)
    pair.two.poison = frozenset({3, 4})
    await pair.caught_up()
    rows = await everything(rig)
    assert await pair.written() == (rows, [position for position in rows if position not in {3, 4}])
    assert (pair.one.health.faults, pair.two.health.faults) == (0, 2)
    await fill(rig, 3, Box("gate-2", seed=7))
    await pair.caught_up()
    assert pair.one.health.position == pair.two.health.position == await rig.ledger.head()


async def test_one_that_is_behind_holds_nobody_up_and_comes_into_step(
    rig: Rig, pair: Pair, monkeypatch: pytest.MonkeyPatch
):
    await fill(rig, 40)
    await pair.one.find_position()
    while await pair.one.step():
        pass
    monkeypatch.setattr(together, "CATCH_UP_ROWS", 5)
    await pair.together.find_positions()
    await fill(rig, 5, Box("gate-2", seed=7))
    await pair.together.step()
    assert pair.one.health.position == await rig.ledger.head()
    assert pair.two.health.position == 5
    while await pair.together.step():
        pass
    assert await pair.written() == (await everything(rig),) * 2
    writes = counted(rig.views, monkeypatch)
    await fill(rig, 5, Box("gate-3", seed=8))
    await pair.together.step()
    assert len(writes) == 1


async def test_a_rebuild_beside_the_running_service_doubles_nothing(
    rig: Rig, pair: Pair, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(base, "BATCH_ROWS", 3)
    monkeypatch.setattr(together, "BATCH_ROWS", 3)
    await fill(rig, 20)
    await pair.caught_up()
    box, command = Box("gate-2", seed=5), Pair(rig)

    async def arrive() -> None:
        for _ in range(10):
            await rig.deliver(box, box.event())
            await asyncio.sleep(0)

    async def serve() -> None:
        for _ in range(60):
            await pair.together.step()
            await asyncio.sleep(0)

    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        group.create_task(arrive())
        group.create_task(serve())
        group.create_task(command.two.rebuild())
    await pair.caught_up()
    assert await pair.written() == (await everything(rig),) * 2


async def test_a_restored_ledger_makes_all_start_over(rig: Rig, pair: Pair):
    await fill(rig, 4)
    backup = rig.ledger.snapshot()
    await fill(rig, 4, Box("gate-2", seed=7))
    await pair.caught_up()
    rig.ledger = backup
    await Pair(rig).caught_up()
    assert await pair.written() == (await everything(rig),) * 2


async def test_they_run_and_an_outage_of_their_file_is_told_once_for_each(
    rig: Rig, pair: Pair, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level("INFO", "aggregator.readers.base")
    monkeypatch.setattr(together, "RETRY_S", 0.01)
    monkeypatch.setattr(together, "LINGER_S", 0.01)
    running = asyncio.create_task(pair.together.run())
    try:
        await fill(rig, 5)
        head = await rig.ledger.head()
        await until(lambda: pair.one.health.position == pair.two.health.position == head)
        assert await pair.one.reached(head, 20)
        pair.one.failing = sqlite3.OperationalError("disk I/O error")
        await fill(rig, 5, Box("gate-2", seed=7))
        await until(lambda: pair.one.health.failing and pair.two.health.failing)
        await asyncio.sleep(0.05)
        pair.one.failing = None
        head = await rig.ledger.head()
        await until(lambda: pair.two.health.position == head and not pair.two.health.failing)
        await until(lambda: pair.one.health.lag == 0)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert sorted(caplog.messages) == ["reader down"] * 2 + ["reader up"] * 2
    assert (pair.one.health.faults, pair.two.health.faults) == (0, 0)
    assert await pair.written() == (await everything(rig),) * 2
