"""What the uplink needs around it: a carrier to the campus, the outbox to read from."""

from collections.abc import Mapping
from typing import Protocol

from edge_agent.outbox import Row
from wire.delivery import LaneDepth, LaneState
from wire.topics import Down, Lane, Up


class UplinkRefusedError(Exception):
    """The campus does not accept this box; keep storing and try again after the longest wait."""


class Carrier(Protocol):
    """One live connection to the campus."""

    def send(self, leaf: Up | Lane, frame: bytes) -> None:
        """Hand over a frame. Raises OSError when the connection is gone."""

    def unsent(self) -> bool:
        """Whether bytes handed over earlier still wait for the socket."""

    async def receive(self) -> tuple[Down, bytes]:
        """The next frame from the campus. Raises OSError when the connection ends."""


class Spool(Protocol):
    """The outbox, as far as the uplink knows it."""

    async def identity(self) -> tuple[str, str | None, str]:
        """(epoch, previous epoch, fork reason)."""

    async def lane_states(self) -> dict[Lane, LaneState]:
        """What HELLO says of each lane."""

    async def read(self, lane: Lane, after: int, records_max: int, bytes_max: int) -> list[Row]:
        """A contiguous run whose first row covers after + 1."""

    async def chain_at(self, lane: Lane, seq: int) -> bytes | None:
        """The chain at a number; None when no longer kept."""

    async def acknowledge(self, through: Mapping[Lane, int]) -> None:
        """The campus has committed through these numbers."""

    async def resume(self, through: Mapping[Lane, int]) -> None:
        """The campus knows less than it had acknowledged."""

    async def fork(self, reason: str) -> str:
        """Open a new epoch and requeue; returns it."""

    async def depths(self) -> dict[Lane, LaneDepth]:
        """Honest counters for the heartbeat."""
