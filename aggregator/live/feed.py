"""New rows for everyone who watches: kept in one bounded ring, encoded once when somebody wants them, each watcher a
position into the ring.

A watcher that fell behind the ring is served from the ledger until it has caught up, so nobody ever misses a row and a
slow one costs no memory. Rows are joined into one frame per tick: what changes more often than that cannot be read.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import AsyncGenerator
from typing import Final, NamedTuple

from aggregator.ledger import Ledger, LedgerRow
from aggregator.live.view import BOOK_TOPIC, encode_row
from wire.topics import Lane

log = logging.getLogger(__name__)

RING_ROWS: Final = 5000
FRAME_ROWS: Final = 500
TICK_S: Final = 0.1
QUIET_S: Final = 15.0


class Wanted(NamedTuple):
    """What a watcher asks for; a wish, never a permission."""

    topic: str = ""
    device: str = ""
    lane: Lane | None = None

    def has(self, row: LedgerRow) -> bool:
        """Whether a row is asked for."""
        return (
            (not self.topic or row.topic == self.topic or row.topic.startswith(f"{self.topic}/"))
            and (not self.device or row.device_id == self.device)
            and (self.lane is None or row.lane is self.lane)
        )


class Frame(NamedTuple):
    """position: up to which the watcher now has everything it asked for. items: JSON objects."""

    position: int
    items: list[bytes]


class _Entry:
    """A row, encoded when the first watcher of a kind wants it."""

    __slots__ = ("_forms", "row")

    def __init__(self, row: LedgerRow) -> None:
        self.row = row
        self._forms: dict[tuple[bool, bool], bytes] = {}

    def form(self, *, people: bool, book: bool) -> bytes:
        # Almost all rows look the same with the book and without it.
        kind = (people, book and self.row.topic == BOOK_TOPIC)
        form = self._forms.get(kind)
        if form is None:
            form = self._forms[kind] = encode_row(self.row, people=kind[0], book=kind[1])
        return form


class Feed:
    """Follows the ledger; `watch` for each screen."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._ring: deque[_Entry] = deque(maxlen=RING_ROWS)
        self._position = 0
        self._moved = asyncio.Event()
        self._closed = False
        self.watchers = 0

    async def run(self) -> None:
        """Take what is new, once for all; for a TaskGroup. A ledger that cannot be read is tried again."""
        failing, begun = False, False
        while True:
            try:
                if begun:
                    await self._ledger.wait_beyond(self._position, QUIET_S)
                else:
                    self._position, begun = await self._ledger.head(), True
                    self._wake()
                await self._take()
                if failing:
                    failing = False
                    log.info("feed up")
            except (sqlite3.Error, OSError) as error:
                if not failing:
                    failing = True
                    log.warning("feed down", extra={"cause": str(error)})
            await asyncio.sleep(TICK_S)

    async def _take(self) -> None:
        rows = await self._ledger.read(self._position, FRAME_ROWS)
        if rows:
            self._ring.extend(map(_Entry, rows))
            self._position = rows[-1].position
            self._wake()

    def _wake(self) -> None:
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def close(self) -> None:
        """End every watch within a tick."""
        self._closed = True
        self._moved.set()

    async def watch(
        self, after: int, wanted: Wanted, *, people: bool, book: bool = False
    ) -> AsyncGenerator[Frame, None]:
        """Frames from position after on, for ever; an empty one when nothing came for QUIET_S.

        after: beyond the head it counts as the head, since the ledger may have been restored from a backup. Raises
        sqlite3.Error or OSError when the ledger cannot be read; the caller comes back with the position it has.
        """
        self.watchers += 1
        try:
            position = min(after, await self._ledger.head())
            while not self._closed:
                entries = self._held_beyond(position)
                if entries is None:
                    rows = await self._ledger.read(position, FRAME_ROWS)
                    items = [encode_row(row, people=people, book=book) for row in rows if wanted.has(row)]
                    position = rows[-1].position if rows else position
                    yield Frame(position, items)
                elif entries:
                    position = entries[-1].row.position
                    items = [entry.form(people=people, book=book) for entry in entries if wanted.has(entry.row)]
                    yield Frame(position, items)
                elif not await self._wait():
                    yield Frame(position, [])
        finally:
            self.watchers -= 1

    def _held_beyond(self, position: int) -> list[_Entry] | None:
        """Up to FRAME_ROWS entries after position; None when the ring no longer reaches back that far."""
        if position >= self._position:
            return []
        if not self._ring or self._ring[0].row.position > position + 1:
            return None
        start = position + 1 - self._ring[0].row.position
        return [self._ring[index] for index in range(start, min(start + FRAME_ROWS, len(self._ring)))]

    async def _wait(self) -> bool:
        try:
            async with asyncio.timeout(QUIET_S):
                await self._moved.wait()
        except TimeoutError:
            return False
        return True
