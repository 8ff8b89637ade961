"""The truth: what the simulated devices really produced, and what they were told about it.

One JSON line per fact, appended and handed to the kernel before the record can be on the wire, so that the journal
outlives the death of whoever writes it (not a power cut of the machine: no fsync, a demo is not a ledger). A torn last
line, left by a death in the middle of a write, is ignored when read.

    {"t":"record","device":"1026701","series":"rec","run":0,"no":4211,"time":"2026-09-01 07:55:10","who":17,
     "status":"1","at_ns":…}
    {"t":"acked",…key…}            the device was told that it may forget
    {"t":"destroyed",…key…,"cause":"overwritten"}   the device lost it by itself before that
    {"t":"said","device":…,"kind":"CardPush","time":…,"at_ns":…}      said once, kept by nobody
    {"t":"executed","device":…,"request":…,"at_ns":…}   it did what an order asked for; "" where orders have no names
    {"t":"garbage","device":…,"at_ns":…}

The journal names people by index only; names and numbers never enter it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from simulators.device import Destroyed, Kept, Moment, RecordKey

FORMAT_LINE = {"t": "journal", "schema": 1}


class Fate(StrEnum):
    """How a record stands with its device."""

    HELD = "held"
    ACKED = "acked"
    DESTROYED = "destroyed"


@dataclass(slots=True)
class Produced:
    """One record of one device. at_ns: true wall time of its making."""

    device: str
    key: RecordKey
    device_time: str
    who: int | None
    status: str
    at_ns: int
    fate: Fate = Fate.HELD


@dataclass(frozen=True, slots=True)
class Said:
    """Something a device said once. contract `unheard`."""

    device: str
    kind: str
    device_time: str
    at_ns: int


@dataclass(frozen=True, slots=True)
class Executed:
    """An order that a device carried out. at_ns: true wall time."""

    device: str
    request: str
    at_ns: int


@dataclass(slots=True)
class Journal:
    """Everything the journal knows."""

    records: dict[tuple[str, RecordKey], Produced] = field(default_factory=dict)
    said: list[Said] = field(default_factory=list)
    garbage: dict[str, int] = field(default_factory=dict)
    executed: list[Executed] = field(default_factory=list)

    def of_device(self, device: str) -> Iterator[Produced]:
        """The records of one device in the order of their making."""
        return (one for one in self.records.values() if one.device == device)

    def count(self, fate: Fate) -> int:
        """How many records stand so."""
        return sum(one.fate is fate for one in self.records.values())


@dataclass(slots=True)
class Counts:
    """How much of each kind of fact one device has given."""

    produced: int = 0
    acked: int = 0
    destroyed: int = 0
    said: int = 0
    garbage: int = 0

    @property
    def held(self) -> int:
        """Records the device still owes."""
        return self.produced - self.acked - self.destroyed


class JournalWriter:
    """Appends to a journal file. Implements `simulators.device.Witness`. Keeps counts in memory, not records, so that
    a campus may run for weeks; `read_journal` gives the whole.
    """

    def __init__(self, path: Path) -> None:
        """A file that exists is continued."""
        self.path = path
        self.counts: dict[str, Counts] = {}
        fresh = not path.exists()
        if not fresh:
            self._count_again(read_journal(path))
        self._file: BinaryIO = path.open("ab", buffering=0)
        if fresh:
            self._write(FORMAT_LINE)

    def __enter__(self) -> Self:
        """Close at the end."""
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """See `close`."""
        self.close()

    def close(self) -> None:
        """No more facts."""
        self._file.close()

    def of(self, device: str) -> Counts:
        """The counts of one device."""
        return self.counts.setdefault(device, Counts())

    def total(self) -> Counts:
        """The counts of all devices together."""
        total = Counts()
        for one in self.counts.values():
            total.produced += one.produced
            total.acked += one.acked
            total.destroyed += one.destroyed
            total.said += one.said
            total.garbage += one.garbage
        return total

    def produced(self, device: str, record: Kept, now: Moment) -> None:
        """See Witness."""
        line = _key_line("record", device, record.key)
        line |= {"time": record.device_time, "who": record.who, "status": record.status, "at_ns": _ns(now)}
        self._write(line)
        self.of(device).produced += 1

    def released(self, device: str, record: Kept, now: Moment) -> None:
        """See Witness."""
        self._write(_key_line("acked", device, record.key) | {"at_ns": _ns(now)})
        self.of(device).acked += 1

    def destroyed(self, device: str, record: Kept, cause: Destroyed, now: Moment) -> None:
        """See Witness."""
        self._write(_key_line("destroyed", device, record.key) | {"cause": cause, "at_ns": _ns(now)})
        self.of(device).destroyed += 1

    def said(self, device: str, kind: str, device_time: str, now: Moment) -> None:
        """See Witness."""
        self._write({"t": "said", "device": device, "kind": kind, "time": device_time, "at_ns": _ns(now)})
        self.of(device).said += 1

    def executed(self, device: str, request: str, now: Moment) -> None:
        """See Witness."""
        self._write({"t": "executed", "device": device, "request": request, "at_ns": _ns(now)})

    def garbled(self, device: str, now: Moment) -> None:
        """See Witness."""
        self._write({"t": "garbage", "device": device, "at_ns": _ns(now)})
        self.of(device).garbage += 1

    def _count_again(self, journal: Journal) -> None:
        for record in journal.records.values():
            counts = self.of(record.device)
            counts.produced += 1
            counts.acked += record.fate is Fate.ACKED
            counts.destroyed += record.fate is Fate.DESTROYED
        for said in journal.said:
            self.of(said.device).said += 1
        for device, garbage in journal.garbage.items():
            self.of(device).garbage += garbage

    def _write(self, line: dict[str, object]) -> None:
        # One write per line, unbuffered: the kernel has it when this returns, whatever happens to us.
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")


def read_journal(path: Path) -> Journal:
    """The journal of a file. A torn last line is ignored. Raises ValueError for any other line that is none of ours."""
    journal = Journal()
    *lines, torn = path.read_bytes().split(b"\n")
    del torn
    for line in lines:
        _apply(journal, json.loads(line))
    return journal


def _apply(journal: Journal, line: dict[str, object]) -> None:
    match line:
        case {"t": "record", "time": str(time), "status": str(status), "at_ns": int(at_ns), "who": int() | None as who}:
            device, key = _key_of(line)
            journal.records[device, key] = Produced(device, key, time, who, status, at_ns)
        case {"t": "acked"}:
            journal.records[_key_of(line)].fate = Fate.ACKED
        case {"t": "destroyed"}:
            journal.records[_key_of(line)].fate = Fate.DESTROYED
        case {"t": "said", "device": str(device), "kind": str(kind), "time": str(time), "at_ns": int(at_ns)}:
            journal.said.append(Said(device, kind, time, at_ns))
        case {"t": "garbage", "device": str(device)}:
            journal.garbage[device] = journal.garbage.get(device, 0) + 1
        case {"t": "executed", "device": str(device), "request": str(request), "at_ns": int(at_ns)}:
            journal.executed.append(Executed(device, request, at_ns))
        case {"t": "journal", "schema": 1}:
            pass
        case _:
            raise ValueError(f"not a line of a journal: {line!r:.120}")


def _key_line(fact: str, device: str, key: RecordKey) -> dict[str, object]:
    return {"t": fact, "device": device, "series": key.series, "run": key.run, "no": key.number}


def _key_of(line: dict[str, object]) -> tuple[str, RecordKey]:
    match line:
        case {"device": str(device), "series": str(series), "run": int(run), "no": int(number)}:
            return device, RecordKey(series, run, number)
    raise ValueError(f"no record key in a line of a journal: {line!r:.120}")


def _ns(now: Moment) -> int:
    return int(now.wall_s * 1_000_000_000)
