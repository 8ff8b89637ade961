"""The outbox for the event loop: the same operations, each one hop to the one thread that owns the file.

A hop is a whole transaction, so nothing ever waits inside one. A caller that is cancelled does not stop a transaction
that has begun: it ends as it ends, and only nobody hears how. For intake that is safe, because the device then asks
again and gets REPEAT.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, Protocol, TypeVar

from edge_agent.outbox.model import Appended, Entry, Maintenance, OutboxLimits, Quarantined, Recovery, Row
from edge_agent.outbox.store import OutboxStore
from wire.clock import Clock
from wire.delivery import LaneDepth, LaneState
from wire.records import Event
from wire.topics import Lane

T = TypeVar("T")

_NO_HARMLESS: Final[frozenset[str]] = frozenset()


class Hop(Protocol):
    """Where the store's calls run, one at a time."""

    async def run(self, call: Callable[[], T]) -> T:
        """Run a call and give its result or its exception."""

    def close(self) -> None:
        """No further calls."""


class ThreadHop:
    """One thread of its own."""

    def __init__(self) -> None:
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="outbox")

    async def run(self, call: Callable[[], T]) -> T:
        """See Hop."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)

    def close(self) -> None:
        """See Hop."""
        self._executor.shutdown(wait=False)


class InlineHop:
    """The caller itself: for a simulation in which time is virtual and nothing may run beside the loop."""

    async def run(self, call: Callable[[], T]) -> T:
        """See Hop. Other tasks get a turn before, as they would with a thread."""
        await asyncio.sleep(0)
        return call()

    def close(self) -> None:
        """See Hop."""


class Outbox:
    """OutboxStore, awaited. See there for what each call means and raises."""

    def __init__(self, store: OutboxStore, hop: Hop) -> None:
        """store: opened where hop runs."""
        self._store = store
        self._hop = hop

    @property
    def epoch(self) -> str:
        """The present epoch."""
        return self._store.epoch

    @property
    def previous_epoch(self) -> str | None:
        """The epoch before this one."""
        return self._store.previous_epoch

    @property
    def fork_reason(self) -> str:
        """Why the present epoch began."""
        return self._store.fork_reason

    @property
    def recovery(self) -> Recovery | None:
        """What opening had to save from a damaged file; None when all was well."""
        return self._store.recovery

    async def identity(self) -> tuple[str, str | None, str]:
        """(epoch, previous epoch, fork reason), all of one moment."""
        return await self._hop.run(lambda: (self._store.epoch, self._store.previous_epoch, self._store.fork_reason))

    async def tally(self) -> dict[str, int]:
        """See OutboxStore.tally."""
        return await self._hop.run(lambda: self._store.tally)

    async def append(self, entries: Sequence[Entry]) -> list[Appended]:
        """See OutboxStore.append."""
        return await self._hop.run(lambda: self._store.append(entries))

    async def lane_states(self) -> dict[Lane, LaneState]:
        """See OutboxStore.lane_states."""
        return await self._hop.run(self._store.lane_states)

    async def read(self, lane: Lane, after: int, records_max: int, bytes_max: int) -> list[Row]:
        """See OutboxStore.read."""
        return await self._hop.run(lambda: self._store.read(lane, after, records_max, bytes_max))

    async def chain_at(self, lane: Lane, seq: int) -> bytes | None:
        """See OutboxStore.chain_at."""
        return await self._hop.run(lambda: self._store.chain_at(lane, seq))

    async def interrupted(self) -> list[Event]:
        """See OutboxStore.interrupted."""
        return await self._hop.run(self._store.interrupted)

    async def acknowledge(self, through: Mapping[Lane, int]) -> None:
        """See OutboxStore.acknowledge."""
        await self._hop.run(lambda: self._store.acknowledge(through))

    async def resume(self, through: Mapping[Lane, int]) -> None:
        """See OutboxStore.resume."""
        await self._hop.run(lambda: self._store.resume(through))

    async def fork(self, reason: str) -> str:
        """See OutboxStore.fork."""
        return await self._hop.run(lambda: self._store.fork(reason))

    async def maintain(self) -> Maintenance:
        """See OutboxStore.maintain."""
        return await self._hop.run(self._store.maintain)

    async def depths(self) -> dict[Lane, LaneDepth]:
        """See OutboxStore.depths."""
        return await self._hop.run(self._store.depths)

    async def quarantine(self, device: str, reason: str, raw: bytes, harmless: frozenset[str] = _NO_HARMLESS) -> None:
        """See OutboxStore.quarantine."""
        await self._hop.run(lambda: self._store.quarantine(device, reason, raw, harmless))

    async def quarantined(self) -> list[Quarantined]:
        """See OutboxStore.quarantined."""
        return await self._hop.run(self._store.quarantined)

    async def close(self) -> None:
        """Close the file; the hop stays the caller's."""
        await self._hop.run(self._store.close)


@asynccontextmanager
async def open_outbox(
    path: Path,
    *,
    clock: Clock,
    random: Callable[[int], bytes],
    edge: str,
    limits: OutboxLimits,
    hop: Hop | None = None,
    connect: Callable[[], sqlite3.Connection] | None = None,
) -> AsyncIterator[Outbox]:
    """Open on the hop (absent: a thread of its own), lend, close. Raises what OutboxStore.open raises."""
    own = hop or ThreadHop()
    try:
        store = await own.run(
            lambda: OutboxStore.open(path, clock=clock, random=random, edge=edge, limits=limits, connect=connect)
        )
        outbox = Outbox(store, own)
        try:
            yield outbox
        finally:
            await outbox.close()
    finally:
        if hop is None:
            own.close()
