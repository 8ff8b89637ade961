"""The one append point: stamp, name, group commit.

Channels hand over drafts and wait; when `accept` returns, the records are on disk (`synchronous=FULL`) and the device
may be told "got it". Drafts of all channels that arrive within 20 ms share one commit, or 64 records, whichever comes
first. Alarms and money do not wait for company, and what has waited for a commit before it waits that much less. At
most 1,024 records wait here; beyond that channels wait in `accept` (their devices keep what they have not been told
about).
"""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, Protocol

from edge_agent.draft import NO_ID, Draft
from edge_agent.event_names import EventNames
from edge_agent.outbox import Appended, Entry, Fate
from edge_agent.wakeup import Signal
from wire.clock import Clock, Stamp
from wire.errors import Malformed, UnknownTopic
from wire.records import RECORD_BYTES_MAX, Event, Reading, check_owner, encode_record, record_lane
from wire.topics import Lane

GROUP_RECORDS: Final = 64
GROUP_LINGER_S: Final = 0.020
WAITING_MAX: Final = 1024
# The outbox may file a numbered record under a later count of its device, which makes it that much longer. Were it then
# too long, its whole group would fail.
EPOCH_BYTES: Final = len(',"epoch":2147483647')
# Why a draft was not taken.
BadDraft = Malformed | UnknownTopic
_AT_ONCE: Final = frozenset({Lane.A, Lane.M})


class Appender(Protocol):
    """The outbox, as far as intake knows it."""

    async def append(self, entries: Sequence[Entry]) -> list[Appended]:
        """One transaction; see edge_agent.outbox."""


class _Waiting(NamedTuple):
    entries: list[Entry]
    came_s: float
    done: asyncio.Future[list[Appended]]


class IntakeClosedError(RuntimeError):
    """The box is stopping, or its disk has failed; nothing was accepted."""


class Intake:
    """See the module. `run` does the commits; `accept` may be called from any task of the loop."""

    def __init__(
        self,
        outbox: Appender,
        *,
        edge: str,
        clock: Clock,
        random: Callable[[int], bytes],
        appended: Callable[[set[Lane]], None],
    ) -> None:
        """appended: told after each commit which lanes grew; the uplink listens."""
        self._outbox = outbox
        self._edge = edge
        self._clock = clock
        self._names = EventNames(random)
        self._appended = appended
        self._queue: deque[_Waiting] = deque()
        self._waiting = 0
        self._at_once = False
        self._grown = Signal()
        self._room = asyncio.Event()
        self._closed = False
        self.committed_groups = 0
        self.refused_records = 0

    async def accept(self, drafts: Sequence[Draft], received: Stamp | None = None) -> list[Appended]:
        """Commit drafts together and say what became of each, in order.

        received: when the bytes arrived, if earlier than now. Raises wire.errors.Malformed (or UnknownTopic) when a
        draft breaks a limit, before anything is stored; IntakeClosedError when the box stops.
        """
        (taken,) = await self.accept_each([(drafts, received)])
        if isinstance(taken, ValueError):
            raise taken
        return taken

    async def accept_each(
        self, batches: Sequence[tuple[Sequence[Draft], Stamp | None]]
    ) -> list[list[Appended] | BadDraft]:
        """What `accept` does, with several at once: each is stored together or, when it breaks a limit, not at all, and
        then its error stands in its place. Raises IntakeClosedError.
        """
        begun: list[asyncio.Future[list[Appended]] | list[Appended] | BadDraft] = []
        for drafts, received in batches:
            stamp = received or self._clock.stamp()
            try:
                entries = [self._entry(draft, stamp) for draft in drafts]
            except (Malformed, UnknownTopic) as error:
                begun.append(error)
                continue
            while entries and self._waiting >= WAITING_MAX and not self._closed:
                self._room.clear()
                await self._room.wait()
            begun.append(self._begin(entries) if entries else [])
        return [await one if isinstance(one, asyncio.Future) else one for one in begun]

    def _begin(self, entries: list[Entry]) -> "asyncio.Future[list[Appended]]":
        """Take a batch in, in the order of the calls. Raises IntakeClosedError."""
        if self._closed:
            raise IntakeClosedError("intake is closed")
        loop = asyncio.get_running_loop()
        waiting = _Waiting(entries, loop.time(), loop.create_future())
        is_first = not self._queue
        self._queue.append(waiting)
        self._waiting += len(entries)
        if any(record_lane(entry.record) in _AT_ONCE for entry in entries):
            self._at_once = True
        if is_first or self._at_once or self._waiting >= GROUP_RECORDS:
            # Who comes in between wakes nobody: the group is committed when its time has come.
            self._grown.tell()
        return waiting.done

    async def run(self) -> None:
        """Commit groups until cancelled; `finish` then commits what still waits. An error of the outbox ends it for
        everyone: what cannot be stored must not be promised.
        """
        try:
            while True:
                await self._company()
                await self._commit(self._take())
        except Exception:
            self._close()
            raise

    async def finish(self) -> None:
        """Commit what is still waiting, then accept nothing more."""
        self._closed = True
        while self._queue:
            await self._commit(self._take())
        self._close()

    @property
    def waiting(self) -> int:
        """Records accepted into memory and not yet committed."""
        return self._waiting

    def _entry(self, draft: Draft, stamp: Stamp) -> Entry:
        # A record whose id follows from another fact brings it along.
        event_id = draft.record.id if draft.record.id != NO_ID else self._names.next()
        record = draft.stamped(event_id, stamp)
        check_owner(record, self._edge)
        record_lane(record)
        body = encode_record(record)
        has_number = isinstance(record, Event | Reading) and record.source is not None
        if has_number and len(body) > RECORD_BYTES_MAX - EPOCH_BYTES:
            raise Malformed(f"record of {len(body)} bytes; at most {RECORD_BYTES_MAX - EPOCH_BYTES} with a number")
        return Entry(record, body)

    async def _company(self) -> None:
        while not self._queue:
            await self._grown.wait()
        until_s = self._queue[0].came_s + GROUP_LINGER_S
        while self._waiting < GROUP_RECORDS and not self._at_once:
            left_s = until_s - asyncio.get_running_loop().time()
            if left_s <= 0:
                return
            await self._grown.wait(left_s)

    def _take(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        count = 0
        while self._queue and count < GROUP_RECORDS:
            waiting = self._queue.popleft()
            group.append(waiting)
            count += len(waiting.entries)
        if not self._queue:
            self._at_once = False
        return group

    async def _commit(self, group: list[_Waiting]) -> None:
        entries = [entry for waiting in group for entry in waiting.entries]
        try:
            results = await self._outbox.append(entries)
        except BaseException as error:
            for waiting in group:
                if not waiting.done.done():
                    waiting.done.set_exception(IntakeClosedError(f"not stored: {error}"))
                    waiting.done.exception()
            raise
        finally:
            self._waiting -= len(entries)
            self._room.set()
        self.committed_groups += 1
        self._answer(group, results)

    def _answer(self, group: list[_Waiting], results: list[Appended]) -> None:
        at = 0
        for waiting in group:
            part = results[at : at + len(waiting.entries)]
            at += len(waiting.entries)
            if not waiting.done.done():
                waiting.done.set_result(part)
        self.refused_records += sum(result.fate is Fate.REFUSED for result in results)
        grown = {result.lane for result in results if result.seq}
        if any(result.fate is Fate.CONFLICT for result in results):
            # The record itself was kept out, but the outbox has put an alarm about it on lane A.
            grown.add(Lane.A)
        if grown:
            self._appended(grown)

    def _close(self) -> None:
        self._closed = True
        self._room.set()
        for waiting in self._queue:
            if not waiting.done.done():
                waiting.done.set_exception(IntakeClosedError("intake is closed"))
                waiting.done.exception()
        self._queue.clear()
