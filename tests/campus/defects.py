"""Mistakes that someone could make in the chain, each put into the production code for the length of a test.

A simulation that does not find them proves nothing when it is silent.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import msgspec

from aggregator.admission import core as admission
from aggregator.admission.group import CommitFailed, GroupCommit
from aggregator.ledger import Fate, Mark, Run, RunResult
from aggregator.ledger.plan import Planner
from edge_agent.draft import Draft
from edge_agent.intake import Intake, IntakeClosedError
from edge_agent.outbox import Appended, OutboxStore
from edge_agent.outbox import Fate as EntryFate
from edge_agent.outbox.book import DIGEST_BYTES, key_of
from edge_agent.outbox.core import Core
from edge_agent.uplink.session import Uplink
from edge_agent.uplink.window import LaneWindow
from tests.campus.world import Plan
from wire.delivery import LaneState, Watermark
from wire.identity import CHAIN_START, chain_next, record_hash
from wire.records import decode_record, encode_record, record_lane
from wire.topics import LANES, Lane

Patch = AbstractContextManager[Any]


@dataclass(frozen=True)
class Defect:
    """cell: where it must be found; seeds: within how many seeds of that cell; says: what the finding must say."""

    name: str
    cell: str
    seeds: int
    says: str
    patches: Callable[[], list[Patch]] = list
    plan: Callable[[Plan], Plan] = lambda plan: plan


def _campus_acks_before_commit() -> list[Patch]:
    add = GroupCommit.add

    async def early(self: GroupCommit, run: Run, *, urgent: bool) -> RunResult:
        async def later() -> None:
            with suppress(CommitFailed):
                await add(self, run, urgent=urgent)

        asyncio.get_running_loop().create_task(later(), name="commit after the ack")
        last = run.arrivals[-1]
        return RunResult(Fate.TAKEN, Mark(last.through, last.chain))

    return [mock.patch.object(GroupCommit, "add", early)]


def _box_answers_before_commit() -> list[Patch]:
    accept = Intake.accept

    async def early(self: Intake, drafts: list[Draft], received: Any = None) -> list[Appended]:
        async def later() -> None:
            with suppress(IntakeClosedError):
                await accept(self, drafts, received)

        asyncio.get_running_loop().create_task(later(), name="commit after the answer")
        return [Appended(EntryFate.STORED, record_lane(draft.record), 1, "") for draft in drafts]

    return [mock.patch.object(Intake, "accept", early)]


def _histories_are_not_compared() -> list[Patch]:
    """Only positions are: neither side looks at a chain."""

    async def by_position(self: Uplink, lane: Lane, mark: Watermark, state: LaneState) -> bool:
        return mark.through <= state.last

    take = Planner._take

    def on_any_chain(self: Planner, run: Run) -> RunResult:
        return take(self, replace(run, before=self._mark(run.edge, run.epoch, run.lane).chain))

    return [
        mock.patch.object(Uplink, "_same_history", by_position),
        mock.patch.object(LaneWindow, "chain_at", return_value=None),
        mock.patch.object(admission, "fork_reason", return_value=""),
        mock.patch.object(Planner, "_take", on_any_chain),
    ]


class _Agreeable(int):
    """A number that equals whatever comes."""

    def __add__(self, other: int) -> "_Agreeable":
        return self

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = int.__hash__


class _AnyNext(dict[Lane, int]):
    def __getitem__(self, lane: Lane) -> int:
        return _Agreeable(super().__getitem__(lane))


def _campus_takes_whatever_is_higher() -> list[Patch]:
    """Dedupe by the highest number seen instead of the next one due."""
    take, session = Planner._take, admission.Session

    def if_higher(self: Planner, run: Run) -> RunResult:
        mark = self._mark(run.edge, run.epoch, run.lane)
        if run.arrivals[-1].through <= mark.through:
            return RunResult(Fate.IGNORED, mark)
        return take(self, replace(run, first=mark.through + 1, before=mark.chain))

    def lenient(hello: Any, heard_ns: int, marks: Any, expected: dict[Lane, int]) -> Any:
        return session(hello, heard_ns, marks, _AnyNext(expected))

    return [mock.patch.object(Planner, "_take", if_higher), mock.patch.object(admission, "Session", lenient)]


def _outbox_forgets_what_was_sent() -> list[Patch]:
    send = Uplink._send_batch

    async def and_forget(self: Uplink, carrier: Any, window: LaneWindow) -> None:
        await send(self, carrier, window)
        await self._spool.acknowledge({window.lane: window.cursor})

    return [mock.patch.object(Uplink, "_send_batch", and_forget)]


def _fork_gives_new_ids() -> list[Patch]:
    fork = OutboxStore.fork

    def rename(self: OutboxStore, reason: str) -> str:
        epoch = fork(self, reason)
        with self._core.transaction() as draft:
            for lane in LANES:
                chain = CHAIN_START
                for key, old_body in self._core.connection.execute(
                    "SELECT key, body FROM record WHERE key > ? AND key < ? ORDER BY key",
                    (key_of(lane, 0), key_of(lane, 0) + (1 << 56)),
                ).fetchall():
                    record = msgspec.structs.replace(decode_record(old_body), id=self._core.random(16).hex())
                    body = encode_record(record)
                    body_hash = record_hash(body)
                    chain = chain_next(chain, body_hash)
                    event_id = None if lane is Lane.T else bytes.fromhex(record.id)
                    self._core.connection.execute(
                        "UPDATE record SET event_id = ?, body = ?, chain = ?, digest = ? WHERE key = ?",
                        (event_id, body, chain, body_hash[:DIGEST_BYTES], key),
                    )
                draft.book.lanes[lane].chain = chain
        return epoch

    return [mock.patch.object(OutboxStore, "fork", rename)]


def _box_does_not_go_back_for_a_restored_campus() -> list[Patch]:
    start = LaneWindow.start

    def from_where_we_were(self: LaneWindow, through: int, now: float) -> None:
        start(self, max(through, self.acked), now)

    def stay(self: OutboxStore, through: Mapping[Lane, int]) -> None:
        pass

    return [mock.patch.object(LaneWindow, "start", from_where_we_were), mock.patch.object(OutboxStore, "resume", stay)]


def _window_never_goes_back() -> list[Patch]:
    def stay(self: LaneWindow, now: float) -> None:
        self.flights.clear()
        self._due_s = None

    return [mock.patch.object(LaneWindow, "rewind", stay)]


def _numbers_are_counted_instead_of_records() -> list[Patch]:
    return [mock.patch.object(Core, "count_records", lambda self, lane, after, through: through - after)]


DEFECTS = (
    Defect("the campus acknowledges before it has committed", "kills", 3, "only ever had", _campus_acks_before_commit),
    Defect("the box answers before it has committed", "kills", 5, "lost", _box_answers_before_commit),
    Defect("histories are compared by position only", "rollback", 10, "lost", _histories_are_not_compared),
    Defect("the campus takes whatever is higher", "kills", 3, "lost", _campus_takes_whatever_is_higher),
    Defect("the outbox forgets what was sent", "kills", 3, "only ever had", _outbox_forgets_what_was_sent),
    Defect("a fork gives records new ids", "rollback", 10, "doubled", _fork_gives_new_ids),
    Defect(
        "an acknowledged record is not kept",
        "restore",
        10,
        "lost",
        plan=lambda plan: replace(plan, limits=replace(plan.limits, retention_s=0, pressed_s=0, mark_interval_s=0)),
    ),
    Defect(
        "a restored campus is not believed", "restore", 10, "not at rest", _box_does_not_go_back_for_a_restored_campus
    ),
    Defect("a lost batch is never sent again", "kills", 10, "", _window_never_goes_back),
    Defect("the counters count numbers, not records", "disk", 10, "counted", _numbers_are_counted_instead_of_records),
)
