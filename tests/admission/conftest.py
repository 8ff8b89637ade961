"""Every test that takes `campus` runs on the SQLite ledger and on its twin in memory."""

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.ledger import Ledger, MemoryLedger, SqliteLedger
from aggregator.storage import Database
from tests.admission.box import CAMPUS
from tests.admission.campus import Backup, Campus
from tests.support.clock import VirtualClock, seeded


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["sqlite", "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger(campus_id=CAMPUS, random=seeded(9))
        return
    async with await Database.open(tmp_path / "ledger.sqlite", "aggregator.ledger") as db:
        yield await SqliteLedger.open(db, campus_id=CAMPUS, random=seeded(9))


@pytest.fixture
async def backup(ledger: Ledger, tmp_path: Path) -> AsyncIterator[Backup]:
    """Makes another ledger that stands where this one stands now."""
    opened: list[Database] = []

    async def make() -> Ledger:
        if isinstance(ledger, MemoryLedger):
            return ledger.snapshot()
        copy = tmp_path / f"backup-{len(opened)}.sqlite"
        source, target = sqlite3.connect(tmp_path / "ledger.sqlite"), sqlite3.connect(copy)
        source.backup(target)
        source.close()
        target.close()
        opened.append(await Database.open(copy, "aggregator.ledger"))
        return await SqliteLedger.open(opened[-1], campus_id=CAMPUS, random=seeded(10))

    yield make
    for db in opened:
        await db.close()


@pytest.fixture
def campus(ledger: Ledger, clock: VirtualClock) -> Campus:
    return Campus(ledger, clock)
