"""Who is connected: one session per box, and the traces of a second box with the same identity.

A session is named by the nonce of its hello and lives in memory only; a campus that restarts knows none and asks
every box to say hello again. A new hello displaces the session before it. Normally the old one is dead by then. It is
a *takeover*, that is, two boxes with one identity, when

- a displaced session was heard again before this hello, or
- the displaced session was heard less than 10 s ago and the newcomer comes from another boot.

A frame that was long on its way looks like the first and a reboot within 10 s like the second, so only the third
takeover within five minutes is an alarm.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

from aggregator.ledger.rows import Mark
from wire.clock import NS_PER_S
from wire.delivery import Heartbeat, Hello
from wire.topics import Lane

LIVE_FOR_NS: Final = 10 * NS_PER_S
TAKEOVER_WINDOW_NS: Final = 300 * NS_PER_S
TAKEOVERS_FOR_ALARM: Final = 3
_DISPLACED_KEPT: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Liveness:
    """What is known of a connected box now. heard_ns: campus monotonic time of its last word."""

    edge: str
    session: str
    epoch: str
    software: str
    heard_ns: int
    hello: Hello
    heartbeat: Heartbeat | None


@dataclass(slots=True)
class Session:
    """One connection of one box. marks: committed; expected: the last number taken in, committed or on its way;
    absent where it must be read from the ledger first. held: its last word from us gave no credit.
    """

    hello: Hello
    heard_ns: int
    marks: dict[Lane, Mark]
    expected: dict[Lane, int]
    heartbeat: Heartbeat | None = None
    held: bool = False

    @property
    def nonce(self) -> str:
        """The session's name."""
        return self.hello.session


@dataclass(slots=True)
class EdgeState:
    """The sessions of one identity."""

    session: Session | None = None
    displaced: deque[str] = field(default_factory=lambda: deque(maxlen=_DISPLACED_KEPT))
    takeovers: deque[int] = field(default_factory=deque)
    displaced_spoke: bool = False

    def stranger_spoke(self, nonce: str) -> None:
        """Somebody who is not the session of this edge said something."""
        self.displaced_spoke = self.displaced_spoke or nonce in self.displaced

    def enter(self, session: Session) -> bool:
        """Make this the session of the edge. Returns whether its takeovers have now become an alarm."""
        earlier, now_ns = self.session, session.heard_ns
        self.session = session
        if earlier is None or earlier.nonce == session.nonce:
            return False
        live = now_ns - earlier.heard_ns < LIVE_FOR_NS
        other_boot = earlier.hello.stamp.boot_id != session.hello.stamp.boot_id
        returned = self.displaced_spoke or session.nonce in self.displaced
        self.displaced_spoke = False
        self.displaced.append(earlier.nonce)
        if not (returned or (live and other_boot)):
            return False
        self.takeovers.append(now_ns)
        while self.takeovers[0] <= now_ns - TAKEOVER_WINDOW_NS:
            self.takeovers.popleft()
        if len(self.takeovers) < TAKEOVERS_FOR_ALARM:
            return False
        self.takeovers.clear()
        return True

    def liveness(self) -> Liveness | None:
        """What there is to know, absent when nobody is connected."""
        session = self.session
        if session is None:
            return None
        return Liveness(
            edge=session.hello.edge,
            session=session.nonce,
            epoch=session.hello.epoch,
            software=session.hello.software,
            heard_ns=session.heard_ns,
            hello=session.hello,
            heartbeat=session.heartbeat,
        )
