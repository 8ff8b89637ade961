"""The reader of doors: contact, lock and alarm of each, its last passage, and how many passed in each minute.

A passage counts in the minute in which it occurred, however late it came, so that a backlog fills the morning it is of.
What a device's clock puts after its own arrival happened when it arrived. Minutes are kept for KEPT_MINUTES before the
newest record: a screen counts one day and draws half an hour.

Where two records of a door are folded into one row, the row is that of the later one; a batch costs one row a door.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Final

from aggregator.ledger import LedgerRow, record_of
from aggregator.readers.base import SQL, Reader
from wire.clock import NS_PER_S
from wire.records import Event

MINUTE_NS: Final = 60 * NS_PER_S
KEPT_MINUTES: Final = 48 * 60
GRANTED: Final = "AccessControl/AccessGranted/"
DENIED: Final = "AccessControl/Denied/"
# Somebody went through; a refusal is an exception and no passage.
_PASSAGES: Final = (GRANTED, "AccessControl/AccessTaken/", "Door/RequestToExit")
_OF_DOORS: Final = ("AccessControl/", "Door/", "AccessPoint/")
_STATES: Final = {
    "Door/State/DoorPhysicalState": "contact",
    "Door/State/LockPhysicalState": "lock",
    "Door/State/DoorAlarm": "alarm",
}
_SET_DOOR, _OF_DOOR = SQL.in_order("set_door")
_ADD_MINUTE, _OF_MINUTE = SQL.in_order("add_minute")


@dataclass(slots=True)
class _Door:
    """What a batch says of one door."""

    device_id: str
    contact: str | None = None
    lock: str | None = None
    alarm: str | None = None
    last_ns: int | None = None
    last_topic: str | None = None
    last_tail: str | None = None
    last_method: str | None = None
    changed: int = 0


@dataclass(slots=True)
class _Minute:
    device_id: str
    minute: int
    granted: int = 0
    denied: int = 0
    changed: int = 0


class Doors(Reader):
    """See the module."""

    name = "doors"

    def apply(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        """See Reader."""
        stored = connection.execute(SQL["door_horizon"]).fetchone()
        horizon = before = 0 if stored is None else int(stored["minute"])
        doors: dict[str, _Door] = {}
        minutes: dict[tuple[str, int], _Minute] = {}
        for row in rows:
            horizon = max(horizon, row.received_ns // MINUTE_NS // 60 * 60 - KEPT_MINUTES)
            event = record_of(row) if row.topic.startswith(_OF_DOORS) else None
            if not isinstance(event, Event):
                continue
            door = doors.get(row.device_id)
            if door is None:
                door = doors[row.device_id] = _Door(row.device_id)
            door.changed = row.position
            occurred_ns = min(row.occurred_ns, row.received_ns)
            _fold(door, event, occurred_ns)
            if row.topic.startswith((GRANTED, DENIED)) and occurred_ns // MINUTE_NS >= horizon:
                _count(minutes, row, occurred_ns // MINUTE_NS)
        connection.executemany(_SET_DOOR, map(attrgetter(*_OF_DOOR), doors.values()))
        connection.executemany(_ADD_MINUTE, map(attrgetter(*_OF_MINUTE), minutes.values()))
        if horizon != before:
            connection.execute(SQL["set_door_horizon"], {"minute": horizon})
            connection.execute(SQL["drop_minutes"], {"minute": horizon})

    def clear(self, connection: sqlite3.Connection) -> None:
        """See Reader."""
        for statement in ("clear_doors", "clear_minutes", "clear_horizon"):
            connection.execute(SQL[statement])


def _fold(door: _Door, event: Event, occurred_ns: int) -> None:
    name = _STATES.get(event.topic)
    if name is not None:
        setattr(door, name, str(event.values.get("state", "Unknown")))
    elif event.topic.startswith(_PASSAGES) and not event.initialized and occurred_ns >= (door.last_ns or 0):
        credential = event.credential
        door.last_ns, door.last_topic = occurred_ns, event.topic
        door.last_tail = credential.tail or None if credential is not None else None
        door.last_method = credential.kind if credential is not None else None


def _count(minutes: dict[tuple[str, int], _Minute], row: LedgerRow, minute: int) -> None:
    key = (row.device_id, minute)
    counted = minutes.get(key)
    if counted is None:
        counted = minutes[key] = _Minute(*key)
    counted.changed = row.position
    if row.topic.startswith(GRANTED):
        counted.granted += 1
    else:
        counted.denied += 1
