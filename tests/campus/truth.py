"""The observer outside the system: what was said, who may forget it, where copies of it exist.

Every record that a device or a box makes carries a serial of its own among its values, so that the observer can tell
records apart without believing any id that the system gave.

Copies are counted by the model, not by looking: a card holds what was accepted on it until an image is written over it,
the ledger what was committed until a backup is restored. A record whose last copy was destroyed that way (by a person,
with a card reader) is excused; one that production code forgot is not.
"""

import asyncio
from dataclasses import dataclass, field

from tests.campus.trace import Trace
from wire.records import Event, Reading, Record, decode_record, record_lane
from wire.topics import Lane


@dataclass(frozen=True)
class Made:
    """A record as its maker knows it. stop_and_wait: its maker says the next one only after "got it"."""

    serial: int
    maker: str
    lane: Lane
    numbered: bool
    stop_and_wait: bool = False
    clash: bool = False


@dataclass
class Backup:
    """What the ledger held."""

    serials: dict[int, int]
    head: int


def serial_of(record: Record) -> int | None:
    """The observer's mark in a record."""
    if isinstance(record, Event):
        serial = record.values.get("serial")
    elif isinstance(record, Reading):
        serial = next((value.value for value in record.readings if value.resource == "serial"), None)
    else:
        serial = None
    return serial if isinstance(serial, int) else None


class Violation(AssertionError):
    """An invariant does not hold."""


@dataclass
class Truth:
    """See the module.

    promised: serials whose makers were told "got it", and when. committed_s: when each first stood in the ledger.
    history_changed: edges whose cards were rolled back or cloned. latest_state: event id of the newest state of each
    (edge, epoch, device). numbers, assigned: which records a box gave which numbers, and the highest. serials: by
    event id. committed_through: the highest mark a lane ever had at the campus. forked, takeovers: alarms of the
    campus, also those that a restored backup has forgotten since.
    """

    trace: Trace
    made: dict[int, Made] = field(default_factory=dict)
    history_changed: set[str] = field(default_factory=set)
    latest_state: dict[tuple[str, str, str], str] = field(default_factory=dict)
    refused: int = 0
    promised: dict[int, float] = field(default_factory=dict)
    committed_s: dict[int, float] = field(default_factory=dict)
    on_card: dict[str, set[int]] = field(default_factory=dict)
    in_ledger: dict[int, int] = field(default_factory=dict)
    excused: set[int] = field(default_factory=set)
    numbers: dict[tuple[str, str, Lane, int], set[str]] = field(default_factory=dict)
    assigned: dict[tuple[str, str, Lane], int] = field(default_factory=dict)
    serials: dict[str, int] = field(default_factory=dict)
    committed_through: dict[tuple[str, str, Lane], int] = field(default_factory=dict)
    forked: list[tuple[str, str]] = field(default_factory=list)
    takeovers: int = 0
    seen_head: int = 0
    conflicts: int = 0
    destroyed: int = 0

    def make(self, maker: str, lane: Lane, *, numbered: bool, stop_and_wait: bool = False, clash: bool = False) -> int:
        serial = len(self.made) + 1
        self.made[serial] = Made(serial, maker, lane, numbered, stop_and_wait, clash)
        return serial

    def promise(self, serial: int, now_s: float) -> None:
        """Its maker may forget it."""
        if serial not in self.promised:
            self.promised[serial] = now_s
            self.trace.say(self.made[serial].maker, "may forget", serial)

    def accepted(
        self, place: str, edge: str, epoch: str, lane: Lane, rows: list[tuple[int, bytes | None, bytes]]
    ) -> None:
        """Rows (number, event id, body) are committed on a card."""
        card = self.on_card.setdefault(place, set())
        for seq, _, body in rows:
            record = decode_record(body)
            if record_lane(record) is not lane:
                raise Violation(f"{place}: {lane} {seq} holds a record of {record_lane(record)}")
            self.numbers.setdefault((edge, epoch, lane, seq), set()).add(record.id)
            key = (edge, epoch, lane)
            self.assigned[key] = max(self.assigned.get(key, 0), seq)
            if lane is Lane.S:
                self.latest_state[edge, epoch, record.device] = record.id
            serial = serial_of(record)
            if serial is not None:
                card.add(serial)
                self.serials[record.id] = serial

    def committed(self, serial: int, position: int) -> None:
        """A row of the ledger."""
        if serial in self.in_ledger:
            raise Violation(f"record {serial} doubled: positions {self.in_ledger[serial]} and {position}")
        if serial not in self.made:
            raise Violation(f"position {position} holds record {serial}, which nobody made")
        self.in_ledger[serial] = position
        self.committed_s.setdefault(serial, asyncio.get_running_loop().time())

    # --- people with card readers and backups

    def backup(self) -> Backup:
        return Backup(dict(self.in_ledger), self.seen_head)

    def restored(self, backup: Backup) -> None:
        before = self._copies()
        self.in_ledger, self.seen_head = dict(backup.serials), backup.head
        self._excuse(before)

    def rolled_back(self, place: str, edge: str, serials: set[int]) -> None:
        before = self._copies()
        self.history_changed.add(edge)
        self.on_card[place] = set(serials)
        self._excuse(before)

    def _copies(self) -> set[int]:
        return set(self.in_ledger).union(*self.on_card.values())

    def _excuse(self, before: set[int]) -> None:
        gone = before - self._copies()
        self.destroyed += len(gone)
        self.excused |= gone

    def stands(self, event_id: str, stood: set[str]) -> bool:
        """Whether a record is in the ledger, whose event ids are given. A terminal may say a record again that its box
        has delivered and forgotten; then it stands there under the id of the first time.
        """
        return event_id in stood or self.serials.get(event_id) in self.in_ledger

    def missing(self, given_up: frozenset[Lane] = frozenset()) -> list[int]:
        """Serials that must be in the ledger and are not. given_up: lanes that a full card may have given up; what went
        there is accounted for elsewhere.
        """
        return [
            serial
            for serial in self.promised
            if serial not in self.in_ledger
            and serial not in self.excused
            and not self.made[serial].clash
            and self.made[serial].lane not in given_up
        ]
