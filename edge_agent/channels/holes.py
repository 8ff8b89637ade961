"""Holes in a count that has none: which of a device's own numbers are missing here. Pure: time is an argument.

    seen 1 2 3      7 8      -> a hole 4..6 is open, said once
    seen 5                   -> still open: 4, 6 are missing
    seen 4 6                 -> filled, said once
    device says "my highest is 12", ten times in a row, and nothing comes   -> a hole 9..12
    device says "my highest is 2"                    -> it counts anew; what was missing will not come any more

The first number seen is where we begin; what is below it was another time's. While a hole is open the device is asked
for what is missing, ASK_MAX times, ASK_EVERY_S apart. Nothing here outlives the process: after a start the device is
told that we know nothing, sends what it holds, and holes show again.

Bounds. At most HOLES_MAX holes: beyond that a new one is joined to the last. At most PARTS_MAX parts of a hole: a
number that would split it further is not noted, is asked for again, and comes as a repeat.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

from wire.clock import NS_PER_S

HOLES_MAX: Final = 32
PARTS_MAX: Final = 64
ASK_MAX: Final = 6
ASK_EVERY_S: Final = 300
# Polls that say the same highest number while nothing comes; what is just on its way is no hole.
POLLS_UNTIL_MISSING: Final = 10

State = Literal["open", "filled", "abandoned"]


class Report(NamedTuple):
    """A hole to be told of. first..last: as it was when it opened."""

    state: State
    first: int
    last: int


@dataclass(slots=True)
class _Hole:
    first: int
    last: int
    missing: list[tuple[int, int]]
    asked: int = 0
    ask_ns: int = 0


@dataclass(slots=True)
class Holes:
    """One series of one device."""

    _next: int | None = None
    _holes: list[_Hole] = field(default_factory=list)
    _announced: int = -1
    _polls: int = 0

    @property
    def standing(self) -> int | None:
        """The number up to which nothing is missing; None before the first."""
        if self._next is None:
            return None
        return min([self._next - 1, *(hole.missing[0][0] - 1 for hole in self._holes)])

    @property
    def missing(self) -> int:
        """How many numbers are missing."""
        return sum(last - first + 1 for hole in self._holes for first, last in hole.missing)

    def seen(self, number: int) -> list[Report]:
        """A record with this number is on disk."""
        self._polls = 0
        if self._next is None:
            self._next = number + 1
            return []
        if number < self._next:
            return self._fill(number)
        reports = [] if number == self._next else self._open(self._next, number - 1)
        self._next = number + 1
        return reports

    def announced(self, highest: int) -> list[Report]:
        """The device says that its highest number is this."""
        if self._next is None:
            return []
        if highest < self._next - 1:
            reports = [Report("abandoned", hole.first, hole.last) for hole in self._holes]
            self._holes.clear()
            self._next, self._announced, self._polls = highest + 1, highest, 0
            return reports
        if highest == self._next - 1 or highest != self._announced:
            self._announced, self._polls = highest, 0
            return []
        self._polls += 1
        if self._polls < POLLS_UNTIL_MISSING:
            return []
        reports = self._open(self._next, highest)
        self._next = highest + 1
        return reports

    def ask(self, now_ns: int) -> Iterator[tuple[int, int]]:
        """Ranges to ask the device for now. now_ns: of one monotonic clock."""
        for hole in self._holes:
            if hole.asked < ASK_MAX and now_ns >= hole.ask_ns:
                hole.asked += 1
                hole.ask_ns = now_ns + ASK_EVERY_S * NS_PER_S
                yield hole.missing[0][0], hole.missing[-1][1]

    def _open(self, first: int, last: int) -> list[Report]:
        if len(self._holes) < HOLES_MAX:
            self._holes.append(_Hole(first, last, [(first, last)]))
            return [Report("open", first, last)]
        hole = self._holes[-1]
        hole.last, hole.asked = last, 0
        if len(hole.missing) < PARTS_MAX:
            hole.missing.append((first, last))
        else:
            hole.missing[-1] = (hole.missing[-1][0], last)
        return [Report("open", hole.first, last)]

    def _fill(self, number: int) -> list[Report]:
        for hole in self._holes:
            for index, (first, last) in enumerate(hole.missing):
                if first <= number <= last:
                    parts = [part for part in ((first, number - 1), (number + 1, last)) if part[0] <= part[1]]
                    if len(hole.missing) + len(parts) - 1 > PARTS_MAX:
                        return []
                    hole.missing[index : index + 1] = parts
                    if hole.missing:
                        return []
                    self._holes.remove(hole)
                    return [Report("filled", hole.first, hole.last)]
        return []
