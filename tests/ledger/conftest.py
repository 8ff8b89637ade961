"""Every test that takes `ledger` runs on the SQLite ledger and on its twin in memory."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.ledger import Ledger, MemoryLedger, SqliteLedger
from aggregator.storage import Database
from tests.admission.box import CAMPUS
from tests.support.clock import VirtualClock, seeded


@pytest.fixture(params=["sqlite", "memory"])
async def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ledger]:
    if request.param == "memory":
        yield MemoryLedger(campus_id=CAMPUS, random=seeded(9))
        return
    async with await Database.open(tmp_path / "ledger.sqlite", "aggregator.ledger") as db:
        yield await SqliteLedger.open(db, campus_id=CAMPUS, random=seeded(9))


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()
