"""Holds what stands at rest against what was really produced.

    lost        acknowledged to the device, or still held by it, and not at rest
    duplicated  at rest more than once: every copy beyond the first counts
    unexpected  at rest with a device's record number that no device ever produced

A record that the device destroyed by itself may be at rest (it was sent before) or not; it is never lost. What was
said only once is never lost either: `unheard` says how many of them came, by device and time, and by topic where the
device has no clock and its events would be taken for each other. A state that a box says again after its start
(`initialized`) is nobody's change. The total counts records only; a device class and a system count both.

A device without numbers of its own (spaces is None) sends a record again unchanged, and the campus numbers it by its
content. Its records are counted by device time: as many as it made at a time must be at rest, not one more.

Any other record is known by device, number and device time. The number alone would not do, because numbering begins
again after a factory reset; the campus' own counting of such restarts is not consulted, because it is among the things
that may be wrong.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from simulators.device import RecordKey
from simulators.journal import Fate, Journal, Produced
from wire.identity import source_no

SYSTEMS = ("video", "access", "attendance", "broadcast", "payment", "biometrics", "one_card")
EXAMPLES_MAX = 20
# Stands for the number where only the device time can be compared.
UNNUMBERED = -1


class RecordName(NamedTuple):
    """What two sides can agree on about a record."""

    device_id: str
    record_no: int
    device_time: str


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """How the campus knows a simulated device. spaces: series -> number space of `wire.identity.source_no`; None for a
    device whose records have no number. topics: what it says once, by kind, and its topic at rest; empty where any of
    its events will do. only_measures: samples are all that comes of it, and these are no records.
    """

    device_id: str
    device_class: str
    systems: Collection[str]
    spaces: Mapping[str, int] | None
    topics: Mapping[str, str] = field(default_factory=dict)
    only_measures: bool = False

    def name(self, key: RecordKey, device_time: str) -> RecordName:
        """What the campus calls a record of this device."""
        number = UNNUMBERED if self.spaces is None else source_no(key.number, self.spaces[key.series])
        return RecordName(self.device_id, number, device_time)

    def numbered(self, record_no: int) -> int:
        """The number by which a record at rest is compared."""
        return UNNUMBERED if self.spaces is None else record_no

    def topic(self, topic: str) -> str:
        """By which topic an event that was said once is compared."""
        return topic if self.topics else ""


@dataclass(frozen=True, slots=True)
class Stored:
    """One event at rest. record_no: the device's own number, absent where it has none. state: what it tells, if any."""

    event_id: str
    device_id: str
    device_time: str
    record_no: int | None = None
    topic: str = ""
    state: str = ""


@dataclass(slots=True)
class Tally:
    """Counts as they stand in a report."""

    produced: int = 0
    stored: int = 0
    lost: int = 0
    duplicated: int = 0

    def add(self, *, owed: bool, copies: int) -> None:
        """One record. owed: it may not be missing. copies: how often it stands at rest."""
        self.produced += 1
        self.stored += min(copies, 1)
        self.lost += owed and copies == 0
        self.duplicated += max(0, copies - 1)


@dataclass(slots=True)
class Unheard:
    """What was said once."""

    produced: int = 0
    stored: int = 0


@dataclass(slots=True)
class Group(Tally):
    """Of a device class or a system: records, and what was said once, which `unheard` counts once more by itself."""

    unheard: Unheard = field(default_factory=Unheard)

    def add_said(self, *, came: bool) -> None:
        """One thing that was said once. came: it is at rest."""
        for counts in (self, self.unheard):
            counts.produced += 1
            counts.stored += came


@dataclass(slots=True)
class Comparison:
    """The outcome. lost_records, doubled_records, unexpected_records: the first few, for a person to look at."""

    total: Tally = field(default_factory=Tally)
    unheard: Unheard = field(default_factory=Unheard)
    by_device_class: dict[str, Group] = field(default_factory=dict)
    by_system: dict[str, Group] = field(default_factory=lambda: {system: Group() for system in SYSTEMS})
    unexpected: int = 0
    destroyed: int = 0
    lost_records: list[Produced] = field(default_factory=list)
    doubled_records: list[Produced] = field(default_factory=list)
    unexpected_records: list[RecordName] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        """Whether everything owed is at rest once, and nothing else."""
        return self.total.lost == 0 and self.total.duplicated == 0 and self.unexpected == 0


def compare(journal: Journal, stored: Iterable[Stored], devices: Mapping[str, DeviceFacts]) -> Comparison:
    """Compare. devices: by the name the journal uses. Events of other devices are none of ours and passed over."""
    ours = {facts.device_id: facts for facts in devices.values()}
    copies: dict[RecordName, set[str]] = {}
    unnumbered: Counter[tuple[str, str, str]] = Counter()
    for one in stored:
        facts = ours.get(one.device_id)
        if facts is None:
            continue
        if one.record_no is None:
            unnumbered[one.device_id, one.device_time, facts.topic(one.topic)] += 1
        else:
            name = RecordName(one.device_id, facts.numbered(one.record_no), one.device_time)
            copies.setdefault(name, set()).add(one.event_id)
    comparison = Comparison()
    for facts in devices.values():
        comparison.by_device_class.setdefault(facts.device_class, Group())
    made = Counter(devices[record.device].name(record.key, record.device_time) for record in journal.records.values())
    for record in journal.records.values():
        _count(comparison, record, devices[record.device], copies, made)
    for said in journal.said:
        facts = devices[said.device]
        place = facts.device_id, said.device_time, facts.topics.get(said.kind, "")
        came = unnumbered[place] > 0
        unnumbered[place] -= came
        comparison.unheard.produced += 1
        comparison.unheard.stored += came
        for group in _groups(comparison, facts):
            group.add_said(came=came)
    copies = {name: ids for name, ids in copies.items() if ids}
    comparison.unexpected = len(copies)
    comparison.unexpected_records = list(copies)[:EXAMPLES_MAX]
    return comparison


def _count(
    comparison: Comparison,
    record: Produced,
    facts: DeviceFacts,
    copies: dict[RecordName, set[str]],
    made: Counter[RecordName],
) -> None:
    name = facts.name(record.key, record.device_time)
    at_rest = copies.get(name, set())
    # Of records that cannot be told apart each takes one, and the last of them what is left.
    made[name] -= 1
    taken = set(at_rest) if made[name] == 0 else {min(at_rest)} if at_rest else set()
    at_rest -= taken
    found = len(taken)
    owed = record.fate is not Fate.DESTROYED
    comparison.destroyed += not owed
    for tally in (comparison.total, *_groups(comparison, facts)):
        tally.add(owed=owed, copies=found)
    if owed and not found and len(comparison.lost_records) < EXAMPLES_MAX:
        comparison.lost_records.append(record)
    if found > 1 and len(comparison.doubled_records) < EXAMPLES_MAX:
        comparison.doubled_records.append(record)


def _groups(comparison: Comparison, facts: DeviceFacts) -> list[Group]:
    return [comparison.by_device_class[facts.device_class], *(comparison.by_system[name] for name in facts.systems)]
