"""How InfluxDB is reached, and what either of its write APIs comes to."""

from dataclasses import dataclass, field
from typing import Final, Literal, Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class InfluxAddress:
    """Where it is. database: of version 1, or the bucket. secret: a token (2, 3) or a password (1), never printed."""

    url: str
    version: Literal[1, 2]
    database: str
    org: str = ""
    username: str = ""
    secret: str = field(default="", repr=False)


# Statuses by which a server says that it will never take what it was given.
REFUSED: Final = frozenset({400, 413, 422})


class PointsRefused(Exception):
    """These lines will never be taken, or not all of them."""


class Writer(Protocol):
    """How lines get there."""

    async def write(self, text: str) -> None:
        """On return they are on disk there. Raises SeriesUnavailable, or PointsRefused."""

    async def close(self) -> None:
        """No more."""
