"""What every simulated device has: a real-time clock that may be wrong, a memory that survives power cuts, a witness.

A simulated device is a pure state machine. It is told what time it is (`Moment`), what arrived and what happened in
front of it, and it answers with messages to publish. Sockets, waiting and the machine's own clock stand in
`simulators.mqtt_device`.

The memory is what a terminal keeps in flash: the records it made, oldest first, with a mark for those that the other
side has acknowledged. It is a ring: when it is full the oldest record is overwritten, acknowledged or not, and the
witness is told, because a record that the device itself destroyed is nobody else's loss. `wipe` is the factory reset:
records gone, numbering back to 1.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final, Literal, NamedTuple, Protocol
from zoneinfo import ZoneInfo

DEVICE_TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"

Contract = Literal["acked", "unheard"]
Destroyed = Literal["overwritten", "wiped"]


@dataclass(frozen=True, slots=True)
class Moment:
    """One moment of the real world. mono_s never steps; wall_s is true UTC in seconds since 1970."""

    mono_s: float
    wall_s: float


class Time(Protocol):
    """Where a running device gets its moments from."""

    def wall_ns(self) -> int:
        """True UTC in nanoseconds since 1970."""

    def mono_ns(self) -> int:
        """Nanoseconds that never step."""


class Publish(NamedTuple):
    """A message that a device wants on the wire."""

    topic: str
    payload: bytes
    qos: int


class RecordKey(NamedTuple):
    """A device's own name for a record. series: records of different kinds are numbered apart; run: how often the
    numbering has restarted, which the device itself does not know and never says.
    """

    series: str
    run: int
    number: int


@dataclass(slots=True)
class Kept:
    """One record in the device's memory. fields: what the record says, without what only its sending decides.

    device_time: its time as the device's clock showed it; device_s: the same in seconds of that clock.
    who: index of the person, absent for strangers. status: the device's own word for the verdict. sent: it has been
    on the wire; an acknowledgement of a record that was never sent belongs to a numbering that is gone.
    """

    key: RecordKey
    device_time: str
    device_s: float
    who: int | None
    status: str
    fields: Mapping[str, object]
    acked: bool = False
    sent: bool = False


class Witness(Protocol):
    """Hears the truth from inside the devices. Called before the record can be on the wire."""

    def produced(self, device: str, record: Kept, now: Moment) -> None:
        """The record is in the device's memory."""

    def released(self, device: str, record: Kept, now: Moment) -> None:
        """The other side acknowledged the record: the device may forget it."""

    def destroyed(self, device: str, record: Kept, cause: Destroyed, now: Moment) -> None:
        """The device lost the record by itself, before it was acknowledged."""

    def said(self, device: str, kind: str, device_time: str, now: Moment) -> None:
        """The device is about to say something once that it does not keep."""

    def executed(self, device: str, request: str, now: Moment) -> None:
        """The device does what an order asks for, now. request: the id it came with; empty in protocols where an order
        has none.
        """

    def garbled(self, device: str, now: Moment) -> None:
        """The device is about to send bytes that mean nothing."""


class DeviceClock:
    """The real-time clock inside a device: local time without offset, and possibly wrong. Survives power cuts."""

    def __init__(self, zone: str = "Asia/Shanghai", *, wrong_by_s: float = 0.0) -> None:
        """zone: IANA name; wrong_by_s: positive when the device is ahead of the world."""
        self._zone = ZoneInfo(zone)
        self.wrong_by_s = wrong_by_s

    def seconds(self, now: Moment) -> float:
        """Seconds since 1970 as this clock believes them to be."""
        return now.wall_s + self.wrong_by_s

    def text(self, now: Moment) -> str:
        """`2026-09-01 07:55:10`, local."""
        return self.text_of(self.seconds(now))

    def text_of(self, device_s: float) -> str:
        """The text this clock shows at device_s."""
        return datetime.fromtimestamp(device_s, UTC).astimezone(self._zone).strftime(DEVICE_TIME_FORMAT)

    def read(self, text: str) -> float:
        """Seconds since 1970 of a local time text. Raises ValueError."""
        return datetime.strptime(text, DEVICE_TIME_FORMAT).replace(tzinfo=self._zone).timestamp()

    def set(self, text: str, now: Moment) -> None:
        """Set the clock to a local time text. Raises ValueError."""
        self.wrong_by_s = self.read(text) - now.wall_s


@dataclass(slots=True)
class Memory:
    """A device's flash. capacity: records kept, acknowledged ones included."""

    capacity: int = 20_000
    run: int = 0
    _next: dict[str, int] = field(default_factory=dict)
    _kept: dict[RecordKey, Kept] = field(default_factory=dict)
    _unacked: dict[RecordKey, Kept] = field(default_factory=dict)

    def next_key(self, series: str) -> RecordKey:
        """The key of the next record of a series; numbers begin at 1."""
        number = self._next.get(series, 0) + 1
        self._next[series] = number
        return RecordKey(series, self.run, number)

    def add(self, record: Kept) -> Kept | None:
        """Keep a record. Returns a record that was overwritten before it was acknowledged, if any."""
        overwritten = None
        if len(self._kept) >= self.capacity:
            oldest = next(iter(self._kept))
            del self._kept[oldest]
            overwritten = self._unacked.pop(oldest, None)
        self._kept[record.key] = record
        self._unacked[record.key] = record
        return overwritten

    def unacked(self) -> Iterator[Kept]:
        """Records still owed, oldest first."""
        return iter(self._unacked.values())

    def owed(self) -> int:
        """How many records are still owed."""
        return len(self._unacked)

    def owes(self, key: RecordKey) -> bool:
        """Whether this record is kept and not acknowledged."""
        return key in self._unacked

    def acknowledge(self, series: str, number: int) -> Kept | None:
        """Mark a record as acknowledged. None when there is no such record, or it was never sent, or it is not owed."""
        key = RecordKey(series, self.run, number)
        record = self._unacked.get(key)
        if record is None or not record.sent:
            return None
        del self._unacked[key]
        record.acked = True
        return record

    def between(self, start_s: float, end_s: float) -> list[Kept]:
        """Kept records of a span of the device's clock, acknowledged or not, oldest first."""
        return [record for record in self._kept.values() if start_s <= record.device_s <= end_s]

    def wipe(self) -> list[Kept]:
        """Factory reset. Returns the records that were still owed and are gone now."""
        gone = list(self._unacked.values())
        self._kept.clear()
        self._unacked.clear()
        self._next.clear()
        self.run += 1
        return gone
