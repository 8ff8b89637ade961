import random
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from argon2 import PasswordHasher

from aggregator.accounts import Office
from aggregator.storage import Database
from tests.support.clock import VirtualClock
from wire.records import Record


class CountingHasher(PasswordHasher):
    """Cheap, and knows how often it was asked."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.verified = 0

    def verify(self, hash: str | bytes, password: str | bytes):
        self.verified += 1
        return super().verify(hash, password)


@dataclass
class Rig:
    """An office with everything around it."""

    office: Office
    db: Database
    clock: VirtualClock
    hasher: CountingHasher
    ledger: list[Record] = field(default_factory=list)


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    clock, hasher, ledger = VirtualClock(), CountingHasher(), []

    async def append(records: Sequence[Record]) -> None:
        ledger.extend(records)

    async with await Database.open(tmp_path / "office.sqlite", "aggregator.accounts") as db:
        office = Office(db, clock=clock, random=random.Random(7).randbytes, append=append, hasher=hasher)
        yield Rig(office, db, clock, hasher, ledger)


@pytest.fixture
def office(rig: Rig) -> Office:
    return rig.office
