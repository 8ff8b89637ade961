"""What the ledger knows without asking its file: its newest rows, and how far each device has come.

Tail. Every reader and every screen wants what was just committed; they are given the rows that were written instead of
each reading them back. Bounded; whoever is further behind reads the file.

Tops. A record whose number is above every number its device has used repeats nothing, and one that is later than
everything of its device shares no series time: neither has to be looked up. Tops hold for one head of the ledger. When
the file has another (a transaction was rolled back, or another process has appended), they are forgotten.
"""

import sqlite3
from collections.abc import Sequence
from typing import Final

from aggregator.ledger.rows import LedgerRow
from aggregator.storage import Statements
from wire.identity import SOURCE_SPACE_SHIFT, source_space

SQL: Final = Statements.load("aggregator.ledger")
TAIL_ROWS: Final = 2000
TOPS_MAX: Final = 50_000


class Tail:
    """The rows that this process committed last, without a hole. Another one may write, too; then it begins anew."""

    def __init__(self) -> None:
        self._rows: list[LedgerRow] = []

    def add(self, rows: Sequence[LedgerRow]) -> None:
        """Rows of one commit, in order."""
        if not rows:
            return
        if self._rows and rows[0].position != self._rows[-1].position + 1:
            self._rows = []
        self._rows.extend(rows)
        if len(self._rows) >= 2 * TAIL_ROWS:
            del self._rows[:-TAIL_ROWS]

    def after(self, position: int, limit: int) -> list[LedgerRow]:
        """Up to limit rows after a position; none where that is not known here."""
        if not self._rows or position + 1 < self._rows[0].position:
            return []
        start = position + 1 - self._rows[0].position
        return self._rows[start : start + limit]

    def clear(self) -> None:
        """What it knows is no longer so."""
        self._rows = []


class Tops:
    """The highest number and series time of each device, as far as anybody asked. Used on the writing thread only."""

    def __init__(self) -> None:
        self._head = -1
        self._numbers: dict[tuple[str, int], int] = {}
        self._series: dict[str, int] = {}

    def begin(self, head: int) -> None:
        """A transaction begins on a ledger that has this head."""
        if head != self._head or len(self._numbers) + len(self._series) > TOPS_MAX:
            self._head = head
            self._numbers.clear()
            self._series.clear()

    def advance(self, rows: Sequence[LedgerRow], head: int) -> None:
        """These rows are written and bring the ledger to this head, if they are committed."""
        self._head = head
        for row in rows:
            if row.source_no is not None:
                key = row.device_id, source_space(row.source_no)
                self._numbers[key] = max(self._numbers.get(key, -1), row.source_no)
            if row.series_time_ns is not None and row.series_time_ns > self._series.get(row.device_id, -1):
                self._series[row.device_id] = row.series_time_ns

    def number(self, connection: sqlite3.Connection, device_id: str, space: int) -> int:
        """The highest number that a device has used in a space; -1 for none."""
        key = device_id, space
        top = self._numbers.get(key)
        if top is None:
            first = space << SOURCE_SPACE_SHIFT
            last = first + (1 << SOURCE_SPACE_SHIFT) - 1
            params = {"device_id": device_id, "first": first, "last": last}
            found: int | None = connection.execute(SQL["source_top"], params).fetchone()[0]
            top = self._numbers[key] = -1 if found is None else found
        return top

    def series(self, connection: sqlite3.Connection, device_id: str) -> int:
        """The highest series time of a device; -1 for none."""
        top = self._series.get(device_id)
        if top is None:
            found: int | None = connection.execute(SQL["series_top"], {"device_id": device_id}).fetchone()[0]
            top = self._series[device_id] = -1 if found is None else found
        return top
