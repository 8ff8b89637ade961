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
# The disk's doing, not that of a row.
DISK_FAILURES: Final = (sqlite3.OperationalError, StorageError, OSError)
# What a reader waits for and tries again.
READER_FAILURES: Final = (sqlite3.Error, StorageError, OSError)


@dataclass(slots=True)
class ReaderHealth:
    """position: the last row taken; lag: rows behind the head when it last looked; faults: rows passed over."""

    position: int = 0
    lag: int = 0
    faults: int = 0
    failing: bool = False


class Moved(Exception):
    """Somebody else took these rows, or told the reader to start over."""


class Reader(ABC):
    """Subclass with a name, `apply` and `clear`; run `run` in a TaskGroup."""

    name: str
    # How long rows are waited for after some came; a store that is dear to write is given more of them at once.
    linger_s: float = LINGER_S

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
        """Follow the ledger for ever, alone; see `Together` for readers that have nothing but views.sqlite."""
        found = False
        while True:
            try:
                if not found:
                    await self.find_position()
                    found = True
                taken = await self.step()
                self.tell(failing=False)
                if 0 < taken < BATCH_ROWS:
                    await asyncio.sleep(self.linger_s)
                head = await self._ledger.wait_beyond(self.health.position, POLL_S)
                self.health.lag = max(0, head - self.health.position)
            except READER_FAILURES as error:
                self.tell(failing=True, cause=str(error))
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

    async def step(self, limit: int | None = None) -> int:
        """Take one batch; returns how many rows there were. The position must have been found."""
        rows = await self._ledger.read(self.health.position, limit or BATCH_ROWS)
        if rows:
            await self.take(rows)
        return len(rows)

    async def rebuild(self) -> int:
        """Start over and take the whole ledger; returns the position reached."""
        await self._start_over()
        while await self.step():
            pass
        self.health.lag = 0
        return self.health.position

    async def _start_over(self) -> None:
        def forget(connection: sqlite3.Connection) -> None:
            self.clear(connection)
            connection.execute(SQL["forget_faults"], {"reader": self.name})
            connection.execute(SQL["set_position"], {"reader": self.name, "position": 0, "event_id": ""})

        await self._db.write(forget)
        self.health.position, self.health.faults = 0, 0

    async def find_position(self) -> None:
        """Know where to go on, before the first step."""
        async with self._db.read() as connection:
            rows = list(await connection.execute_fetchall(SQL["position"], {"reader": self.name}))
            ((faults,),) = await connection.execute_fetchall(SQL["count_faults"], {"reader": self.name})
        position, event_id = (rows[0]["position"], rows[0]["event_id"]) if rows else (0, "")
        last = await self._ledger.read(position - 1, 1) if position else []
        if position and (not last or last[0].event_id != event_id):
            # The ledger was restored from a backup: what was made of rows that are gone is wrong.
            log.warning("reader knows another ledger; starting over", extra={"reader": self.name, "position": position})
            await self._start_over()
            return
        self.health.position, self.health.faults = position, int(faults)

    async def take(self, rows: Sequence[LedgerRow]) -> None:
        """Take rows that follow the position. One that cannot be taken is passed over. Raises READER_FAILURES."""
        try:
            await self._take(rows)
        except Moved:
            await self.find_position()

    async def _take(self, rows: Sequence[LedgerRow]) -> None:
        try:
            await self.deliver(rows)
            await self._db.write(lambda connection: self.write(connection, rows))
        except (Moved, *DISK_FAILURES):
            raise
        except Exception as error:  # noqa: BLE001  a row we cannot take must not stop those behind it
            if len(rows) > 1:
                for row in rows:
                    await self._take([row])
                return
            await self._pass_over(rows[0], error)
        self.advance(rows)

    def write(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        """Rows and the position after them, within a transaction. Raises Moved, and whatever `apply` does."""
        self._go_on(connection, rows)
        self.apply(connection, rows)

    def advance(self, rows: Sequence[LedgerRow]) -> None:
        """Rows are taken and on disk."""
        self.health.position = rows[-1].position
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _go_on(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        stored = connection.execute(SQL["position"], {"reader": self.name}).fetchone()
        if (stored["position"] if stored is not None else 0) != rows[0].position - 1:
            raise Moved
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

    def tell(self, *, failing: bool, cause: str = "") -> None:
        """Say once that it cannot read or write, and once that it can again."""
        if failing != self.health.failing:
            self.health.failing = failing
            if failing:
                log.warning("reader down", extra={"reader": self.name, "cause": cause})
            else:
                log.info("reader up", extra={"reader": self.name})
