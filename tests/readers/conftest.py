from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from aggregator.ledger import MemoryLedger
from aggregator.storage import Database
from tests.admission.box import CAMPUS, Box
from tests.admission.campus import Campus
from tests.support.clock import VirtualClock, seeded
from wire.records import Record
from wire.topics import LANES


class Rig:
    """A ledger that boxes deliver to, and the file of the readers."""

    def __init__(self, views: Database) -> None:
        self.clock = VirtualClock()
        self.ledger = MemoryLedger(campus_id=CAMPUS, random=seeded(9))
        self.views = views
        self.campus = Campus(self.ledger, self.clock)

    async def deliver(self, box: Box, *records: Record) -> None:
        before = {lane: box.end(lane)[0] for lane in LANES}
        box.put(*records)
        if box.edge not in self.campus.boxes:
            self.campus.boxes[box.edge] = box.enrolled()
            await self.campus.admission.receive(*box.hello())
        for lane in LANES:
            if box.end(lane)[0] > before[lane]:
                await self.campus.admission.receive(*box.batch(lane, before[lane]))


@pytest.fixture
async def views(tmp_path: Path) -> AsyncIterator[Database]:
    async with await Database.open(tmp_path / "views.sqlite", "aggregator.readers") as db:
        yield db


@pytest.fixture
def rig(views: Database) -> Rig:
    return Rig(views)
