"""What the routes work with: the parts of one running campus."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from aggregator.accounts import Office
from aggregator.admission import Admission
from aggregator.alarms import AlarmDesk, AlarmReader
from aggregator.commands import CommandDesk, CommandView
from aggregator.documents import Archive, Courier
from aggregator.enrolment import Enrolment
from aggregator.ledger import Ledger
from aggregator.live import Feed, LiveHub
from aggregator.readers import Registry
from aggregator.series import SeriesStore
from wire.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Campus:
    """Assembled by aggregator.app, or by a test from parts. build: which version of ours this is. alarm_levels: of
    kinds that the campus rates otherwise than we do. health: what /health says. started_ns: UTC.
    """

    name: str
    display_name: str
    display_name_en: str
    zone: str
    build: str
    clock: Clock
    ledger: Ledger
    admission: Admission
    office: Office
    enrolment: Enrolment
    registry: Registry
    feed: Feed
    alarms: AlarmReader
    alarm_desk: AlarmDesk
    alarm_levels: Mapping[str, int]
    hub: LiveHub
    series: SeriesStore
    archive: Archive
    courier: Courier
    desk: CommandDesk
    commands: CommandView
    health: Callable[[], dict[str, Any]]
    started_ns: int = 0
    secure_cookies: bool = False
