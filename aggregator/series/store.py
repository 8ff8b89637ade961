"""What a series store must be able to do; two do it: embedded SQLite and InfluxDB."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from aggregator.series.points import Point


class SeriesUnavailable(OSError):
    """The store cannot be reached or does not take anything now; the projector waits and tries again."""


@dataclass(frozen=True, slots=True)
class Bucket:
    """A stretch of a curve. start_ns: its begin; count: values in it; first and last stand for their order, minimum and
    maximum keep a spike that lasted a second visible over a year.
    """

    start_ns: int
    count: int
    minimum: float
    maximum: float
    mean: float
    first: float
    last: float


class SeriesStore(Protocol):
    """See the module. Writing a point again changes nothing."""

    async def write(self, points: Sequence[Point]) -> None:
        """On return all of them are on disk. Raises SeriesUnavailable."""

    async def clear(self) -> None:
        """Forget everything, before a rebuild. Raises SeriesUnavailable."""

    async def counts(self) -> dict[str, int]:
        """Points by measurement. Raises SeriesUnavailable."""

    async def curve(self, device: str, resource: str, *, from_ns: int, until_ns: int, buckets: int) -> list[Bucket]:
        """A device resource between two times, in at most `buckets` stretches of equal length; those without a value
        are left out, which is how a gap shows. Raises SeriesUnavailable.
        """

    async def expire(self, now_ns: int) -> None:
        """Forget what is older than it is kept; to be called about every hour. Raises SeriesUnavailable."""
