"""Which requests bring a set of points, and what to do when a unit refuses one. Pure.

A request costs a turn-around, a register two bytes: points of one table that lie close together are read together, with
what lies between them read in vain (gap_max), unless the device forbids that. Points of different types may share a
request. Within a run of points the greedy cut is the best one: each request reaches as far as the limit lets it.

A unit that knows no register in the middle of a range refuses the whole range. The request is then cut where the widest
gap is, as that is what nobody asked for, or in the middle; cut again and again, a point that is refused by itself is
found and leaves the others in peace.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from edge_agent.codecs.kinds.modbus import Decode, Layout, Point, Table
from wire.records import Value

BITS_MAX: Final = 2000
# A bit costs a sixteenth of what a register costs.
BITS_PER_REGISTER: Final = 16

ANY: Final = Layout()

_BITS: Final = frozenset({"coils", "discrete_inputs"})


@dataclass(frozen=True, slots=True)
class Request:
    """One read: count registers or bits of a table from address, and the points in it, by their addresses."""

    table: Table
    address: int
    count: int
    points: tuple[Point, ...]
    _places: tuple[tuple[Decode, int], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out where each point begins."""
        places = tuple((point.decode, point.address - self.address) for point in self.points)
        object.__setattr__(self, "_places", places)

    def values(self, words: Sequence[int]) -> list[Value]:
        """What an answer means: the values of its points."""
        return [decode(words, at) for decode, at in self._places]


def plan(points: Iterable[Point], *, gap_max: int, layout: Layout = ANY) -> list[Request]:
    """As few requests as bring all points. gap_max: registers that may be read in vain between two points."""
    requests: list[Request] = []
    run: list[Point] = []
    for point in sorted(points, key=lambda one: (one.table, one.address, one.count)):
        if run and not _joins(run, point, gap_max, layout):
            requests.append(_request(run))
            run = []
        run.append(point)
    if run:
        requests.append(_request(run))
    return requests


def _joins(run: Sequence[Point], point: Point, gap_max: int, layout: Layout) -> bool:
    first = run[0]
    if point.table != first.table or point.alone or run[-1].alone:
        return False
    bits = point.table in _BITS
    end = max(one.end for one in run)
    gap = gap_max * BITS_PER_REGISTER if bits else gap_max
    limit = BITS_MAX if bits else layout.registers_max
    if point.address - end > gap or max(end, point.end) - first.address > limit:
        return False
    return not any(
        span.table == point.table and max(span.first, end) <= min(span.last, point.address - 1)
        for span in layout.forbidden
    )


def _request(points: Sequence[Point]) -> Request:
    first = points[0]
    return Request(first.table, first.address, max(one.end for one in points) - first.address, tuple(points))


def split(request: Request) -> list[Request]:
    """Two requests for the points of one that was refused. Of a request for one point, nothing is left."""
    points = request.points
    if len(points) < 2:
        return []
    gaps = [(points[index].address - points[index - 1].end, index) for index in range(1, len(points))]
    widest, at = max(gaps, key=lambda gap: (gap[0], -abs(gap[1] - len(points) // 2)))
    cut = at if widest > 0 else len(points) // 2
    return [_request(points[:cut]), _request(points[cut:])]
