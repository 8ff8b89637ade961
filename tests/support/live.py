"""The parts of the live page, put together for a campus of a test as `aggregator.app` does for a real one."""

from dataclasses import dataclass, field

from aggregator.admission import Admission
from aggregator.alarms import AlarmDesk, AlarmReader
from aggregator.commands import CommandDesk
from aggregator.enrolment import Enrolment
from aggregator.ledger import Ledger
from aggregator.live import LiveHub
from aggregator.live.shapes import kind_of
from aggregator.readers import Doors, Registry
from aggregator.storage import Database
from wire.clock import Clock

VIEWS = ("aggregator.readers", "aggregator.commands", "aggregator.alarms")


@dataclass
class Live:
    """levels: of kinds of alarm; a test may rate them."""

    alarms: AlarmReader
    doors: Doors
    desk: AlarmDesk
    hub: LiveHub
    levels: dict[str, int] = field(default_factory=dict)


def live_parts(
    views: Database,
    ledger: Ledger,
    clock: Clock,
    registry: Registry,
    *,
    admission: Admission,
    enrolment: Enrolment,
    commands: CommandDesk,
) -> Live:
    levels: dict[str, int] = {}
    alarms, doors = AlarmReader(ledger, views), Doors(ledger, views)
    hub = LiveHub(
        views,
        ledger,
        (alarms, doors, registry),
        clock=clock,
        zone="Asia/Shanghai",
        levels=levels,
        can_open=commands.can_open,
        liveness=lambda: admission.liveness,
        edges=enrolment.joined,
    )
    return Live(alarms, doors, AlarmDesk(ledger, alarms, clock, lambda kind: kind_of(kind, levels).level), hub, levels)
