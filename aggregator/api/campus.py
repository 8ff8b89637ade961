"""What the routes work with: the parts of one running campus."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aggregator.accounts import Office
from aggregator.admission import Admission
from aggregator.commands import CommandDesk, CommandView
from aggregator.documents import Archive, Courier
from aggregator.enrolment import Enrolment
from aggregator.ledger import Ledger
from aggregator.live import Feed
from aggregator.readers import Registry
from aggregator.series import SeriesStore
from wire.clock import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Campus:
    """Assembled by aggregator.app, or by a test from parts. health: what /health says."""

    name: str
    display_name: str
    display_name_en: str
    zone: str
    clock: Clock
    ledger: Ledger
    admission: Admission
    office: Office
    enrolment: Enrolment
    registry: Registry
    feed: Feed
    series: SeriesStore
    archive: Archive
    courier: Courier
    desk: CommandDesk
    commands: CommandView
    health: Callable[[], dict[str, Any]]
    secure_cookies: bool = False
