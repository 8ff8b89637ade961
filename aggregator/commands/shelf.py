"""The newest lease of each box, and which of its uses were given out. Pure; times are the campus' monotonic clock.

A lease is good here for FRESH_S only, although the box lets it live longer: a box that has not been heard of for two
heartbeats is not reachable, and whoever wants a door opened is told so at once instead of in ten seconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from wire.clock import NS_PER_S
from wire.commands import Lease, LeaseUse
from wire.delivery import Heartbeat

FRESH_S: Final = 4


class Drawn(NamedTuple):
    """One use of a lease. session, epoch: in which the box gave it."""

    use: LeaseUse
    session: str
    epoch: str


@dataclass(slots=True)
class _Held:
    session: str
    epoch: str
    lease: Lease
    heard_ns: int
    next_use: int = 0


class LeaseShelf:
    """See the module."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def hello(self, edge: str) -> None:
        """A new session: whatever the box gave before is void."""
        self._held.pop(edge, None)

    def heard(self, edge: str, heartbeat: Heartbeat, heard_ns: int) -> None:
        """A heartbeat; its lease takes the place of the one before."""
        lease, held = heartbeat.lease, self._held.get(edge)
        if lease is not None and (held is None or held.lease.id != lease.id):
            self._held[edge] = _Held(heartbeat.session, heartbeat.epoch, lease, heard_ns)

    def reachable(self, edge: str, now_ns: int) -> bool:
        """Whether a use could be drawn now."""
        held = self._held.get(edge)
        return held is not None and now_ns - held.heard_ns < FRESH_S * NS_PER_S and held.next_use < held.lease.uses

    def draw(self, edge: str, now_ns: int) -> Drawn | None:
        """One use that nobody else gets; None when the box is not reachable."""
        if not self.reachable(edge, now_ns):
            return None
        held = self._held[edge]
        use = LeaseUse(lease=held.lease.id, use=held.next_use)
        held.next_use += 1
        return Drawn(use, held.session, held.epoch)

    def ages_s(self, now_ns: int) -> Mapping[str, float]:
        """How old the newest lease of each box is."""
        return {edge: (now_ns - held.heard_ns) / NS_PER_S for edge, held in self._held.items()}
