"""The rules by which records become ledger rows, without a database.

A planner reads through a `View` (what is committed), decides, and leaves a `Plan` (what to write). Store and twin
carry out the same plan, so that both follow the same rules by construction.

    run                  taken only if it begins at the lane's next number and on the lane's chain
    event id known       equal hash: a repeat, no row. Other hash: a conflict
    source key known     (device, number) with an equal fingerprint in any device epoch: a repeat, no row.
                         (device, epoch, number) with another fingerprint: a conflict, unless the device's clock
                         tells them apart. Then it has counted anew and its box could not know (its card was rolled
                         back, or there are two of it), and the record is filed under the next epoch of that number
    conflict             the first stays; the second goes to quarantine, and Delivery/Conflict of @campus is added
    refused bytes        go to quarantine; the lane moves on
    GAP                  one row; the lane jumps to its end and goes on from its chain. Records lost to retention or
                         damage add Delivery/Incident of @campus

Every number of a lane up to its mark thereby stands in exactly one of: ledger, repeats, quarantine.

Facts of the campus itself are records of the node `@campus`, numbered and chained in an epoch of their own, so that
every rule above holds for them too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from aggregator.ledger.rows import (
    INTEGER_MAX,
    START,
    AdmissionGroup,
    Arrival,
    EdgeEpoch,
    Fate,
    LedgerRow,
    Mark,
    OpenEpoch,
    Opening,
    Quarantined,
    Refusal,
    Repeat,
    Run,
    RunResult,
    Standing,
)
from aggregator.ledger.view import KnownEvent, KnownSource, Plan, SourceId, View
from wire.clock import NS_PER_S, Stamp
from wire.delivery import HISTORICAL_AFTER_S
from wire.identity import SourceKey, chain_next, derived_id, record_hash
from wire.records import (
    RECORD_BYTES_MAX,
    ClockMark,
    Event,
    Gap,
    Outcome,
    Reading,
    Record,
    Scalar,
    encode_record,
    fingerprint,
    record_lane,
)
from wire.topics import CAMPUS_NODE, LANES, Lane

# Two records of one device never share a series time; within a millisecond the later one moves up.
SERIES_SLOT_NS: Final = 1_000_000
# Leaves room to move up without leaving the column.
OCCURRED_MAX: Final = INTEGER_MAX - 2**40
HOUR_NS: Final = 3600 * NS_PER_S
HISTORICAL_AFTER_NS: Final = HISTORICAL_AFTER_S * NS_PER_S
_ERROR_MS_MAX: Final = 2**31 - 1

# What a device says, of which some number their records. A tuple: a union in its place would be made anew each time.
_OF_DEVICES: Final = (Event, Reading)
_KINDS: Final = {Event: "event", Reading: "reading", Outcome: "outcome", Gap: "gap", ClockMark: "clock"}


def occurred_ns(record: Record) -> int:
    """When it happened: by the device's clock where that could be read, else by the box's. Fits every column."""
    if isinstance(record, Event) and record.device_time is not None:
        device_ns = record.device_time.wall_ns
        if device_ns is not None and 0 <= device_ns <= OCCURRED_MAX:
            return device_ns
    return min(record.stamp.wall_ns, OCCURRED_MAX)


class Planner:
    """Makes one plan. Use it once: `take`, `add_campus_fact` or `open_epoch`, any number of times, then `plan`."""

    def __init__(self, view: View, *, campus_id: str, campus_epoch: str, received: Stamp) -> None:
        self._view = view
        self._campus_id = campus_id
        self._campus_epoch = campus_epoch
        self._received = received
        self._position = view.head()
        self._events: dict[str, KnownEvent] = {}
        self._sources: dict[SourceId, list[KnownSource]] = {}
        self._series: dict[tuple[str, int], int] = {}
        self._plan = Plan()

    @property
    def plan(self) -> Plan:
        """What has been decided so far."""
        self._plan.head = self._position
        return self._plan

    # --- runs of boxes --------------------------------------------------------------------------------

    def take_group(self, group: AdmissionGroup) -> list[RunResult]:
        """Decide on every run of a group, in order."""
        self._look_up([arrival.record for run in group.runs for arrival in run.arrivals if arrival.record is not None])
        return [self._take(run) for run in group.runs]

    def _look_up(self, records: Sequence[Record]) -> None:
        self._events.update(self._view.events([record.id for record in records]))
        keys = {
            (record.device, record.source.record_no)
            for record in records
            if isinstance(record, _OF_DEVICES) and record.source is not None
        }
        self._sources.update(self._view.sources(keys))

    def _take(self, run: Run) -> RunResult:
        mark = self._mark(run.edge, run.epoch, run.lane)
        if run.first != mark.through + 1:
            return RunResult(Fate.IGNORED, mark)
        if run.before != mark.chain:
            return RunResult(Fate.FORKED, mark)
        for arrival in run.arrivals:
            if arrival.record is None:
                self._set_aside(run, arrival, arrival.refusal or Refusal.MALFORMED)
            else:
                self._admit(run, arrival, arrival.record)
        last = run.arrivals[-1]
        mark = self._plan.marks[run.edge, run.epoch, run.lane] = Mark(last.through, last.chain)
        return RunResult(Fate.TAKEN, mark)

    def _admit(self, run: Run, arrival: Arrival, record: Record) -> None:
        event_id = record.id
        known = self._events.get(event_id)
        if known is not None and known.hash == arrival.hash:
            self._repeat(run, arrival, known.position, gap=isinstance(record, Gap))
            return
        if isinstance(record, Gap):
            # A gap says what is missing, it has no content to defend: one that grew under the same id is kept too.
            if known is not None:
                event_id = derived_id("gap", run.edge, run.epoch, run.lane, arrival.seq, arrival.through)
            self._insert(run, arrival, record, event_id, None)
            self._plan.tallies[run.edge, run.lane, "gone"] += record.count
            if record.reason in {"retention", "damaged"}:
                self._incident(run, arrival, record)
            return
        if known is not None:
            self._conflict(run, arrival, record, known.position)
            return
        if isinstance(record, _OF_DEVICES) and record.source is not None:
            self._admit_numbered(run, arrival, record, record.source)
        else:
            self._insert(run, arrival, record, event_id, None)

    def _admit_numbered(self, run: Run, arrival: Arrival, record: Event | Reading, key: SourceKey) -> None:
        mark_16, epoch, occurred = fingerprint(record), key.epoch, occurred_ns(record)
        held = self._sources.setdefault((record.device, key.record_no), [])
        for source in held:
            if source.fingerprint == mark_16:
                self._repeat(run, arrival, source.position)
                return
        for source in held:
            if source.source_epoch != key.epoch:
                continue
            if not _tells_time(record) or source.occurred_ns == occurred:
                self._conflict(run, arrival, record, source.position)
                return
            epoch = 1 + max(other.source_epoch for other in held)
        source = KnownSource(epoch, mark_16, self._position + 1, occurred)
        held.append(source)
        self._insert(run, arrival, record, record.id, source)

    def _insert(self, run: Run, arrival: Arrival, record: Record, event_id: str, filed: KnownSource | None) -> int:
        self._position += 1
        position = self._position
        occurred = occurred_ns(record)
        source, topic, series_time_ns = None, "", None
        if isinstance(record, _OF_DEVICES):
            source = record.source
            series_time_ns = self._series_time(record.device, occurred)
            if isinstance(record, Event):
                topic = record.topic
        stamp, age_ns = record.stamp, arrival.age_ns
        self._plan.rows.append(
            LedgerRow(
                position=position,
                campus_id=self._campus_id,
                edge=run.edge,
                epoch=run.epoch,
                lane=run.lane,
                seq=arrival.seq,
                through=arrival.through,
                event_id=event_id,
                device_id=record.device,
                kind=_KINDS[type(record)],
                topic=topic,
                source_epoch=filed.source_epoch if filed else None,
                source_no=source.record_no if source else None,
                fingerprint=filed.fingerprint if filed else None,
                occurred_ns=occurred,
                received_ns=self._received.wall_ns,
                stamp_ns=stamp.wall_ns,
                mono_ns=stamp.mono_ns,
                boot_id=stamp.boot_id,
                clock=stamp.clock,
                error_ms=min(stamp.error_ms, _ERROR_MS_MAX),
                age_ns=age_ns,
                historical=age_ns is None or age_ns > HISTORICAL_AFTER_NS,
                series_time_ns=series_time_ns,
                hash=arrival.hash,
                chain=arrival.chain,
                body=arrival.body,
            )
        )
        self._events[event_id] = KnownEvent(position, arrival.hash)
        hour = occurred // HOUR_NS
        first, _ = self._plan.hours.get(hour, (position, position))
        self._plan.hours[hour] = (first, position)
        self._plan.tallies[run.edge, run.lane, "stored"] += 1
        return position

    def _series_time(self, device_id: str, occurred: int) -> int:
        slot = occurred // SERIES_SLOT_NS
        while True:
            key = (device_id, slot)
            start_ns = slot * SERIES_SLOT_NS
            highest = self._series.get(key)
            if highest is None:
                highest = self._view.series_max(device_id, start_ns, start_ns + SERIES_SLOT_NS)
            time_ns = occurred if highest is None or occurred > highest else highest + 1
            if time_ns < start_ns + SERIES_SLOT_NS:
                self._series[key] = time_ns
                return time_ns
            # A clock that stands still filled its millisecond with a million records; go on in the next.
            slot, occurred = slot + 1, start_ns + SERIES_SLOT_NS

    def _repeat(self, run: Run, arrival: Arrival, position: int, *, gap: bool = False) -> None:
        self._plan.repeats.append(
            Repeat(
                run.edge, run.epoch, run.lane, arrival.seq, arrival.through, arrival.hash, arrival.chain, position, gap
            )
        )
        self._plan.tallies[run.edge, run.lane, "repeat"] += 1

    def _set_aside(self, run: Run, arrival: Arrival, reason: Refusal) -> None:
        self._plan.quarantined.append(
            Quarantined(
                run.edge,
                run.epoch,
                run.lane,
                arrival.seq,
                reason,
                arrival.hash,
                arrival.chain,
                len(arrival.body),
                arrival.body[:RECORD_BYTES_MAX],
                self._received.wall_ns,
            )
        )
        self._plan.tallies[run.edge, run.lane, "conflict" if reason is Refusal.CONFLICT else "quarantined"] += 1

    # --- facts of the campus --------------------------------------------------------------------------

    def add_campus_facts(self, records: Sequence[Record]) -> list[int]:
        """Append records of @campus; returns their positions. An id that is known gives the position it has."""
        self._look_up(records)
        return [self._add_campus_fact(record) for record in records]

    def _add_campus_fact(self, record: Record) -> int:
        known = self._events.get(record.id)
        if known is not None:
            return known.position
        body = encode_record(record)
        lane, body_hash = record_lane(record), record_hash(body)
        mark = self._mark(CAMPUS_NODE, self._campus_epoch, lane)
        seq, chain = mark.through + 1, chain_next(mark.chain, body_hash)
        arrival = Arrival(seq, seq, body, body_hash, chain, record, None, 0)
        run = Run(CAMPUS_NODE, self._campus_epoch, lane, seq, mark.chain, (arrival,))
        position = self._insert(run, arrival, record, record.id, None)
        self._plan.marks[CAMPUS_NODE, self._campus_epoch, lane] = Mark(seq, chain)
        return position

    def _say(self, event_id: str, topic: str, reason: str, values: Mapping[str, Scalar]) -> None:
        """Append an event of the campus itself. An id derived from its cause makes saying it twice harmless."""
        event = Event(
            id=event_id, device=CAMPUS_NODE, stamp=self._received, topic=topic, reason=reason, values=dict(values)
        )
        self.add_campus_facts([event])

    def _conflict(self, run: Run, arrival: Arrival, record: Record, first_position: int) -> None:
        self._set_aside(run, arrival, Refusal.CONFLICT)
        self._say(
            derived_id("conflict", record.id, arrival.hash.hex()),
            "Delivery/Conflict",
            "",
            {
                "edge": run.edge,
                "device": record.device,
                "lane": run.lane,
                "seq": arrival.seq,
                "event_id": record.id,
                "first_position": first_position,
            },
        )

    def _incident(self, run: Run, arrival: Arrival, gap: Gap) -> None:
        self._say(
            derived_id("incident", run.edge, run.epoch, run.lane, arrival.seq, arrival.through),
            "Delivery/Incident",
            gap.reason,
            {
                "edge": run.edge,
                "lane": run.lane,
                "from_seq": arrival.seq,
                "to_seq": arrival.through,
                "count": gap.count,
            },
        )

    # --- epochs ---------------------------------------------------------------------------------------

    def open_epoch(self, request: OpenEpoch) -> Opening:
        """Note which epoch an edge speaks from, and say where its lanes stand."""
        epochs = self._view.epochs(request.edge)
        standing = _standing(epochs, request.epoch)
        if standing is not Standing.CURRENT:
            self._enter(request, epochs, standing)
        edge, epoch = request.edge, request.epoch
        chains = {}
        for lane, number in request.numbers.items():
            chain = self._view.chain_at(edge, epoch, lane, number)
            if chain is not None:
                chains[lane] = chain
        return Opening(standing, {lane: self._mark(edge, epoch, lane) for lane in LANES}, chains)

    def _enter(self, request: OpenEpoch, epochs: list[EdgeEpoch], standing: Standing) -> None:
        earlier = next((entry.epoch for entry in epochs if entry.current), "")
        first_time = EdgeEpoch(
            edge=request.edge,
            epoch=request.epoch,
            first_seen_ns=self._received.wall_ns,
            previous=request.previous,
            reason=request.reason,
            current=True,
        )
        known = next((entry for entry in epochs if entry.epoch == request.epoch), first_time)
        self._plan.epochs.append(replace(known, current=True))
        values: dict[str, Scalar] = {"edge": request.edge, "epoch": request.epoch}
        if standing is Standing.FIRST:
            event_id = derived_id("epoch", request.edge, request.epoch)
            self._say(event_id, "Audit/Entry", "", {"action": "edge.epoch_registered", **values})
            return
        values |= {"earlier_epoch": earlier, "standing": standing.value}
        # A return happens again and again while a clone lives, so its time is part of its identity.
        when = self._received.wall_ns if standing is Standing.RETURNED else 0
        event_id = derived_id("forked", request.edge, request.epoch, when)
        self._say(event_id, "Delivery/EpochForked", request.reason, values)

    def _mark(self, edge: str, epoch: str, lane: Lane) -> Mark:
        return self._plan.marks.get((edge, epoch, lane)) or self._view.mark(edge, epoch, lane) or START


def _tells_time(record: Event | Reading) -> bool:
    return isinstance(record, Event) and record.device_time is not None and record.device_time.wall_ns is not None


def _standing(epochs: list[EdgeEpoch], epoch: str) -> Standing:
    if not epochs:
        return Standing.FIRST
    for entry in epochs:
        if entry.epoch == epoch:
            return Standing.CURRENT if entry.current else Standing.RETURNED
    return Standing.NEW
