"""Alarm/Transition of @campus: what somebody did to an alarm, as a record. Pure.

Its id follows from the alarm, the opening and the step, so that each step is taken once, whoever else takes it at the
same time: the ledger keeps the first and tells the second which one that was.
"""

from collections.abc import Mapping
from typing import Final

from aggregator.alarms.alarm import Alarm, State, Step
from aggregator.ledger import LedgerRow
from wire.clock import Stamp
from wire.identity import derived_id
from wire.records import Event, Scalar
from wire.topics import CAMPUS_NODE

TRANSITION: Final = "Alarm/Transition"


def step_id(alarm_id: str, round_: int, state: State) -> str:
    """Of the one record of a step."""
    return derived_id("alarm_step", alarm_id, round_, state)


def transition(alarm: Alarm, state: State, operator: str, stamp: Stamp, *, cause: str = "", note: str = "") -> Event:
    """The fact that somebody took a step. cause and note: of a resolution."""
    values: dict[str, Scalar] = {
        "alarm": alarm.id,
        "kind": alarm.kind,
        "source": alarm.source,
        "round": alarm.round,
        "state": state,
        "operator": operator,
    }
    values |= {name: text for name, text in (("cause", cause), ("note", note)) if text}
    return Event(
        id=step_id(alarm.id, alarm.round, state),
        device=CAMPUS_NODE,
        stamp=stamp,
        topic=TRANSITION,
        values=values,
    )


def step_of(row: LedgerRow, values: Mapping[str, Scalar]) -> Step | None:
    """The step that a record tells of; None when it is not one of ours."""
    state, round_ = values.get("state"), values.get("round")
    if state not in {State.ACKED, State.RESOLVED} or not isinstance(round_, int):
        return None
    return Step(
        state=State(str(state)),
        round=round_,
        operator=str(values.get("operator", "")),
        position=row.position,
        at_ns=row.received_ns,
        cause=str(values.get("cause", "")),
        note=str(values.get("note", "")),
    )
