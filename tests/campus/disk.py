"""The card in a box: what survives the process, and the ways in which it fails.

A card holds the bytes of one SQLite database. A process that starts gets a connection to a copy of them in memory and
works on that; `pull` ends the process as a kill does: its connection answers nothing more, an open transaction is gone,
what was committed is kept for the next start. `image` and `put_back` are the technician with his card reader.

Faults happen at COMMIT, the one place where they matter: the power fails just before it or just after it, the device
reports an error although nothing, or although everything, was written, or there is no room.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, TypeVar

from tests.campus.chance import Chance

T = TypeVar("T")


class PowerCut(BaseException):
    """The machine is off from this statement on. Nobody can catch this and do anything useful."""


class Fault(Enum):
    """What happens to one COMMIT."""

    CUT_BEFORE = auto()
    CUT_AFTER = auto()
    ERROR_BEFORE = auto()
    ERROR_AFTER = auto()


def _error(text: str, code: int, name: str) -> sqlite3.OperationalError:
    error = sqlite3.OperationalError(text)
    error.sqlite_errorcode, error.sqlite_errorname = code, name
    return error


class CardConnection(sqlite3.Connection):
    """A connection whose commits ask the card."""

    card: "Card | None" = None

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        card = self.card
        if card is not None and card.off:
            raise PowerCut
        if card is None or sql != "COMMIT":
            return super().execute(sql, *arguments)
        return card.commit(lambda: super(CardConnection, self).execute(sql))


@dataclass(eq=False)
class Card:
    """One medium. full: no room for a single page. due: commits left until a fault happens. off: no process may touch
    it any more; on_cut: told in the moment in which the power fails.
    """

    full: bool = False
    off: bool = False
    fault: Fault | None = None
    due: int = 0
    commits: int = 0
    on_cut: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self._bytes: bytes = b""
        self._connection: CardConnection | None = None

    def arm(self, fault: Fault, due: int) -> None:
        """Let a fault happen at the due-th commit from now, counted from 1."""
        self.fault, self.due = fault, due

    def connect(self) -> sqlite3.Connection:
        """What a process that starts opens."""
        self._settle()
        self.off = False
        connection = sqlite3.connect(":memory:", factory=CardConnection, isolation_level=None)
        if self._bytes:
            connection.deserialize(self._bytes)
        connection.card = self
        self._connection = connection
        return connection

    def commit(self, really: Callable[[], sqlite3.Cursor]) -> sqlite3.Cursor:
        self.commits += 1
        if self.full:
            raise _error("database or disk is full", sqlite3.SQLITE_FULL, "SQLITE_FULL")
        fault = None
        if self.fault is not None:
            self.due -= 1
            if self.due <= 0:
                fault, self.fault = self.fault, None
        if fault in {Fault.CUT_AFTER, Fault.ERROR_AFTER, None}:
            cursor = really()
        if fault in {Fault.CUT_BEFORE, Fault.CUT_AFTER}:
            self.pull()
            self.on_cut()
            raise PowerCut
        if fault in {Fault.ERROR_BEFORE, Fault.ERROR_AFTER}:
            raise _error("disk I/O error", sqlite3.SQLITE_IOERR_FSYNC, "SQLITE_IOERR_FSYNC")
        return cursor

    def pull(self) -> None:
        """The process is dead, whatever it still believes."""
        self.off = True

    def image(self) -> bytes:
        """The bytes of the card as they are committed now. No transaction may be open."""
        if self.off:
            self._settle()
        return self._connection.serialize() if self._connection is not None else self._bytes

    @staticmethod
    def never_used(image: bytes) -> bool:
        """Whether an image is of a card that no process has finished setting up."""
        if not image:
            return True
        connection = sqlite3.connect(":memory:")
        try:
            connection.deserialize(image)
            return not connection.execute("SELECT count(*) FROM sqlite_schema WHERE name = 'state'").fetchone()[0] or (
                not connection.execute("SELECT count(*) FROM state").fetchone()[0]
            )
        finally:
            connection.close()

    def put_back(self, image: bytes) -> None:
        """Write an image to the card. The process must be dead."""
        self._settle()
        self._bytes = image

    def look(self, sql: str, *parameters: object) -> list[tuple[Any, ...]]:
        """A query by the observer, beside the process."""
        connection = sqlite3.connect(":memory:")
        try:
            connection.deserialize(self.image())
            return connection.execute(sql, parameters).fetchall()
        finally:
            connection.close()

    def _settle(self) -> None:
        """Keep what was committed by a process that is dead."""
        connection, self._connection = self._connection, None
        if connection is None:
            return
        assert self.off
        connection.card = None
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        self._bytes = connection.serialize()
        connection.close()


class DiskHop:
    """Implements edge_agent.outbox.Hop: one call at a time, each takes its time, the transaction somewhere inside."""

    def __init__(self, chance: Chance, *, slow: float = 0.0) -> None:
        """slow: probability of a call that takes up to half a second, as cards do when they tidy up."""
        self._chance = chance
        self._slow = slow
        self._turn = asyncio.Lock()
        self.dead = False

    async def run(self, call: Callable[[], T]) -> T:
        async with self._turn:
            await asyncio.sleep(self._time_s())
            if self.dead:
                raise asyncio.CancelledError
            try:
                return call()
            finally:
                # Done, but the program does not know it yet.
                await asyncio.sleep(self._time_s() / 2)

    def _time_s(self) -> float:
        if self._chance.happens(self._slow):
            return self._chance.uniform(0.05, 0.5)
        return self._chance.uniform(0.0002, 0.004)

    def close(self) -> None:
        pass
