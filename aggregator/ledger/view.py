"""Between the rules and a database: what a planner reads, and what it leaves to be written."""

from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from aggregator.ledger.rows import EdgeEpoch, LedgerRow, Mark, Quarantined, Repeat
from wire.topics import Lane

StreamKey = tuple[str, str, Lane]
SourceId = tuple[str, int]


class KnownEvent(NamedTuple):
    """What the ledger holds under an event id."""

    position: int
    hash: bytes


class KnownSource(NamedTuple):
    """What the ledger holds under a device's own number, once per device epoch."""

    source_epoch: int
    fingerprint: bytes
    position: int
    occurred_ns: int


class View(Protocol):
    """What is committed, as the planner needs to see it. Nothing changes under it while a plan is made."""

    def head(self) -> int:
        """The highest position, 0 when empty."""

    def mark(self, edge: str, epoch: str, lane: Lane) -> Mark | None:
        """Where a lane stands."""

    def events(self, ids: Collection[str]) -> dict[str, KnownEvent]:
        """Those of ids that the ledger holds."""

    def sources(self, keys: Collection[SourceId]) -> dict[SourceId, list[KnownSource]]:
        """Those of (device, number) that the ledger holds."""

    def series_max(self, device_id: str, start_ns: int, end_ns: int) -> int | None:
        """The highest series time of a device in start_ns <= time < end_ns."""

    def epochs(self, edge: str) -> list[EdgeEpoch]:
        """All epochs of an edge."""

    def chain_at(self, edge: str, epoch: str, lane: Lane, seq: int) -> bytes | None:
        """The chain where a committed number ends, absent inside a GAP and where nothing is known."""


@dataclass(slots=True)
class Plan:
    """What one transaction writes."""

    rows: list[LedgerRow] = field(default_factory=list)
    repeats: list[Repeat] = field(default_factory=list)
    quarantined: list[Quarantined] = field(default_factory=list)
    marks: dict[StreamKey, Mark] = field(default_factory=dict)
    epochs: list[EdgeEpoch] = field(default_factory=list)
    tallies: Counter[tuple[str, Lane, str]] = field(default_factory=Counter)
    hours: dict[int, tuple[int, int]] = field(default_factory=dict)
    head: int = 0
