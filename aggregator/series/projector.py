"""The reader that writes the series. Its position moves only after the store has what was before it.

The store may be away for days: the ledger keeps, the position stays, and what was missed is written when it is back.
A kill between the store's answer and the saving of the position writes some points again, which changes nothing.
"""

import sqlite3
from collections.abc import Sequence

from aggregator.ledger import Ledger, LedgerRow
from aggregator.readers import Reader
from aggregator.series.points import Point, points_of
from aggregator.series.store import SeriesStore
from aggregator.storage import Database


class Projector(Reader):
    """See the module. `rebuild` clears the store and writes it anew."""

    name = "series"
    # A curve that is a moment behind looks the same, and each step is two flushes of the disk. Not longer: in a drain
    # the rows must still be in the ledger's memory when they are taken.
    linger_s = 0.2

    def __init__(self, ledger: Ledger, db: Database, store: SeriesStore) -> None:
        """db: views.sqlite, where the position is saved."""
        super().__init__(ledger, db)
        self.store = store
        self.written = 0

    async def rebuild(self) -> int:
        """See Reader. Raises SeriesUnavailable."""
        await self.store.clear()
        return await super().rebuild()

    async def deliver(self, rows: Sequence[LedgerRow]) -> None:
        """See Reader."""
        points: list[Point] = [point for row in rows for point in points_of(row)]
        if points:
            await self.store.write(points)
            self.written += len(points)

    def apply(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        """Nothing of the series stands beside the position."""

    def clear(self, connection: sqlite3.Connection) -> None:
        """The store is cleared by `rebuild`."""
