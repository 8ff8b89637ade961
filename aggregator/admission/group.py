"""Group commit: runs of many boxes that arrive close together share one transaction and one flush of the disk.

The first run of a group waits `linger_s` for company, unless it is urgent or the group is full; then the whole group
is committed, and whoever waited gets the result of its run. While a commit is on its way the next group gathers, so
a slow disk makes groups larger and not queues longer. There is no task behind this: one of those who wait leads.

Bounded: `room` says how many records may still be added; callers hold their boxes by credit before it is used up.
"""

import asyncio
import logging
import sqlite3
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple

from aggregator.ledger.rows import AdmissionGroup, AdmissionResult, Run, RunResult
from aggregator.storage import StorageError
from wire.clock import NS_PER_S, Clock

log = logging.getLogger(__name__)

# Whatever these come from (disk, lock, file), the next run would meet it too.
STORE_FAILURES: Final = (sqlite3.OperationalError, StorageError, OSError)


class CommitFailed(Exception):
    """A run was not committed, or it is not known whether it was. Ask the ledger where the lane stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupLimits:
    """linger_s: longest wait for company. due_records: a group of so many does not wait. group_records: records in one
    transaction. pending_records: records waiting in all.
    """

    linger_s: float = 0.02
    due_records: int = 64
    group_records: int = 4_000
    pending_records: int = 20_000


class _Waiting(NamedTuple):
    run: Run
    future: asyncio.Future[RunResult]


class GroupCommit:
    """Gathers runs and commits them in groups."""

    def __init__(
        self,
        commit: Callable[[AdmissionGroup], Awaitable[AdmissionResult]],
        clock: Clock,
        limits: GroupLimits,
    ) -> None:
        self._commit = commit
        self._clock = clock
        self._limits = limits
        self._pending: deque[_Waiting] = deque()
        self._pending_records = 0
        self._one_at_a_time = asyncio.Lock()
        self._due = asyncio.Event()
        self._failing_since_ns: int | None = None
        self._failures = 0
        self.groups = 0

    @property
    def room(self) -> int:
        """Records that may still be added before the limit."""
        return max(self._limits.pending_records - self._pending_records, 0)

    @property
    def failing(self) -> bool:
        """Whether the last attempt to write failed."""
        return self._failing_since_ns is not None

    async def add(self, run: Run, *, urgent: bool) -> RunResult:
        """Commit a run together with others; returns once it is on disk. Runs are committed in the order in which
        this was called. Raises CommitFailed.
        """
        future: asyncio.Future[RunResult] = asyncio.get_running_loop().create_future()
        self._pending.append(_Waiting(run, future))
        self._pending_records += len(run.arrivals)
        if urgent or self._pending_records >= self._limits.due_records:
            self._due.set()
        async with self._one_at_a_time:
            while not future.done():
                await self._lead()
        return future.result()

    async def _lead(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._limits.linger_s):
                await self._due.wait()
        group = self._take()
        try:
            await self._commit_group(group)
        finally:
            # Only when the leader was cancelled is a future still open here: nobody knows how its commit ended.
            _fail(group, CommitFailed("interrupted"))

    def _take(self) -> list[_Waiting]:
        group, records = list[_Waiting](), 0
        while self._pending and (not group or records < self._limits.group_records):
            waiting = self._pending.popleft()
            records += len(waiting.run.arrivals)
            group.append(waiting)
        self._pending_records -= records
        if not self._pending:
            self._due.clear()
        return group

    async def _commit_group(self, group: Sequence[_Waiting]) -> None:
        try:
            result = await self._commit(AdmissionGroup([waiting.run for waiting in group], self._clock.stamp()))
        except STORE_FAILURES as error:
            self._note_failure(error)
            _fail(group, CommitFailed(str(error)))
        except Exception as error:  # noqa: BLE001  a fault that one run carries must not hold up the others
            await self._isolate(group, error)
        else:
            self._note_success()
            for waiting, run_result in zip(group, result.runs, strict=True):
                if not waiting.future.done():
                    waiting.future.set_result(run_result)

    async def _isolate(self, group: Sequence[_Waiting], error: Exception) -> None:
        if len(group) > 1:
            for waiting in group:
                await self._commit_group([waiting])
            return
        run = group[0].run
        where = {"edge": run.edge, "lane": run.lane.value, "first": run.first}
        log.error("a run cannot be committed", extra=where, exc_info=error)
        _fail(group, CommitFailed(type(error).__name__))

    def _note_failure(self, error: Exception) -> None:
        self._failures += 1
        if self._failing_since_ns is None:
            self._failing_since_ns = self._clock.mono_ns()
            log.warning("ledger cannot be written", extra={"cause": str(error)})

    def _note_success(self) -> None:
        self.groups += 1
        if self._failing_since_ns is not None:
            down_s = (self._clock.mono_ns() - self._failing_since_ns) / NS_PER_S
            log.info("ledger can be written again", extra={"down_for_s": down_s, "attempts": self._failures})
            self._failing_since_ns, self._failures = None, 0


def _fail(group: Sequence[_Waiting], error: CommitFailed) -> None:
    for waiting in group:
        if not waiting.future.done():
            waiting.future.set_exception(error)
            # Marked as seen: a caller that was cancelled never looks.
            waiting.future.exception()
