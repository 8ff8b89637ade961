"""Which records raise an alarm and which end one. Pure, and a table: a new kind is a new line.

A record either begins something that lasts until its source says otherwise (a door stands open), ends such a thing, or
tells of a moment (somebody was forced to open). What lasts is kept apart by what the source itself tells apart, so that
one picture that comes back does not end the loss of another at the same recorder.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from aggregator.ledger import LedgerRow
from wire.records import Event
from wire.topics import CAMPUS_NODE


@dataclass(frozen=True, slots=True)
class Kind:
    """How much an alarm matters. level: 1 (act now) to 4 (for information). fault: trouble of a device."""

    level: int
    fault: bool = False


KINDS: Final[Mapping[str, Kind]] = {
    "fire": Kind(1),
    "duress": Kind(1),
    "door_forced": Kind(1),
    "door_tamper": Kind(2),
    "wrong_tries": Kind(2),
    "repeated_denials": Kind(2),
    "camera_tamper": Kind(2),
    "camera_loss": Kind(2),
    "edge_forked": Kind(2),
    "edge_silent": Kind(2, fault=True),
    "door_held": Kind(3),
    "device_alarm": Kind(3),
    "door_fault": Kind(3, fault=True),
    "device_down": Kind(3, fault=True),
    "camera_storage": Kind(3, fault=True),
    "camera_network": Kind(3, fault=True),
    "delivery_conflict": Kind(3, fault=True),
    "incident": Kind(3, fault=True),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What one topic means for one kind.

    begins, ends: states of the record. moments: a record in any other state, or in none, tells of a moment.
    campus: only the campus itself says this, and its source stands in the values.
    """

    topic: str
    kind: str
    begins: frozenset[str] = frozenset()
    ends: frozenset[str] = frozenset()
    moments: bool = False
    campus: bool = False


def _lasting(topic: str, kind: str, begins: str, ends: str, *, moments: bool = False, campus: bool = False) -> Rule:
    return Rule(
        topic=topic,
        kind=kind,
        begins=frozenset(begins.split()),
        ends=frozenset(ends.split()),
        moments=moments,
        campus=campus,
    )


RULES: Final = (
    _lasting("Door/State/DoorAlarm", "door_forced", "DoorForcedOpen", "Normal"),
    _lasting("Door/State/DoorAlarm", "door_held", "DoorOpenTooLong", "Normal"),
    # Some terminals tell that a door was forced and never that all is well again; the contact does.
    _lasting("Door/State/DoorPhysicalState", "door_forced", "", "Closed"),
    _lasting("Door/State/DoorPhysicalState", "door_held", "", "Closed"),
    _lasting("Door/State/DoorTamper", "door_tamper", "TamperDetected", "NotInTamper"),
    _lasting("Door/State/DoorFault", "door_fault", "FaultDetected", "NotInFault"),
    _lasting("Camera/Tamper", "camera_tamper", "Active", "Inactive"),
    _lasting("Camera/SignalLoss", "camera_loss", "Active", "Inactive"),
    _lasting("Camera/StorageFailure", "camera_storage", "Active", "Inactive"),
    _lasting("Camera/NetworkFailure", "camera_network", "Active", "Inactive"),
    _lasting("Device/State/Operating", "device_down", "DOWN", "UP"),
    _lasting("Device/Alarm", "device_alarm", "Active", "Inactive", moments=True),
    _lasting("Fire/Alarm", "fire", "Active", "Inactive", moments=True),
    _lasting("Fire/Release", "fire", "Active", "Inactive", moments=True),
    _lasting("EdgeNode/State/Silence", "edge_silent", "silent", "heard", campus=True),
    Rule(topic="AccessControl/Duress", kind="duress", moments=True),
    Rule(topic="AccessControl/WrongTries", kind="wrong_tries", moments=True),
    Rule(topic="Delivery/Conflict", kind="delivery_conflict", moments=True, campus=True),
    Rule(topic="Delivery/EpochForked", kind="edge_forked", moments=True, campus=True),
    Rule(topic="Delivery/Incident", kind="incident", moments=True, campus=True),
)

_BY_TOPIC: Final = {rule.topic: tuple(one for one in RULES if one.topic == rule.topic) for rule in RULES}
TOPICS: Final = frozenset(_BY_TOPIC)

# What a source says to tell one trouble of a kind from another.
_APART: Final = ("event_type", "channel_id", "input_port", "channel")
CONDITION_MAX: Final = 128


class Signal(NamedTuple):
    """What a record says of one kind of alarm. condition: names what lasts or ends; None for a moment."""

    kind: str
    source: str
    raises: bool
    condition: str | None


def signals_of(row: LedgerRow, event: Event) -> Iterator[Signal]:
    """What a record says of alarms."""
    of_campus = row.edge == CAMPUS_NODE
    state = event.values.get("state")
    for rule in _BY_TOPIC.get(row.topic, ()):
        source = str(event.values.get("device") or event.values.get("edge") or "") if of_campus else row.device_id
        if rule.campus is not of_campus or not source:
            continue
        if state in rule.begins or state in rule.ends:
            condition = "/".join(str(event.values[name]) for name in _APART if name in event.values)
            yield Signal(rule.kind, source, state in rule.begins, condition[:CONDITION_MAX])
        elif rule.moments:
            yield Signal(rule.kind, source, True, None)  # noqa: FBT003  a NamedTuple
