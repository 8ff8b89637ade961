"""The newest lease of each box, and which of its uses were given out. Pure; times are the campus' monotonic clock.

A lease is good here for FRESH_S only, although the box lets it live longer: a box that has not been heard of for two
heartbeats is not reachable, and whoever wants a door opened is told so at once instead of in ten seconds.

`over` says which leases a box obeys no more: those that a heartbeat names, and those that were named in one that never
came here. By the box's own clock they have run out, and it works on nothing.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from wire.clock import NS_PER_S
from wire.commands import LEASE_VALID_S, Lease, LeaseUse
from wire.delivery import Heartbeat

FRESH_S: Final = 4
# A lease begins a moment after the stamp of the heartbeat that brings it.
_OVER_AFTER_NS: Final = (LEASE_VALID_S + 1) * NS_PER_S
# Of one box, used and not yet known to be over; beyond that the oldest is left to the next session.
_DRAWN_MAX: Final = 256


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
    issued_ns: int
    next_use: int = 0


class LeaseShelf:
    """See the module."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}
        # Edge -> lease of which uses were given out -> when it was issued, by the box's clock.
        self._drawn: dict[str, dict[str, int]] = {}

    def hello(self, edge: str) -> None:
        """A new session: whatever the box gave before is void."""
        self._held.pop(edge, None)
        self._drawn.pop(edge, None)

    def heard(self, edge: str, heartbeat: Heartbeat, heard_ns: int) -> None:
        """A heartbeat; its lease takes the place of the one before."""
        lease, held = heartbeat.lease, self._held.get(edge)
        if lease is not None and (held is None or held.lease.id != lease.id):
            self._held[edge] = _Held(heartbeat.session, heartbeat.epoch, lease, heard_ns, heartbeat.stamp.mono_ns)

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
        drawn = self._drawn.setdefault(edge, {})
        drawn[held.lease.id] = held.issued_ns
        if len(drawn) > _DRAWN_MAX:
            del drawn[next(iter(drawn))]
        return Drawn(use, held.session, held.epoch)

    def over(self, edge: str, heartbeat: Heartbeat) -> frozenset[str]:
        """Leases of this session under which the box takes nothing more and owes no outcome."""
        drawn = self._drawn.get(edge, {})
        over = set(heartbeat.settled_leases)
        if heartbeat.commands_pending == 0:
            now_ns = heartbeat.stamp.mono_ns
            over |= {lease for lease, issued_ns in drawn.items() if now_ns - issued_ns >= _OVER_AFTER_NS}
        return frozenset(over)

    def ages_s(self, now_ns: int) -> Mapping[str, float]:
        """How old the newest lease of each box is."""
        return {edge: (now_ns - held.heard_ns) / NS_PER_S for edge, held in self._held.items()}
