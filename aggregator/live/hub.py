"""The live page's frames: what changed, at most five times a second, encoded once for all who see the same.

Frames stand in one bounded ring, and each watcher is a number into it: a slow one costs no memory, and one that fell
behind the ring is told so (`gap`) and begins anew with a snapshot. A page that comes back with the position it has is
brought up to date in one frame.

A frame comes at least every second, news or not: how old the last one is tells a page whether what it shows is live. So
while our own tables cannot be read or a reader of ours fails, there are none. While nobody watches, nothing is done.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.admission.group import STORE_FAILURES
from aggregator.admission.sessions import Liveness
from aggregator.ledger import Filter, Ledger, LedgerRow
from aggregator.live.board import EXCEPTIONS_KEPT, Board, Now
from aggregator.live.shapes import DoorView, News, encode
from aggregator.live.tables import NOWHERE, Tables, read_tables
from aggregator.readers import Reader
from aggregator.readers.doors import DENIED
from aggregator.storage import Database
from wire.clock import NS_PER_S, Clock

log = logging.getLogger(__name__)

TICK_S: Final = 0.2
BEAT_TICKS: Final = 5
RING_FRAMES: Final = 300
DENIED_AT_ONCE: Final = 200
# A picture that nobody looked at for so long is made anew.
STALE_NS: Final = 5 * NS_PER_S
EDGES_EVERY_NS: Final = 5 * NS_PER_S
# As many rows as a reader takes at once; what is behind by more is behind.
IN_STEP_ROWS: Final = 500
FRAMES_AT_ONCE: Final = 20
GAP: Final = b"event: gap\ndata: {}\n\n"
_DENIED: Final = Filter(topic=DENIED.rstrip("/"))


class Unreadable(Exception):
    """The picture cannot be had now."""


class Frame:
    """One frame and its two encoded forms."""

    __slots__ = ("_forms", "news", "number")

    def __init__(self, number: int, news: News) -> None:
        self.number = number
        self.news = news
        self._forms: dict[bool, bytes] = {}

    def encoded(self, *, people: bool) -> bytes:
        """As a server-sent event."""
        form = self._forms.get(people)
        if form is None:
            form = b"id: %d\ndata: %b\n\n" % (self.news.position, encode(self.news, people=people))
            self._forms[people] = form
        return form


class LiveHub:
    """See the module."""

    def __init__(
        self,
        views: Database,
        ledger: Ledger,
        readers: Sequence[Reader],
        *,
        clock: Clock,
        zone: str,
        levels: Mapping[str, int],
        can_open: Callable[[str], bool],
        liveness: Callable[[], Mapping[str, Liveness]],
        edges: Callable[[], Awaitable[Sequence[str]]],
    ) -> None:
        """views: views.sqlite. readers: whose tables are shown. edges: boxes that may deliver."""
        self._views = views
        self._ledger = ledger
        self._readers = readers
        self._clock = clock
        self._board_of: tuple[ZoneInfo, Mapping[str, int], Callable[[str], bool]] = (ZoneInfo(zone), levels, can_open)
        self._liveness = liveness
        self._edges = edges
        self._known_edges: tuple[int, frozenset[str]] = (0, frozenset())
        self._board = Board(*self._board_of)
        self._stood: Mapping[str, int] = NOWHERE
        self._seen: list[int] = []
        self._refreshed_ns: int | None = None
        self._lock = asyncio.Lock()
        self._ring: deque[Frame] = deque(maxlen=RING_FRAMES)
        self._next = 0
        self._quiet_ticks = 0
        self._moved = asyncio.Event()
        self._wanted = asyncio.Event()
        self._closed = False
        self.watchers = 0

    # --- the picture ----------------------------------------------------------------------------------

    async def run(self) -> None:
        """Make frames while somebody watches; for a TaskGroup."""
        failing = False
        while True:
            await self._wanted.wait()
            try:
                await self._tick()
                if failing:
                    failing = False
                    log.info("live page up")
            except (*STORE_FAILURES, Unreadable) as error:
                if not failing:
                    failing = True
                    log.warning("live page down", extra={"cause": str(error)})
            await asyncio.sleep(TICK_S)

    async def snapshot(self) -> News:
        """Everything a page begins with. Raises sqlite3.Error, OSError, StorageError, Unreadable."""
        await self._fresh()
        return self._board.snapshot(self._clock.wall_ns())

    async def doors(self) -> Mapping[str, DoorView]:
        """All doors by device. Raises as `snapshot`."""
        await self._fresh()
        return self._board.doors

    async def position(self) -> int:
        """Up to where the picture is complete now. Raises as `snapshot`."""
        await self._fresh()
        return self._board.position

    async def _tick(self) -> None:
        async with self._lock:
            news = await self._refresh()
        self._quiet_ticks += 1
        if news.says_something or self._quiet_ticks >= BEAT_TICKS:
            self._publish(news)

    async def _fresh(self) -> None:
        async with self._lock:
            age_ns = None if self._refreshed_ns is None else self._clock.mono_ns() - self._refreshed_ns
            if age_ns is not None and age_ns <= TICK_S * NS_PER_S and self._wanted.is_set():
                return
            news = await self._refresh()
            if news.says_something:
                self._publish(news)

    async def _refresh(self) -> News:
        if any(reader.health.failing for reader in self._readers):
            raise Unreadable("a reader is failing")
        mono_ns, wall_ns = self._clock.mono_ns(), self._clock.wall_ns()
        if self._refreshed_ns is None or mono_ns - self._refreshed_ns > STALE_NS:
            self._begin_anew()
        standing = [reader.health.position for reader in self._readers]
        tables, denied, position = None, list[LedgerRow](), self._board.position
        if standing != self._seen:
            tables = await self._tables(wall_ns)
            standing_at = min(tables.positions.values())
            denied, position = await self._denied(standing_at)
            # There may be more than one frame takes; then the next one goes on.
            self._seen = standing if tables.whole and position >= standing_at else []
            self._stood = tables.positions
        news = self._board.update(tables, denied, position, await self._now(wall_ns, mono_ns))
        self._refreshed_ns = mono_ns
        return news

    def _begin_anew(self) -> None:
        self._board, self._stood, self._seen = Board(*self._board_of), NOWHERE, []
        self._ring.clear()
        # No frame has this number, so that whoever waits for it knows that something is missing.
        self._next += 1

    async def _tables(self, wall_ns: int) -> Tables:
        since = self._board.since_minute(wall_ns)
        tables = await read_tables(self._views, self._stood, since)
        if any(tables.positions[name] < self._stood[name] for name in self._stood):
            # A reader was told to start over, or the ledger was restored from a backup.
            self._begin_anew()
            tables = await read_tables(self._views, NOWHERE, since)
        return tables

    async def _denied(self, position: int) -> tuple[list[LedgerRow], int]:
        """Exceptions up to a position, and the position up to which they are complete."""
        if self._stood is NOWHERE:
            rows = await self._ledger.page(_DENIED, beyond=position + 1, limit=EXCEPTIONS_KEPT)
            return rows[::-1], position
        before = self._board.position
        rows = await self._ledger.page(_DENIED, beyond=before, descending=False, limit=DENIED_AT_ONCE)
        known = [row for row in rows if row.position <= position]
        if len(known) == DENIED_AT_ONCE:
            position = known[-1].position
        return known, max(before, position)

    async def _now(self, wall_ns: int, mono_ns: int) -> Now:
        asked_ns, edges = self._known_edges
        if asked_ns == 0 or mono_ns - asked_ns > EDGES_EVERY_NS:
            edges = frozenset(await self._edges())
            self._known_edges = (mono_ns, edges)
        behind = max(reader.health.lag for reader in self._readers)
        return Now(
            wall_ns=wall_ns,
            mono_ns=mono_ns,
            liveness=self._liveness(),
            edges=edges,
            behind=behind if behind > IN_STEP_ROWS else 0,
        )

    # --- frames ---------------------------------------------------------------------------------------

    def _publish(self, news: News) -> None:
        self._quiet_ticks = 0
        self._ring.append(Frame(self._next, news))
        self._next += 1
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def close(self) -> None:
        """End every watch at once."""
        self._closed = True
        self._moved.set()

    async def watch(self, after: int | None, *, people: bool) -> AsyncGenerator[bytes, None]:
        """Frames from now on, at least one a second. after: what the page knows already; it is first told the rest.

        Raises as `snapshot`, before the first frame.
        """
        self.watchers += 1
        self._wanted.set()
        try:
            await self._fresh()
            number = self._next
            if after is not None:
                missed = self._board.since(after, self._clock.wall_ns())
                yield GAP if missed is None else Frame(number, missed).encoded(people=people)
            while not self._closed:
                if number < (self._ring[0].number if self._ring else self._next):
                    number = self._next
                    yield GAP
                elif number < self._next:
                    chunk, number = self._encoded_from(number, people=people)
                    yield chunk
                    del chunk
                else:
                    await self._moved.wait()
        finally:
            self.watchers -= 1
            if not self.watchers:
                self._wanted.clear()

    def _encoded_from(self, number: int, *, people: bool) -> tuple[bytes, int]:
        """Frames from a number in the ring on, and the number after them.

        Apart from `watch`, so that one whose watcher does not read holds on to no frame.
        """
        start = number - self._ring[0].number
        end = min(start + FRAMES_AT_ONCE, len(self._ring))
        chunk = b"".join(self._ring[index].encoded(people=people) for index in range(start, end))
        return chunk, number + end - start
