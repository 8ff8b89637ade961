"""What a demo found, as one JSON object.

schema           1
seed             of people, trace, device faults and kills
versions         {"campus-iot", "python", "broker"}
produced         records of devices that keep them until they are acknowledged
stored           of these, at rest in the ledger at least once
lost             acknowledged or still held by the device, and not at rest
duplicated       copies at rest beyond the first
unheard          {"produced", "stored"}: what devices said once and keep nowhere
quarantined      messages that the boxes could not read
by_device_class  {class: {"produced", "stored", "lost", "duplicated", "unheard" {"produced", "stored"}}}; here produced
                 and stored count what was said once as well, as there are classes whose devices keep nothing
by_system        the same for each of the seven systems; a device may serve several, so these do not add up
latency_ms       {"count", "p50", "p99", "max"} from the terminal's record to the receipt on the live stream
series_points    points in the time-series store
alarms           {kind: how often it rang}, of the kinds of `simulators.campus.alarms`
commands         {"issued", "succeeded", "rejected", "expired", "unreachable", "unknown"}
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from simulators.campus.alarms import KINDS
from simulators.campus.latency import Latencies
from simulators.compare import Comparison

SCHEMA: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """How commands ended."""

    issued: int = 0
    succeeded: int = 0
    rejected: int = 0
    expired: int = 0
    unreachable: int = 0
    unknown: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """Everything a report is made of. drained: nothing was on its way any more when it was compared. late, twice,
    open_commands: of commands, what must not be.
    """

    seed: int
    versions: Mapping[str, str]
    comparison: Comparison
    latencies: Latencies
    quarantined: int
    drained: bool
    alarms: Mapping[str, int]
    series_points: int
    commands: Commands
    late: int
    twice: int
    open_commands: int

    @property
    def good(self) -> bool:
        """Whether the campus kept its word: nothing lost or doubled, no command late, twice or without an end."""
        return self.drained and self.comparison.exact and not (self.late or self.twice or self.open_commands)

    def as_json(self) -> dict[str, Any]:
        """See the module."""
        comparison = self.comparison
        return {
            "schema": SCHEMA,
            "seed": self.seed,
            "versions": dict(self.versions),
            **asdict(comparison.total),
            "unheard": asdict(comparison.unheard),
            "quarantined": self.quarantined,
            "by_device_class": {name: asdict(tally) for name, tally in sorted(comparison.by_device_class.items())},
            "by_system": {name: asdict(tally) for name, tally in comparison.by_system.items()},
            "latency_ms": self.latencies.summary(),
            "series_points": self.series_points,
            "alarms": {kind: self.alarms.get(kind, 0) for kind in KINDS},
            "commands": asdict(self.commands),
        }

    def write(self, path: Path) -> None:
        """Write it whole or not at all. Raises OSError."""
        fresh = path.with_name(path.name + ".new")
        fresh.write_text(json.dumps(self.as_json(), ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
        fresh.replace(path)
