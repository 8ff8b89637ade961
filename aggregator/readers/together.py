"""Readers whose pictures stand in one file, run in step: their rows are read once and written in one transaction.

Each keeps its own position, and nobody waits for another: one that is behind (it is new, or was told to start over)
takes a batch of its own in each turn until it has caught up. A row that one of them cannot take is taken by each for
itself, so that only that one passes it over.
"""

import asyncio
import sqlite3
from collections.abc import Sequence
from typing import Final

from aggregator.ledger import Ledger, LedgerRow
from aggregator.readers.base import BATCH_ROWS, DISK_FAILURES, LINGER_S, POLL_S, READER_FAILURES, RETRY_S, Reader
from aggregator.storage import Database

CATCH_UP_ROWS: Final = 500


class Together:
    """See the module. `run` it in a TaskGroup."""

    def __init__(self, ledger: Ledger, db: Database, readers: Sequence[Reader]) -> None:
        """db: of all of them. readers: without a store of their own."""
        self._ledger = ledger
        self._db = db
        self._readers = readers

    async def run(self) -> None:
        """Follow the ledger for ever."""
        found = False
        while True:
            try:
                if not found:
                    await self.find_positions()
                    found = True
                taken = await self.step()
                self._tell(failing=False)
                if 0 < taken < BATCH_ROWS:
                    await asyncio.sleep(LINGER_S)
                await self._wait()
            except READER_FAILURES as error:
                self._tell(failing=True, cause=str(error))
                await asyncio.sleep(RETRY_S)

    async def find_positions(self) -> None:
        """Before the first step."""
        for reader in self._readers:
            await reader.find_position()

    async def step(self) -> int:
        """One turn; returns how many rows were taken by whoever took most. Raises READER_FAILURES."""
        lead = max(reader.health.position for reader in self._readers)
        rows = await self._ledger.read(lead, BATCH_ROWS)
        behind = [reader for reader in self._readers if reader.health.position < lead]
        if rows:
            await self._take([reader for reader in self._readers if reader.health.position == lead], rows)
        caught_up = [await reader.step(min(CATCH_UP_ROWS, lead - reader.health.position)) for reader in behind]
        return max([len(rows), *caught_up])

    async def _take(self, company: Sequence[Reader], rows: Sequence[LedgerRow]) -> None:
        def write(connection: sqlite3.Connection) -> None:
            for reader in company:
                reader.write(connection, rows)

        try:
            await self._db.write(write)
        except DISK_FAILURES:
            raise
        except Exception:  # noqa: BLE001  whose row it was, or whose position, each finds out for itself
            for reader in company:
                await reader.take(rows)
            return
        for reader in company:
            reader.advance(rows)

    async def _wait(self) -> None:
        """Until there is something for whoever is furthest behind."""
        position = min(reader.health.position for reader in self._readers)
        head = await self._ledger.wait_beyond(position, POLL_S)
        for reader in self._readers:
            reader.health.lag = max(0, head - reader.health.position)

    def _tell(self, *, failing: bool, cause: str = "") -> None:
        for reader in self._readers:
            reader.tell(failing=failing, cause=cause)
