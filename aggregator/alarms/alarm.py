"""One alarm and how it changes. Pure: an alarm and what happened give an alarm.

Times of what people did, and the window in which an alarm opens again, are by the campus's clock; times of the trouble
are when it occurred. Old news (`historical`, sent again, said again after a start) makes an alarm that is to be looked
at and never rings; the first fresh word makes it ring.
"""

from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, NamedTuple

from aggregator.alarms.rules import Signal
from wire.clock import NS_PER_S
from wire.identity import derived_id

OPENS_AGAIN_NS: Final = 600 * NS_PER_S
CONDITIONS_MAX: Final = 32


class State(StrEnum):
    """How far people are with it."""

    NEW = "new"
    ACKED = "acked"
    RESOLVED = "resolved"


class Moment(NamedTuple):
    """When something was said. quiet: it is old news. again: it is no change, but a state said again after a start."""

    position: int
    event_id: str
    occurred_ns: int
    received_ns: int
    quiet: bool
    again: bool


class Step(NamedTuple):
    """What somebody did. round: to which opening of the alarm it belongs."""

    state: State
    round: int
    operator: str
    position: int
    at_ns: int
    cause: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Alarm:
    """round: how often it was opened again. count: how often it was raised. conditions: what still lasts at the source.

    opened, changed: positions of the record that raised it first and of the one that changed it last.
    """

    id: str
    kind: str
    source: str
    state: State = State.NEW
    round: int = 0
    count: int = 1
    first_ns: int
    last_ns: int
    cleared_ns: int | None = None
    historical: bool
    conditions: tuple[str, ...]
    opened: int
    changed: int
    acked_by: str = ""
    acked_ns: int | None = None
    resolved_by: str = ""
    resolved_ns: int | None = None
    cause: str = ""
    note: str = ""

    @property
    def active(self) -> bool:
        """Whether the trouble lasts, as far as its source has said."""
        return bool(self.conditions)


def raised(alarm: Alarm | None, signal: Signal, at: Moment) -> Alarm:
    """The alarm after its source has raised it. alarm: the last of its kind and source; the answer may be another."""
    if alarm is None or _too_long_ago(alarm, at):
        return Alarm(
            id=derived_id("alarm", signal.kind, signal.source, at.event_id),
            kind=signal.kind,
            source=signal.source,
            first_ns=at.occurred_ns,
            last_ns=at.occurred_ns,
            historical=at.quiet,
            conditions=() if signal.condition is None else (signal.condition,),
            opened=at.position,
            changed=at.position,
        )
    if at.again and signal.condition in alarm.conditions:
        return alarm
    if alarm.state is State.RESOLVED:
        alarm = replace(
            alarm,
            state=State.NEW,
            round=alarm.round + 1,
            historical=True,
            acked_by="",
            acked_ns=None,
            resolved_by="",
            resolved_ns=None,
            cause="",
            note="",
        )
    conditions = alarm.conditions
    if signal.condition is not None and signal.condition not in conditions:
        conditions = (*conditions, signal.condition)[-CONDITIONS_MAX:]
    return replace(
        alarm,
        count=alarm.count + 1,
        last_ns=max(alarm.last_ns, at.occurred_ns),
        cleared_ns=None,
        historical=alarm.historical and at.quiet,
        conditions=conditions,
        changed=at.position,
    )


def _too_long_ago(alarm: Alarm, at: Moment) -> bool:
    return alarm.resolved_ns is not None and at.received_ns - alarm.resolved_ns > OPENS_AGAIN_NS


def ended(alarm: Alarm, signal: Signal, at: Moment) -> Alarm:
    """The alarm after its source has said that something is over."""
    if signal.condition not in alarm.conditions:
        return alarm
    left = tuple(one for one in alarm.conditions if one != signal.condition)
    return replace(alarm, conditions=left, cleared_ns=None if left else at.occurred_ns, changed=at.position)


def stepped(alarm: Alarm, step: Step) -> Alarm:
    """The alarm after somebody did something; unchanged when that came too late."""
    if step.round != alarm.round or alarm.state is State.RESOLVED:
        return alarm
    if step.state is State.RESOLVED:
        return replace(
            alarm,
            state=State.RESOLVED,
            resolved_by=step.operator,
            resolved_ns=step.at_ns,
            cause=step.cause,
            note=step.note,
            changed=step.position,
        )
    if step.state is State.ACKED and alarm.state is State.NEW:
        return replace(alarm, state=State.ACKED, acked_by=step.operator, acked_ns=step.at_ns, changed=step.position)
    return alarm
