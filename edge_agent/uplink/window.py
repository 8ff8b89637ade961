"""What is in flight in one lane: go-back-N over batches, pure, time as an argument.

The cursor is the highest number handed to the carrier, acked the highest the campus has committed. Without progress for
resend_s everything above acked is sent again; resend_s starts at 5 s, doubles to 60 s and falls back with progress.
"""

from collections import deque
from dataclasses import dataclass
from typing import Final

from wire.topics import Lane

RESEND_S_MIN: Final = 5.0
RESEND_S_MAX: Final = 60.0
BATCHES: Final = {Lane.A: 4, Lane.M: 2, Lane.D: 2, Lane.S: 2, Lane.T: 2}

# How long after a batch the next small one waits for company: alarms not at all, what a person watches hardly,
# telemetry a second. What comes by itself waits for nothing.
SPACING_S: Final = {Lane.A: 0.0, Lane.M: 0.05, Lane.D: 0.05, Lane.S: 0.2, Lane.T: 1.0}


@dataclass(frozen=True, slots=True)
class Flight:
    """One batch under way. size: bytes of its frame; chain: after its last record."""

    first: int
    through: int
    size: int
    chain: bytes
    sent_s: float


class LaneWindow:
    """One lane of one session."""

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.acked = 0
        self.cursor = 0
        self.flights: deque[Flight] = deque()
        self._caught_up = False
        self._ready_s = 0.0
        self._next_s = 0.0
        self._resend_s = RESEND_S_MIN
        self._due_s: float | None = None

    @property
    def bytes_in_flight(self) -> int:
        """Frame bytes sent and not yet acknowledged."""
        return sum(flight.size for flight in self.flights)

    def start(self, through: int, now: float) -> None:
        """A welcome said where to go on."""
        self.acked = self.cursor = through
        self.flights.clear()
        self._caught_up, self._ready_s = False, now
        self._resend_s, self._due_s = RESEND_S_MIN, None

    def grew(self, now: float) -> None:
        """The outbox has new records in this lane."""
        if self._caught_up:
            self._caught_up = False
            self._ready_s = max(now, self._next_s)

    def ready_at(self) -> float | None:
        """When this lane may send next; None while it has nothing or its window is full."""
        if self._caught_up or len(self.flights) >= BATCHES[self.lane]:
            return None
        return self._ready_s

    def reading(self) -> None:
        """The next records are being read; `grew` during that read counts for the time after it."""
        self._caught_up = True

    def more(self, now: float) -> None:
        """The read ended at a limit: there is more, and it need not wait."""
        self._caught_up, self._ready_s = False, now

    def sent(self, flight: Flight) -> None:
        """A batch was handed to the carrier."""
        self.flights.append(flight)
        self.cursor = flight.through
        self._next_s = flight.sent_s + SPACING_S[self.lane]
        # What came while it was being read waits, too.
        self._ready_s = max(self._ready_s, self._next_s)
        if self._due_s is None:
            self._due_s = flight.sent_s + self._resend_s

    def acknowledge(self, through: int, now: float) -> list[Flight]:
        """An ack came. Returns the flights it ends; an ack that brings nothing new returns []."""
        if through <= self.acked:
            return []
        self.acked = through
        ended: list[Flight] = []
        while self.flights and self.flights[0].through <= through:
            ended.append(self.flights.popleft())
        if through > self.cursor:
            # An ack may come for a batch we had rewound from, even while the next records are being read.
            self.cursor = through
            self._caught_up, self._ready_s = False, now
        self._resend_s = RESEND_S_MIN
        self._due_s = now + self._resend_s if self.flights else None
        return ended

    def chain_at(self, through: int) -> bytes | None:
        """The chain we expect the campus to have at a number, if a flight ends there."""
        return next((flight.chain for flight in self.flights if flight.through == through), None)

    def due_at(self) -> float | None:
        """When to lose patience; None with nothing in flight."""
        return self._due_s

    def rewind(self, now: float) -> None:
        """Send everything above acked again, and be more patient this time."""
        self.cursor = self.acked
        self.flights.clear()
        self._caught_up, self._ready_s = False, now
        self._resend_s = min(self._resend_s * 2, RESEND_S_MAX)
        self._due_s = None

    def postpone(self, now: float) -> None:
        """The carrier still has unsent bytes of ours: resending now would only add to them."""
        self._due_s = now + self._resend_s
