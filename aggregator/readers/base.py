"""What every reader of the ledger does: go on from its position, save it with what it made, start over when told.

A reader's picture and its position are written in one transaction of `views.sqlite`, so a kill at any moment loses
nothing and doubles nothing. The same transaction first looks whether the position is still the one it goes on from: a
rebuild beside the running service moves it, and whoever comes second goes on from there. With the position stands the
id of the record it was reached with; a ledger that holds another there was restored from a backup, and the reader
starts over. A row that a reader cannot take is passed over and named in `reader_faults`; one bad row
must not stop everything behind it. `rebuild` throws the picture away and makes it again; it must come out the same.

A reader decides nothing about the world outside its tables: no network, no clock. One whose picture stands in another
store (`deliver`) brings it there first, again and again if need be, and then saves its position.
"""

import asyncio
import logging
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from aggregator.ledger import Ledger, LedgerRow
from aggregator.storage import Database, Statements, StorageError

log = logging.getLogger(__name__)

SQL: Final = Statements.load("aggregator.readers")

BATCH_ROWS: Final = 500
# Rows that come one by one are taken together: a transaction costs as much as fifty rows.
LINGER_S: Final = 0.05
POLL_S: Final = 5.0
RETRY_S: Final = 2.0


@dataclass(slots=True)
class ReaderHealth:
    """position: the last row taken; lag: rows behind the head when it last looked; faults: rows passed over."""

    position: int = 0
    lag: int = 0
    faults: int = 0
    failing: bool = False


class _Moved(Exception):
    """Somebody else took these rows, or told the reader to start over."""


class Reader(ABC):
    """Subclass with a name, `apply` and `clear`; run `run` in a TaskGroup."""

    name: str

    def __init__(self, ledger: Ledger, db: Database) -> None:
        """db: views.sqlite, shared by all readers."""
        self._ledger = ledger
        self._db = db
        self.health = ReaderHealth()
        self._moved = asyncio.Event()

    @abstractmethod
    def apply(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        """Take rows, in order. Runs inside the transaction that also saves the position."""

    @abstractmethod
    def clear(self, connection: sqlite3.Connection) -> None:
        """Forget everything."""

    async def deliver(self, rows: Sequence[LedgerRow]) -> None:
        """Bring rows to a store that is not in views.sqlite, before the position is saved; a kill in between brings
        them again. An OSError makes the reader wait and try again. Most readers have no such store.
        """
        del rows

    async def run(self) -> None:
        """Follow the ledger for ever."""
        found = False
        while True:
            try:
                if not found:
                    await self._find_position()
                    found = True
                taken = await self.step()
                self._told(failing=False)
                if 0 < taken < BATCH_ROWS:
                    await asyncio.sleep(LINGER_S)
                head = await self._ledger.wait_beyond(self.health.position, POLL_S)
                self.health.lag = max(0, head - self.health.position)
            except (sqlite3.Error, StorageError, OSError) as error:
                self._told(failing=True, cause=str(error))
                await asyncio.sleep(RETRY_S)

    async def reached(self, position: int, within_s: float) -> bool:
        """Whether the picture came to be that of a position in time; for whoever wants to see what he just did."""
        try:
            async with asyncio.timeout(within_s):
                while self.health.position < position:
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def step(self) -> int:
        """Take one batch; returns how many rows there were. The position must have been found."""
        rows = await self._ledger.read(self.health.position, BATCH_ROWS)
        if rows:
            try:
                await self._take(rows)
            except _Moved:
                await self._find_position()
        return len(rows)

    async def rebuild(self) -> int:
        """Start over and take the whole ledger; returns the position reached."""

        def forget(connection: sqlite3.Connection) -> None:
            self.clear(connection)
            connection.execute(SQL["forget_faults"], {"reader": self.name})
            connection.execute(SQL["set_position"], {"reader": self.name, "position": 0, "event_id": ""})

        await self._db.write(forget)
        self.health.position, self.health.faults = 0, 0
        while await self.step():
            pass
        self.health.lag = 0
        return self.health.position

    async def _find_position(self) -> None:
        async with self._db.read() as connection:
            async with connection.execute(SQL["position"], {"reader": self.name}) as cursor:
                row = await cursor.fetchone()
            async with connection.execute(SQL["count_faults"], {"reader": self.name}) as cursor:
                faults = await cursor.fetchone()
        position, event_id = (row["position"], row["event_id"]) if row is not None else (0, "")
        last = await self._ledger.read(position - 1, 1) if position else []
        if position and (not last or last[0].event_id != event_id):
            # The ledger was restored from a backup: what was made of rows that are gone is wrong.
            log.warning("reader knows another ledger; rebuilding", extra={"reader": self.name, "position": position})
            await self.rebuild()
            return
        self.health.position = position
        self.health.faults = int(faults[0]) if faults is not None else 0

    async def _take(self, rows: Sequence[LedgerRow]) -> None:
        try:
            await self.deliver(rows)
            await self._db.write(lambda connection: self._write(connection, rows))
        except (_Moved, sqlite3.OperationalError, StorageError, OSError):
            raise
        except Exception as error:  # noqa: BLE001  a row we cannot take must not stop those behind it
            if len(rows) > 1:
                for row in rows:
                    await self._take([row])
                return
            await self._pass_over(rows[0], error)
        self.health.position = rows[-1].position
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _write(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        self._go_on(connection, rows)
        self.apply(connection, rows)

    def _go_on(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        stored = connection.execute(SQL["position"], {"reader": self.name}).fetchone()
        if (stored["position"] if stored is not None else 0) != rows[0].position - 1:
            raise _Moved
        params = {"reader": self.name, "position": rows[-1].position, "event_id": rows[-1].event_id}
        connection.execute(SQL["set_position"], params)

    async def _pass_over(self, row: LedgerRow, error: Exception) -> None:
        # The type only: the message may hold what the row holds.
        cause = type(error).__name__
        log.error("reader passed over a row", extra={"reader": self.name, "position": row.position, "cause": cause})
        fault = {"reader": self.name, "position": row.position, "cause": cause}

        def write(connection: sqlite3.Connection) -> None:
            self._go_on(connection, [row])
            connection.execute(SQL["fault"], fault)

        await self._db.write(write)
        self.health.faults += 1

    def _told(self, *, failing: bool, cause: str = "") -> None:
        if failing != self.health.failing:
            self.health.failing = failing
            if failing:
                log.warning("reader down", extra={"reader": self.name, "cause": cause})
            else:
                log.info("reader up", extra={"reader": self.name})
