"""What is read of one unit in one rhythm, and what of it the unit refuses. Pure: time is an argument.

A point that is refused by itself is left out and tried again every REFUSED_AGAIN_S; its neighbours are read without it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_agent.codecs.kinds.modbus import Layout, Point
from edge_agent.codecs.poll_plan import Request, plan, split
from wire.clock import NS_PER_S

REFUSED_AGAIN_S: Final = 600


@dataclass(slots=True, kw_only=True)
class Job:
    """points: by name; always: of these, the ones that are told every time, changed or not. gap_max, layout: see
    `poll_plan`.
    """

    interval_ns: int
    always: frozenset[str]
    points: Mapping[str, Point]
    gap_max: int
    layout: Layout
    _requests: list[Request] = field(default_factory=list)
    # What is left out, and until when.
    _refused: dict[str, int] = field(default_factory=dict)

    def requests(self, now_ns: int) -> list[Request]:
        """What to ask for in the next turn."""
        if not self._requests or any(now_ns >= until_ns for until_ns in self._refused.values()):
            asked = [point for name, point in self.points.items() if self._refused.get(name, now_ns) <= now_ns]
            self._requests = plan(asked, gap_max=self.gap_max, layout=self.layout)
        return list(self._requests)

    def refused(self, request: Request, now_ns: int) -> tuple[list[Request], str | None]:
        """A request was refused: what to ask for in its place, and which resource is the cause, if that is news."""
        parts = split(request)
        if request in self._requests:
            at = self._requests.index(request)
            self._requests[at : at + 1] = parts
        if parts:
            return parts, None
        (point,) = request.points
        known = point.resource in self._refused
        self._refused[point.resource] = now_ns + REFUSED_AGAIN_S * NS_PER_S
        return [], None if known else point.resource

    def answered(self, points: Sequence[Point]) -> list[str]:
        """These were read. Gives those of them that had been refused before."""
        if not self._refused:
            return []
        again = [point.resource for point in points if point.resource in self._refused]
        for name in again:
            del self._refused[name]
        return again
