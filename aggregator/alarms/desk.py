"""The desk of the alarms: somebody has one in hand, somebody settles it.

Nothing is decided here that two desks could decide at once. Each step is a record with an id of its own, the ledger
takes the first, and whoever comes second is told who was. Asked again by the same person, a step is answered as before.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from aggregator.alarms.alarm import Alarm, State
from aggregator.alarms.facts import step_id, step_of, transition
from aggregator.alarms.reader import AlarmReader
from aggregator.ledger import Ledger
from aggregator.refused import Refused
from wire.clock import Clock, utc_text
from wire.records import Event, decode_record

# How long the picture may take to follow the ledger before a caller is told to come back.
PATIENCE_S: Final = 3.0
NOTE_MAX: Final = 256


class Cause(StrEnum):
    """Why it had rung."""

    REAL = "real"
    FALSE = "false"
    DRILL = "drill"
    FAULT = "fault"


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What is said of an alarm at its end. force: also while the trouble lasts."""

    cause: Cause
    note: str = ""
    force: bool = False


class AlarmDesk:
    """See the module."""

    def __init__(self, ledger: Ledger, reader: AlarmReader, clock: Clock, level: Callable[[str], int]) -> None:
        """level: of a kind of alarm."""
        self._ledger = ledger
        self._reader = reader
        self._clock = clock
        self._level = level

    async def find(self, alarm_id: str) -> Alarm:
        """An alarm as the ledger has it now. Raises Refused 404 and, while the picture cannot follow, 503."""
        await self._follow(await self._ledger.head())
        alarm = await self._reader.alarm(alarm_id)
        if alarm is None:
            raise Refused(404, "unknown_alarm", {"id": alarm_id[:64]})
        return alarm

    async def acknowledge(self, alarm: Alarm, operator: str) -> Alarm:
        """`operator` has it in hand. Raises Refused 409 when somebody else has."""
        if alarm.state is State.RESOLVED:
            raise _already(State.RESOLVED, alarm.resolved_by, alarm.resolved_ns)
        if alarm.state is State.ACKED:
            if alarm.acked_by != operator:
                raise _already(State.ACKED, alarm.acked_by, alarm.acked_ns)
            return alarm
        return await self._take(transition(alarm, State.ACKED, operator, self._clock.stamp()), alarm, State.ACKED)

    async def resolve(self, alarm: Alarm, operator: str, resolution: Resolution) -> Alarm:
        """It is settled. Raises Refused 409 when it is already or the trouble lasts, 422 when a note is missing."""
        if alarm.state is State.RESOLVED:
            if alarm.resolved_by != operator:
                raise _already(State.RESOLVED, alarm.resolved_by, alarm.resolved_ns)
            return alarm
        level = self._level(alarm.kind)
        if not resolution.note and (level == 1 or (level == 2 and resolution.cause is Cause.FALSE)):
            raise Refused(422, "note_required", {"level": level})
        if alarm.active and not resolution.force:
            raise Refused(409, "still_active", {"since": utc_text(alarm.last_ns)})
        stamp = self._clock.stamp()
        record = transition(
            alarm, State.RESOLVED, operator, stamp, cause=resolution.cause, note=resolution.note[:NOTE_MAX]
        )
        return await self._take(record, alarm, State.RESOLVED)

    async def _take(self, record: Event, alarm: Alarm, state: State) -> Alarm:
        (position,) = await self._ledger.append_campus([record], record.stamp)
        row = await self._ledger.event(step_id(alarm.id, alarm.round, state))
        stands = decode_record(row.body) if row is not None and row.body is not None else record
        if row is not None and isinstance(stands, Event) and stands.values["operator"] != record.values["operator"]:
            step = step_of(row, stands.values)
            assert step is not None  # noqa: S101  the id is that of a step, and only a desk makes one
            raise _already(state, step.operator, step.at_ns)
        await self._follow(position)
        return await self._reader.alarm(alarm.id) or alarm

    async def _follow(self, position: int) -> None:
        if not await self._reader.reached(position, PATIENCE_S):
            raise Refused(503, "view_behind")


def _already(state: State, operator: str, at_ns: int | None) -> Refused:
    code = {State.ACKED: "already_acked", State.RESOLVED: "already_resolved"}[state]
    return Refused(409, code, {"by": operator, "at": utc_text(at_ns or 0)})
