"""What the live page is made of, as the API says it: doors, alarms, exceptions, counters. Frozen, so that what has not
changed compares equal and is not sent again.

Each says itself in two forms: whole, and without people for a wall, for those who look after devices, for the district.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

import msgspec

from aggregator.alarms import KINDS, Alarm
from aggregator.alarms.rules import Kind
from wire.clock import utc_text

_UNKNOWN: Final = Kind(4)


class Naming(msgspec.Struct, frozen=True):
    """What a device is called and where it is."""

    name: str
    name_en: str
    place: str


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """The last passage at a door. method: what was shown to the reader."""

    at: str
    topic: str
    tail: str | None
    method: str | None


class DoorView(msgspec.Struct, frozen=True, kw_only=True):
    """One door. spark: passages in each of the last 30 minutes, newest last."""

    device: str
    name: str
    name_en: str
    place: str
    edge: str
    contact: str | None
    lock: str | None
    alarm: str | None
    state: str
    state_since: str | None
    can_open: bool
    last: Last | None
    granted_today: int
    denied_today: int
    spark: tuple[int, ...]

    def without_people(self) -> Self:
        """For those who may not see people."""
        if self.last is None or self.last.tail is None:
            return self
        return msgspec.structs.replace(self, last=msgspec.structs.replace(self.last, tail=None))


class AlarmView(msgspec.Struct, frozen=True, kw_only=True):
    """One alarm. active: the trouble lasts. position: of the record that changed it last."""

    id: str
    kind: str
    level: int
    fault: bool
    source: str
    name: str
    name_en: str
    place: str
    state: str
    count: int
    first_at: str
    last_at: str
    active: bool
    cleared_at: str | None
    historical: bool
    acked_by: str | None
    acked_at: str | None
    resolved_by: str | None
    resolved_at: str | None
    cause: str | None
    note: str | None
    position: int

    def without_people(self) -> Self:
        """For those who may not see people; who works here is one of them."""
        return msgspec.structs.replace(self, acked_by=None, resolved_by=None, cause=None, note=None)


class ExceptionView(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody was not let in."""

    position: int
    at: str
    device: str
    name: str
    name_en: str
    topic: str
    reason: str | None
    tail: str | None
    historical: bool

    def without_people(self) -> Self:
        """For those who may not see people."""
        return self if self.tail is None else msgspec.structs.replace(self, tail=None)


class Kpi(msgspec.Struct, frozen=True, kw_only=True):
    """Counters. catching_up: records that happened and are not on this page yet."""

    granted_today: int = 0
    denied_today: int = 0
    alarms_new: int = 0
    alarms_open: int = 0
    faults_open: int = 0
    devices_up: int = 0
    devices_total: int = 0
    edges_live: int = 0
    edges_total: int = 0
    catching_up: int = 0


class News(msgspec.Struct, frozen=True, kw_only=True):
    """What a page is told at once. position: up to which it is complete then."""

    position: int
    at: str
    doors: tuple[DoorView, ...] = ()
    alarms: tuple[AlarmView, ...] = ()
    exceptions: tuple[ExceptionView, ...] = ()
    kpi: Kpi | msgspec.UnsetType = msgspec.UNSET

    @property
    def says_something(self) -> bool:
        """Whether anything has changed."""
        return bool(self.doors or self.alarms or self.exceptions or self.kpi is not msgspec.UNSET)

    def without_people(self) -> Self:
        """For those who may not see people."""
        return msgspec.structs.replace(
            self,
            doors=tuple(door.without_people() for door in self.doors),
            alarms=tuple(alarm.without_people() for alarm in self.alarms),
            exceptions=tuple(one.without_people() for one in self.exceptions),
        )


_encoder = msgspec.json.Encoder()


def encode(shape: News | DoorView | AlarmView, *, people: bool) -> bytes:
    """As JSON."""
    return _encoder.encode(shape if people else shape.without_people())


def kind_of(name: str, levels: Mapping[str, int]) -> Kind:
    """How much a kind of alarm matters here. levels: of kinds that this campus has rated for itself."""
    kind = KINDS.get(name, _UNKNOWN)
    return Kind(levels.get(name, kind.level), kind.fault)


def alarm_view(alarm: Alarm, naming: Naming | None, levels: Mapping[str, int]) -> AlarmView:
    """An alarm as it is shown. naming: of its source, if that is a known device."""
    kind, called = kind_of(alarm.kind, levels), naming or Naming(alarm.source, "", "")
    return AlarmView(
        id=alarm.id,
        kind=alarm.kind,
        level=kind.level,
        fault=kind.fault,
        source=alarm.source,
        name=called.name or alarm.source,
        name_en=called.name_en,
        place=called.place,
        state=alarm.state,
        count=alarm.count,
        first_at=utc_text(alarm.first_ns),
        last_at=utc_text(alarm.last_ns),
        active=alarm.active,
        cleared_at=_moment(alarm.cleared_ns),
        historical=alarm.historical,
        acked_by=alarm.acked_by or None,
        acked_at=_moment(alarm.acked_ns),
        resolved_by=alarm.resolved_by or None,
        resolved_at=_moment(alarm.resolved_ns),
        cause=alarm.cause or None,
        note=alarm.note or None,
        position=alarm.changed,
    )


def naming_of(row: Mapping[str, Any]) -> Naming:
    """Of a row of the registry."""
    return Naming(row["display_name"], row["display_name_en"], row["place"])


def _moment(at_ns: int | None) -> str | None:
    return None if at_ns is None else utc_text(at_ns)
