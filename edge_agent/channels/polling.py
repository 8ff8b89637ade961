"""When which unit is asked. Pure: time is an argument.

Every job has its own rhythm, counted from the moment it was due and not from the one it was done, so that it does not
drift. The job that has been due for longest is next. A turn that is not served before the one after it is due is left
out and counted (`overrun`): polls never pile up, and never overlap, as one task serves all of them in turn.

A unit that does not answer costs its line a whole time-out each time, in which its neighbours wait. After SILENT_AFTER
misses it is left alone, for a pause that doubles, and is never shorter than COST_SHARE times what asking it in vain has
cost: however slow the line, a dead unit takes less than one part in COST_SHARE of it. Then one request asks whether it
is back.
"""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from wire.clock import NS_PER_S

SILENT_AFTER: Final = 2
PAUSE_S: Final = (2, 60)
COST_SHARE: Final = 40


@dataclass(slots=True)
class Unit:
    """How one unit has answered of late."""

    misses: int = 0
    asleep_until_ns: int = 0
    _pause_ns: int = 0

    @property
    def silent(self) -> bool:
        """Whether it is left alone."""
        return self.misses >= SILENT_AFTER

    def answered(self) -> None:
        """It did."""
        self.misses, self.asleep_until_ns, self._pause_ns = 0, 0, 0

    def missed(self, now_ns: int, cost_ns: int) -> None:
        """It did not. cost_ns: for how long the line could serve nobody else."""
        self.misses += 1
        if self.silent:
            shortest, longest = (seconds * NS_PER_S for seconds in PAUSE_S)
            grown = min(longest, max(shortest, self._pause_ns * 2))
            self._pause_ns = max(grown, cost_ns * COST_SHARE)
            self.asleep_until_ns = now_ns + self._pause_ns

    def may_be_asked(self, now_ns: int) -> bool:
        """Whether a request is worth its time."""
        return not self.silent or now_ns >= self.asleep_until_ns


@dataclass(order=True, slots=True)
class Turn:
    """A job's next turn. job: its number."""

    due_ns: int
    job: int


@dataclass(slots=True)
class Rota:
    """Who is next. jobs: as many as there are numbers."""

    _turns: list[Turn] = field(default_factory=list)

    @classmethod
    def starting(cls, jobs: Sequence[int], now_ns: int) -> "Rota":
        """All jobs are due now."""
        return cls([Turn(now_ns, job) for job in jobs])

    def due_ns(self) -> int:
        """When the next job is due."""
        return self._turns[0].due_ns

    def take(self) -> Turn:
        """The job that has been due for longest."""
        return heapq.heappop(self._turns)

    def put_back(self, turn: Turn, interval_ns: int, now_ns: int) -> int:
        """It was served; gives the number of its turns that are left out, because the one after them is due, too."""
        due_ns = turn.due_ns + interval_ns
        left_out = max(0, now_ns - due_ns) // interval_ns
        heapq.heappush(self._turns, Turn(due_ns + left_out * interval_ns, turn.job))
        return left_out
