"""The ledger in memory: same plans, same answers, gone at exit. For simulations and for tests of its readers."""

import bisect
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Self, TypeVar

import msgspec

from aggregator.ledger import query
from aggregator.ledger.base import HeadSignal
from aggregator.ledger.plan import Planner
from aggregator.ledger.rows import (
    START,
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
from aggregator.ledger.verify import ChainChecker, ChainReport, Link
from aggregator.ledger.view import KnownEvent, KnownSource, Plan, SourceId, StreamKey
from wire.clock import Stamp
from wire.records import Record
from wire.topics import LANES, Lane

T = TypeVar("T")


@dataclass(slots=True)
class _Tables:
    """What is committed. rows[n] has position n + 1."""

    rows: list[LedgerRow] = field(default_factory=list)
    by_event: dict[str, KnownEvent] = field(default_factory=dict)
    by_source: dict[SourceId, list[KnownSource]] = field(default_factory=dict)
    series_times: dict[str, list[int]] = field(default_factory=dict)
    links: dict[StreamKey, dict[int, Link]] = field(default_factory=dict)
    marks: dict[StreamKey, Mark] = field(default_factory=dict)
    epochs: dict[str, list[EdgeEpoch]] = field(default_factory=dict)
    quarantined: list[Quarantined] = field(default_factory=list)
    tallies: dict[tuple[str, Lane, str], int] = field(default_factory=dict)

    def copy(self) -> "_Tables":
        """Tables that can change alone; the rows in them never change."""
        return _Tables(
            list(self.rows),
            dict(self.by_event),
            {key: list(held) for key, held in self.by_source.items()},
            {device_id: list(times) for device_id, times in self.series_times.items()},
            {key: dict(links) for key, links in self.links.items()},
            dict(self.marks),
            {edge: list(epochs) for edge, epochs in self.epochs.items()},
            list(self.quarantined),
            dict(self.tallies),
        )


class MemoryLedger:
    """Implements Ledger."""

    def __init__(self, *, campus_id: str, random: Callable[[int], bytes], tables: _Tables | None = None) -> None:
        """random: gives n random bytes; used once, for the epoch of @campus. tables: for `snapshot`."""
        self._campus_id = campus_id
        self._campus_epoch = random(16).hex()
        self._tables = tables or _Tables()
        self._signal = HeadSignal(len(self._tables.rows))

    def snapshot(self) -> Self:
        """A ledger that stands where this one stands now and goes its own way: a backup."""
        return type(self)(
            campus_id=self._campus_id, random=lambda _: bytes.fromhex(self._campus_epoch), tables=self._tables.copy()
        )

    # --- writing --------------------------------------------------------------------------------------

    async def commit(self, group: AdmissionGroup) -> AdmissionResult:
        """See Ledger."""
        results = self._planned(group.received, lambda planner: planner.take_group(group))
        return AdmissionResult(results, len(self._tables.rows))

    async def open_epoch(self, request: OpenEpoch, received: Stamp) -> Opening:
        """See Ledger."""
        return self._planned(received, lambda planner: planner.open_epoch(request))

    async def append_campus(self, records: Sequence[Record], received: Stamp) -> list[int]:
        """See Ledger."""
        return self._planned(received, lambda planner: planner.add_campus_facts(records))

    def _planned(self, received: Stamp, decide: Callable[[Planner], T]) -> T:
        planner = Planner(
            _MemoryView(self._tables), campus_id=self._campus_id, campus_epoch=self._campus_epoch, received=received
        )
        result = decide(planner)
        # Deciding may raise, carrying out cannot: that is what makes it one transaction.
        _carry_out(self._tables, planner.plan)
        self._signal.move(planner.plan.head)
        return result

    async def blank(self, positions: Collection[int]) -> int:
        """See Ledger."""
        blanked = 0
        for position in positions:
            if 1 <= position <= len(self._tables.rows) and self._tables.rows[position - 1].body is not None:
                row = msgspec.structs.replace(self._tables.rows[position - 1], body=None)
                self._tables.rows[position - 1] = row
                links = self._tables.links[row.edge, row.epoch, row.lane]
                links[row.seq] = links[row.seq]._replace(body=None)
                blanked += 1
        return blanked

    # --- reading --------------------------------------------------------------------------------------

    async def watermarks(self, edge: str, epoch: str) -> dict[Lane, Mark]:
        """See Ledger."""
        return {lane: self._tables.marks.get((edge, epoch, lane), START) for lane in LANES}

    async def epochs(self, edge: str) -> list[EdgeEpoch]:
        """See Ledger."""
        return sorted(self._tables.epochs.get(edge, []), key=lambda entry: (entry.first_seen_ns, entry.epoch))

    async def head(self) -> int:
        """See Ledger."""
        return len(self._tables.rows)

    async def wait_beyond(self, position: int, timeout_s: float) -> int:
        """See Ledger."""
        await self._signal.beyond(position, timeout_s)
        return len(self._tables.rows)

    async def read(self, after: int, limit: int) -> list[LedgerRow]:
        """See Ledger."""
        return self._tables.rows[after : after + limit]

    async def page(
        self, wanted: Filter, *, beyond: int | None = None, descending: bool = True, limit: int = 100
    ) -> list[LedgerRow]:
        """See Ledger."""
        span = query.narrow(query.EVERYWHERE, beyond, descending=descending)
        rows = self._tables.rows[max(span.first - 1, 0) : max(span.last, 0)]
        passing = (row for row in (reversed(rows) if descending else rows) if query.matches(row, wanted))
        return [row for row, _ in zip(passing, range(min(max(limit, 1), query.PAGE_MAX)), strict=False)]

    async def event(self, event_id: str) -> LedgerRow | None:
        """See Ledger."""
        known = self._tables.by_event.get(event_id)
        return self._tables.rows[known.position - 1] if known else None

    async def verify_chain(self, edge: str, epoch: str, lane: Lane) -> ChainReport:
        """See Ledger."""
        checker = ChainChecker()
        for _, link in sorted(self._tables.links.get((edge, epoch, lane), {}).items()):
            checker.feed(link)
        return checker.end(self._tables.marks.get((edge, epoch, lane), START))

    async def quarantined(self, limit: int) -> list[Quarantined]:
        """See Ledger."""
        newest = sorted(self._tables.quarantined, key=lambda q: (-q.received_ns, q.edge, q.epoch, q.lane, -q.seq))
        return newest[:limit]

    async def tallies(self) -> list[Tally]:
        """See Ledger."""
        return sorted(Tally(*key, value) for key, value in self._tables.tallies.items())


class _MemoryView:
    """Implements View on the tables."""

    def __init__(self, tables: _Tables) -> None:
        self._tables = tables

    def head(self) -> int:
        return len(self._tables.rows)

    def mark(self, edge: str, epoch: str, lane: Lane) -> Mark | None:
        return self._tables.marks.get((edge, epoch, lane))

    def events(self, ids: Collection[str]) -> dict[str, KnownEvent]:
        return {event_id: self._tables.by_event[event_id] for event_id in ids if event_id in self._tables.by_event}

    def sources(self, keys: Collection[SourceId]) -> dict[SourceId, list[KnownSource]]:
        return {key: list(self._tables.by_source[key]) for key in keys if key in self._tables.by_source}

    def series_max(self, device_id: str, start_ns: int, end_ns: int) -> int | None:
        times = self._tables.series_times.get(device_id, [])
        index = bisect.bisect_left(times, end_ns)
        return times[index - 1] if index and times[index - 1] >= start_ns else None

    def epochs(self, edge: str) -> list[EdgeEpoch]:
        return list(self._tables.epochs.get(edge, []))

    def chain_at(self, edge: str, epoch: str, lane: Lane, seq: int) -> bytes | None:
        links = self._tables.links.get((edge, epoch, lane), {})
        for link in links.values():
            if link.through == seq:
                return link.chain
        return None


def _carry_out(tables: _Tables, plan: Plan) -> None:
    for row in plan.rows:
        tables.rows.append(row)
        tables.by_event[row.event_id] = KnownEvent(row.position, row.hash)
        if row.source_no is not None and row.source_epoch is not None and row.fingerprint is not None:
            held = tables.by_source.setdefault((row.device_id, row.source_no), [])
            held.append(KnownSource(row.source_epoch, row.fingerprint, row.position, row.occurred_ns))
        if row.series_time_ns is not None:
            bisect.insort(tables.series_times.setdefault(row.device_id, []), row.series_time_ns)
        link = Link(row.seq, row.through, row.hash, row.chain, row.kind == "gap", row.body)
        tables.links.setdefault((row.edge, row.epoch, row.lane), {})[row.seq] = link
    for repeat in plan.repeats:
        link = Link(repeat.seq, repeat.through, repeat.hash, repeat.chain, repeat.gap, None)
        tables.links.setdefault((repeat.edge, repeat.epoch, repeat.lane), {})[repeat.seq] = link
    for entry in plan.quarantined:
        tables.quarantined.append(entry)
        link = Link(entry.seq, entry.seq, entry.hash, entry.chain, gap=False, body=None)
        tables.links.setdefault((entry.edge, entry.epoch, entry.lane), {})[entry.seq] = link
    for epoch in plan.epochs:
        others = [replace(o, current=False) for o in tables.epochs.get(epoch.edge, []) if o.epoch != epoch.epoch]
        tables.epochs[epoch.edge] = [*others, epoch]
    tables.marks.update(plan.marks)
    for key, value in plan.tallies.items():
        tables.tallies[key] = tables.tallies.get(key, 0) + value
