"""What is on its way: from the moment a terminal has a record to the moment the office's live stream shows it.

`Tracker` stands between the terminals and the journal: it is told every fact a device gives, passes it on, and
remembers when each record was made until the stream shows it. It counts per device; `rows` adds the counts up per
device class and per system for the screen.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from simulators.campus.alarms import count_alarms
from simulators.campus.latency import Latencies
from simulators.compare import SYSTEMS, DeviceFacts, RecordName, Stored
from simulators.device import Destroyed, Kept, Moment
from simulators.journal import JournalWriter

# Records on their way whose time is remembered; beyond it latency is measured on a sample, counts stay right.
TRACKED_MAX: Final = 50_000


@dataclass(slots=True)
class Row:
    """A line of the screen's table. name: `system.<system>` or `class.<device class>`. said: once, and kept nowhere;
    the other counts are of records.
    """

    name: str
    produced: int = 0
    acked: int = 0
    stored: int = 0
    destroyed: int = 0
    said: int = 0

    @property
    def in_flight(self) -> int:
        """Made and not yet seen on the stream."""
        return max(0, self.produced - self.stored - self.destroyed)


class Tracker:
    """Implements `simulators.device.Witness` in front of a journal."""

    def __init__(self, writer: JournalWriter, devices: Mapping[str, DeviceFacts]) -> None:
        """devices: by the name the terminals use."""
        self.latencies = Latencies()
        self.alarms: Counter[str] = Counter()
        self.measured = 0
        self._writer = writer
        self._devices = devices
        self._by_id = {facts.device_id: name for name, facts in devices.items()}
        self._made_s: dict[RecordName, float] = {}
        self._stored = dict.fromkeys(devices, 0)

    # --- from the devices -------------------------------------------------------------------------------

    def produced(self, device: str, record: Kept, now: Moment) -> None:
        """See Witness."""
        self._writer.produced(device, record, now)
        if len(self._made_s) < TRACKED_MAX:
            self._made_s[self._devices[device].name(record.key, record.device_time)] = now.mono_s

    def released(self, device: str, record: Kept, now: Moment) -> None:
        """See Witness."""
        self._writer.released(device, record, now)

    def destroyed(self, device: str, record: Kept, cause: Destroyed, now: Moment) -> None:
        """See Witness."""
        self._writer.destroyed(device, record, cause, now)
        self._made_s.pop(self._devices[device].name(record.key, record.device_time), None)

    def said(self, device: str, kind: str, device_time: str, now: Moment) -> None:
        """See Witness."""
        self._writer.said(device, kind, device_time, now)

    def executed(self, device: str, request: str, now: Moment) -> None:
        """See Witness."""
        self._writer.executed(device, request, now)

    def garbled(self, device: str, now: Moment) -> None:
        """See Witness."""
        self._writer.garbled(device, now)

    # --- from the stream --------------------------------------------------------------------------------

    def sampled(self, values: int) -> None:
        """So many measured values came on the live stream."""
        self.measured += values

    def seen(self, events: Sequence[Stored], now_s: float) -> None:
        """Events came on the live stream. now_s: monotonic."""
        self.alarms += count_alarms(events)
        for event in events:
            device = self._by_id.get(event.device_id)
            if device is None or event.record_no is None:
                continue
            self._stored[device] += 1
            made_s = self._made_s.pop(RecordName(event.device_id, event.record_no, event.device_time), None)
            if made_s is not None:
                self.latencies.add(now_s - made_s)

    # --- for the screen ---------------------------------------------------------------------------------

    def total(self) -> Row:
        """Everything."""
        return self._sum("", self._devices)

    def rows(self) -> Iterator[Row]:
        """The systems that have any device, then the device classes, but for those that are only measured with."""
        for system in SYSTEMS:
            if members := [one for one, facts in self._devices.items() if system in facts.systems]:
                yield self._sum(f"system.{system}", members)
        classes = sorted({facts.device_class for facts in self._devices.values() if not facts.only_measures})
        for name in classes:
            yield self._sum(
                f"class.{name}", (one for one, facts in self._devices.items() if facts.device_class == name)
            )

    def _sum(self, name: str, devices: Iterable[str]) -> Row:
        row = Row(name)
        for device in devices:
            counts = self._writer.of(device)
            row.produced += counts.produced
            row.acked += counts.acked
            row.destroyed += counts.destroyed
            row.said += counts.said
            row.stored += self._stored[device]
        return row
