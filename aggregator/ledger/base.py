"""What a ledger offers to everyone: `SqliteLedger` keeps it on disk, `MemoryLedger` in memory, one suite tests both."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Protocol

from aggregator.ledger.rows import (
    AdmissionGroup,
    AdmissionResult,
    EdgeEpoch,
    Filter,
    LedgerRow,
    Mark,
    OpenEpoch,
    Opening,
    Quarantined,
    Tally,
)
from aggregator.ledger.verify import ChainReport
from wire.clock import Stamp
from wire.records import Record
from wire.topics import Lane


class Ledger(Protocol):
    """The truth of a campus: every record once, in the order of its position."""

    async def commit(self, group: AdmissionGroup) -> AdmissionResult:
        """Take the runs of a group in one transaction; on return it is on disk. An exception means nothing was
        written, or (after a cancellation) that nobody knows: ask `watermarks` again.
        """

    async def open_epoch(self, request: OpenEpoch, received: Stamp) -> Opening:
        """Note which epoch an edge speaks from; one that is new or comes back is told to the duty officer."""

    async def append_campus(self, records: Sequence[Record], received: Stamp) -> list[int]:
        """Append facts of the node @campus; returns their positions. A known id gives the position it already has.

        Raises Malformed or UnknownTopic when a record is not one, and then nothing was written.
        """

    async def watermarks(self, edge: str, epoch: str) -> dict[Lane, Mark]:
        """Where the lanes of an epoch stand; START where nothing is known."""

    async def epochs(self, edge: str) -> list[EdgeEpoch]:
        """All epochs an edge ever spoke from."""

    async def head(self) -> int:
        """The highest position, 0 when empty."""

    async def wait_beyond(self, position: int, timeout_s: float) -> int:
        """Wait until there is something after position, at most timeout_s; returns the head then.

        Woken by commits of this process, and certain through a look at the end of the wait.
        """

    async def read(self, after: int, limit: int) -> list[LedgerRow]:
        """Up to limit rows after a position, in order. Readers live on this."""

    async def page(
        self, wanted: Filter, *, beyond: int | None = None, descending: bool = True, limit: int = 100
    ) -> list[LedgerRow]:
        """Up to limit rows (1 to 1000) that pass a filter, by position, after position beyond in that direction."""

    async def event(self, event_id: str) -> LedgerRow | None:
        """The row of one event id."""

    async def blank(self, positions: Collection[int]) -> int:
        """Take the bodies out of rows (retention, erasure); returns how many had one. Chains stay checkable."""

    async def verify_chain(self, edge: str, epoch: str, lane: Lane) -> ChainReport:
        """Walk a lane from its first number to its mark and check every link."""

    async def quarantined(self, limit: int) -> list[Quarantined]:
        """What was set aside last."""

    async def tallies(self) -> list[Tally]:
        """Counters per edge and lane that survive restarts."""


class HeadSignal:
    """Wakes those who wait for the ledger to grow. For one event loop."""

    def __init__(self, head: int = 0) -> None:
        self.head = head
        self._moved = asyncio.Event()

    def move(self, head: int) -> None:
        """The head is at least here now."""
        if head > self.head:
            self.head = head
            moved, self._moved = self._moved, asyncio.Event()
            moved.set()

    async def beyond(self, position: int, timeout_s: float) -> bool:
        """Whether the head came to be beyond position in time."""
        try:
            async with asyncio.timeout(timeout_s):
                while self.head <= position:
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True
