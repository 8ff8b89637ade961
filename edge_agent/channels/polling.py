"""When which unit is asked. Pure: time is an argument.

Every job has its own rhythm, counted from the moment it was due and not from the one it was done, so that it does not
drift. The job that has been due for longest is next. A turn that is not served before the one after it is due is left
out and counted (`overrun`): polls never pile up, and never overlap, as one task serves all of them in turn.

A unit that does not answer costs its line a whole time-out each time, in which its neighbours wait. After SILENT_AFTER
misses it is left alone, for a pause that doubles, from COST_SHARE[0] times what asking it in vain has cost to
COST_SHARE[1] times: however slow the line, a dead unit takes less than one part in COST_SHARE[1] of it in the long run,
and one that was disturbed for a moment is soon asked again. Then one request asks whether it is back. Where nobody
else on the line answers either, asking in vain costs nobody anything, and the pause stays short.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from wire.clock import NS_PER_S

SILENT_AFTER: Final = 2
COST_SHARE: Final = (5, 40)
PAUSE_S: Final = (2, 60)
# Where nobody on the line answers.
PAUSE_ALONE_S: Final = (1, 8)


@dataclass(slots=True)
class Unit:
    """How one unit has answered of late."""

    misses: int = 0
    asleep_until_ns: int = 0

    @property
    def silent(self) -> bool:
        """Whether it is left alone."""
        return self.misses >= SILENT_AFTER

    def answered(self) -> None:
        """It did."""
        self.misses, self.asleep_until_ns = 0, 0

    def missed(self, now_ns: int, cost_ns: int, *, alone: bool) -> None:
        """It did not. cost_ns: for how long the line could serve nobody else; alone: nobody else answers there."""
        self.misses += 1
        if not self.silent:
            return
        doubled = 2 ** min(self.misses - SILENT_AFTER, 10)
        shortest, longest = PAUSE_ALONE_S if alone else PAUSE_S
        pause_ns = min(longest, shortest * doubled) * NS_PER_S
        if not alone:
            pause_ns = max(pause_ns, cost_ns * min(COST_SHARE[1], COST_SHARE[0] * doubled))
        self.asleep_until_ns = now_ns + pause_ns

    def may_be_asked(self, now_ns: int) -> bool:
        """Whether a request is worth its time."""
        return not self.silent or now_ns >= self.asleep_until_ns


@dataclass(order=True, slots=True)
class Turn:
    """A job's next turn. job: its number; begins_ns: when the interval began that ends with it."""

    due_ns: int
    job: int
    begins_ns: int


@dataclass(slots=True)
class Rota:
    """Who is next. jobs: as many as there are numbers."""

    _turns: list[Turn] = field(default_factory=list)

    @classmethod
    def starting(cls, jobs: Sequence[int], now_ns: int) -> "Rota":
        """All jobs are due now."""
        return cls([Turn(now_ns, job, now_ns) for job in jobs])

    def due_ns(self) -> int:
        """When the next job is due."""
        return self._turns[0].due_ns

    def take(self) -> Turn:
        """The job that has been due for longest."""
        return heapq.heappop(self._turns)

    def put_back(self, turn: Turn, interval_ns: int, now_ns: int) -> int:
        """It was served; gives the number of its turns that are left out, because the one after them is due, too."""
        left_out = max(0, now_ns - turn.due_ns - interval_ns) // interval_ns
        begins_ns = turn.due_ns + left_out * interval_ns
        heapq.heappush(self._turns, Turn(begins_ns + interval_ns, turn.job, begins_ns))
        return left_out

    def retime(self, intervals_ns: Sequence[int]) -> None:
        """The rhythms are others now, by number: who waits for its next turn waits for as long as it says there."""
        for turn in self._turns:
            turn.due_ns = turn.begins_ns + (intervals_ns[turn.job] if turn.due_ns > turn.begins_ns else 0)
        heapq.heapify(self._turns)
