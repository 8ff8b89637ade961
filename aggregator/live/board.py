"""The picture of the live page in memory. No disk and no clock: it is given what changed and says what to show.

Two things move without the ledger: a box falls silent, and time passes (a minute ends, a day begins). What a box that
is away said of its doors is old news and never shown as healthy.

Exceptions and what became of alarms are remembered for a while, so that a page that was cut off is brought up to date
from here.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec

from aggregator.admission.sessions import Liveness
from aggregator.alarms import Alarm, State
from aggregator.ledger import LedgerRow, record_of
from aggregator.live.shapes import (
    AlarmView,
    DoorView,
    ExceptionView,
    Kpi,
    Last,
    Naming,
    News,
    alarm_view,
    naming_of,
)
from aggregator.live.tables import RESOLVED_KEPT, Row, Tables
from aggregator.readers.doors import MINUTE_NS
from aggregator.silence import EDGE_SILENT_S
from wire.clock import NS_PER_S, utc_text
from wire.records import Event

SPARK_MINUTES: Final = 30
EXCEPTIONS_SHOWN: Final = 30
EXCEPTIONS_KEPT: Final = 300
# What has lain on the disk of a box for so long is held up, and not just on its way.
HELD_UP_S: Final = 5
_NOBODY: Final = Naming("", "", "")
_NO_ROW: Final[Row] = dict.fromkeys(("contact", "lock", "alarm", "last_ns", "last_topic", "last_tail", "last_method"))


class Now(msgspec.Struct, frozen=True, kw_only=True):
    """What is known beside the ledger. edges: boxes that may deliver. behind: rows that our readers have not taken."""

    wall_ns: int
    mono_ns: int
    liveness: Mapping[str, Liveness]
    edges: Collection[str]
    behind: int


class Board:
    """See the module."""

    def __init__(self, zone: ZoneInfo, levels: Mapping[str, int], can_open: Callable[[str], bool]) -> None:
        """levels: of kinds of alarm that the campus has rated itself. can_open: whether devices of a profile open."""
        self._zone = zone
        self._levels = levels
        self._can_open = can_open
        self.position = 0
        self._minute = 0
        self._midnight = 0
        self._said: dict[str, Row] = {}
        self._devices: dict[str, Row] = {}
        self._minutes: dict[str, dict[int, tuple[int, int]]] = {}
        self._alarms: dict[str, Alarm] = {}
        self._heard: dict[str, bool] = {}
        self._silent_ns: dict[str, int] = {}
        self._doors: dict[str, DoorView] = {}
        self._views: dict[str, AlarmView] = {}
        self._resolved: deque[AlarmView] = deque(maxlen=RESOLVED_KEPT)
        self._exceptions: deque[ExceptionView] = deque(maxlen=EXCEPTIONS_KEPT)
        self._kpi = Kpi()

    # --- what comes in --------------------------------------------------------------------------------

    def update(self, tables: Tables | None, denied: Sequence[LedgerRow], position: int, now: Now) -> News:
        """Take what changed; what is to be told of it. tables: None when nothing did. position: of the picture then."""
        self.position = position
        doors = self._turn(now.wall_ns)
        alarms: list[str] = []
        if tables is not None:
            touched, renamed = self._take(tables)
            doors |= touched
            alarms = [alarm.id for alarm in tables.alarms]
            alarms += [alarm.id for alarm in self._alarms.values() if alarm.source in renamed]
        doors |= self._listen(now, {} if tables is None else tables.edges)
        exceptions = [self._exception(row) for row in denied]
        self._exceptions.extend(exceptions)
        shown_doors, shown_alarms = self._show_doors(doors), self._show_alarms(dict.fromkeys(alarms))
        before, self._kpi = self._kpi, self._count(now)
        return News(
            position=position,
            at=utc_text(now.wall_ns),
            doors=shown_doors,
            alarms=shown_alarms,
            exceptions=tuple(exceptions),
            kpi=self._kpi if self._kpi != before else msgspec.UNSET,
        )

    def _turn(self, wall_ns: int) -> set[str]:
        minute = wall_ns // MINUTE_NS
        if minute == self._minute:
            return set()
        self._minute, self._midnight = minute, midnight_minute(wall_ns, self._zone)
        since = self.since_minute(wall_ns)
        for counted in self._minutes.values():
            for old in [one for one in counted if one < since]:
                del counted[old]
        return set(self._doors)

    def since_minute(self, wall_ns: int) -> int:
        """From which minute on passages are shown."""
        return min(midnight_minute(wall_ns, self._zone), wall_ns // MINUTE_NS - SPARK_MINUTES + 1)

    def _take(self, tables: Tables) -> tuple[set[str], set[str]]:
        touched, renamed = set[str](), set[str]()
        for row in tables.doors:
            self._said[row["device_id"]] = row
            touched.add(row["device_id"])
        for row in tables.minutes:
            counted = self._minutes.setdefault(row["device_id"], {})
            counted[row["minute"]] = (row["granted"], row["denied"])
            touched.add(row["device_id"])
        for row in tables.devices:
            before = self._devices.get(row["device_id"])
            self._devices[row["device_id"]] = row
            if before is None or naming_of(before) != naming_of(row):
                renamed.add(row["device_id"])
            touched.add(row["device_id"])
        for alarm in tables.alarms:
            self._alarms[alarm.id] = alarm
        return touched, renamed

    def _listen(self, now: Now, received: Mapping[str, int]) -> set[str]:
        """Which boxes are heard; the devices of those where that has changed."""
        changed = set[str]()
        for edge in {row["edge"] for row in self._devices.values()} | set(now.liveness):
            live = now.liveness.get(edge)
            silent_ns = None if live is None else now.mono_ns - live.heard_ns
            heard = silent_ns is not None and silent_ns <= EDGE_SILENT_S * NS_PER_S
            if self._heard.get(edge) is heard:
                continue
            self._heard[edge] = heard
            changed.add(edge)
            since_ns = received.get(edge, now.wall_ns) if silent_ns is None else now.wall_ns - silent_ns
            self._silent_ns[edge] = since_ns
        return {device for device, row in self._devices.items() if row["edge"] in changed} if changed else set()

    # --- what is shown --------------------------------------------------------------------------------

    def _show_doors(self, devices: Iterable[str]) -> tuple[DoorView, ...]:
        news = []
        for device in sorted(devices):
            door = self._door(device)
            if door is not None and self._doors.get(device) != door:
                self._doors[device] = door
                news.append(door)
        return tuple(news)

    def _door(self, device: str) -> DoorView | None:
        said, known = self._said.get(device), self._devices.get(device)
        can_open = known is not None and self._can_open(known["profile"])
        if said is None and not can_open:
            return None
        row, called = said or _NO_ROW, _NOBODY if known is None else naming_of(known)
        edge = device.partition("/")[0]
        heard = self._heard.get(edge, False)
        since_ns = (known["state_ns"] if known is not None else 0) if heard else self._silent_ns.get(edge, 0)
        counted = self._minutes.get(device, {})
        today = [passed for minute, passed in counted.items() if minute >= self._midnight]
        return DoorView(
            device=device,
            name=called.name or device,
            name_en=called.name_en,
            place=called.place,
            edge=edge,
            contact=_known(row["contact"]),
            lock=_known(row["lock"]),
            alarm=_known(row["alarm"]),
            state="SILENT" if not heard else known["state"] if known is not None else "UNKNOWN",
            state_since=utc_text(since_ns) if since_ns else None,
            can_open=can_open,
            last=_last(row),
            granted_today=sum(granted for granted, _ in today),
            denied_today=sum(denied for _, denied in today),
            spark=tuple(
                counted.get(minute, (0, 0))[0] for minute in range(self._minute - SPARK_MINUTES + 1, self._minute + 1)
            ),
        )

    def _show_alarms(self, ids: Iterable[str]) -> tuple[AlarmView, ...]:
        news = []
        for alarm_id in ids:
            alarm = self._alarms[alarm_id]
            known = self._devices.get(alarm.source)
            view = alarm_view(alarm, None if known is None else naming_of(known), self._levels)
            if self._views.get(alarm_id) != view:
                news.append(view)
            if alarm.state is State.RESOLVED:
                del self._alarms[alarm_id]
                self._views.pop(alarm_id, None)
                self._resolved.append(view)
            else:
                self._views[alarm_id] = view
        return tuple(news)

    def _exception(self, row: LedgerRow) -> ExceptionView:
        event = record_of(row)
        reason, tail = "", ""
        if isinstance(event, Event):
            reason, tail = event.reason, event.credential.tail if event.credential is not None else ""
        known = self._devices.get(row.device_id)
        called = _NOBODY if known is None else naming_of(known)
        return ExceptionView(
            position=row.position,
            at=utc_text(row.occurred_ns),
            device=row.device_id,
            name=called.name or row.device_id,
            name_en=called.name_en,
            topic=row.topic,
            reason=reason or None,
            tail=tail or None,
            historical=row.historical,
        )

    def _count(self, now: Now) -> Kpi:
        views = list(self._views.values())
        held = [
            depth.queued
            for live in now.liveness.values()
            if live.heartbeat is not None
            for depth in live.heartbeat.lanes.values()
            if depth.oldest_age_s >= HELD_UP_S
        ]
        return Kpi(
            granted_today=sum(door.granted_today for door in self._doors.values()),
            denied_today=sum(door.denied_today for door in self._doors.values()),
            alarms_new=sum(view.state == State.NEW and not view.fault for view in views),
            alarms_open=sum(not view.fault for view in views),
            faults_open=sum(view.fault for view in views),
            devices_up=sum(row["state"] == "UP" and self._heard[row["edge"]] for row in self._devices.values()),
            devices_total=len(self._devices),
            edges_live=sum(heard for edge, heard in self._heard.items() if edge in now.edges),
            edges_total=len(now.edges),
            catching_up=sum(held) + now.behind,
        )

    # --- questions ------------------------------------------------------------------------------------

    @property
    def doors(self) -> Mapping[str, DoorView]:
        """All doors by device."""
        return self._doors

    def snapshot(self, at_ns: int) -> News:
        """Everything a page begins with."""
        return News(
            position=self.position,
            at=utc_text(at_ns),
            doors=tuple(self._doors[device] for device in sorted(self._doors)),
            alarms=tuple(self._views.values()),
            exceptions=tuple(self._exceptions)[-EXCEPTIONS_SHOWN:],
            kpi=self._kpi,
        )

    def since(self, position: int, at_ns: int) -> News | None:
        """What a page that was complete up to a position lacks; None when that is no longer known."""
        if position > self.position or position < self._remembered_from():
            return None
        # One that was opened again stands in both; what it is now counts.
        views = {view.id: view for view in (*self._resolved, *self._views.values())}
        return News(
            position=self.position,
            at=utc_text(at_ns),
            doors=tuple(self._doors[device] for device in sorted(self._doors)),
            alarms=tuple(view for view in views.values() if view.position > position),
            exceptions=tuple(one for one in self._exceptions if one.position > position),
            kpi=self._kpi,
        )

    def _remembered_from(self) -> int:
        """The lowest position from which on nothing has been forgotten."""
        full = [kept[0].position for kept in (self._exceptions, self._resolved) if len(kept) == kept.maxlen and kept]
        return max(full, default=0)


def midnight_minute(wall_ns: int, zone: ZoneInfo) -> int:
    """The minute in which the day of a moment began, in a zone."""
    local = datetime.fromtimestamp(wall_ns // NS_PER_S, zone)
    return int(local.replace(hour=0, minute=0, second=0, microsecond=0).timestamp()) // 60


def _last(row: Mapping[str, Any]) -> Last | None:
    if row["last_ns"] is None:
        return None
    return Last(at=utc_text(row["last_ns"]), topic=row["last_topic"], tail=row["last_tail"], method=row["last_method"])


def _known(state: str | None) -> str | None:
    return None if state == "Unknown" else state
