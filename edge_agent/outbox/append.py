"""The way in: one transaction for a group of entries, numbers and chain assigned inside it.

Looking up every event id before the insert would double the cost of the common case, in which none is known. So rows
are inserted blindly, and only when the unique index objects is the group done again with each id looked up. The same
for a device's numbers: above the highest ever seen there is nothing to compare with.
"""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import msgspec

from edge_agent.outbox import sources
from edge_agent.outbox.book import DIGEST_BYTES, LANE_NO, SEQ_BITS, Device, LaneBook
from edge_agent.outbox.core import Core, Draft
from edge_agent.outbox.model import Appended, Entry, Fate, Pressure
from edge_agent.outbox.quarantine import put_in_quarantine
from edge_agent.outbox.sources import Known, Verdict
from wire.identity import chain_next, derived_id, record_hash, source_space
from wire.records import Event, Gap, Reading, decode_record, encode_record, fingerprint, record_lane
from wire.topics import Lane

Columns = tuple[int, bytearray | None, int, int | None, int | None, bytearray | None, bytearray, bytearray, bytearray]

INSERT_ROW: Final = (
    "INSERT INTO record (key, event_id, device, record_no, source_epoch, print, digest, chain, body)"
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_FIND_SOURCE: Final = (
    "SELECT source_epoch, print, body FROM record WHERE device = ? AND record_no = ? AND record_no IS NOT NULL"
)
_FIND_EVENT: Final = "SELECT body FROM record WHERE event_id = ?"

_WAITS_WHEN_FULL: Final = frozenset({Lane.D, Lane.S, Lane.T})
_ALL_LANES: Final = frozenset(Lane)

# Our own records in quarantine: what kind they are may stand in clear.
_HARMLESS: Final = frozenset({"kind", "topic", "device", "record_no", "raw", "zone"})


def append(core: Core, entries: Sequence[Entry]) -> list[Appended]:
    """Store a group; see OutboxStore.append."""
    if not entries:
        return []
    try:
        return _append(core, entries, look_up_ids=False)
    except sqlite3.IntegrityError:
        pass
    try:
        return _append(core, entries, look_up_ids=True)
    except sqlite3.IntegrityError as error:
        core.damaged(f"index contradicts its table: {error}")


def row_columns(
    book: LaneBook, lane: Lane, event_id: str, device: int, body: bytes, *, source: tuple[int, int, bytes] | None
) -> Columns:
    """The next row of a lane; moves the head and counters of its book. source: number, epoch, print."""
    body_hash = record_hash(body)
    book.last += 1
    book.chain = chain_next(book.chain, body_hash)
    book.kept += 1
    book.queued += 1
    book.accepted += 1
    book.body_bytes += len(body)
    number, epoch, print_ = source or (None, None, None)
    # sqlite3 binds a bytearray as it is, while for bytes it first searches for an adapter.
    blob = bytearray
    return (
        LANE_NO[lane] << SEQ_BITS | book.last,
        None if lane is Lane.T else blob.fromhex(event_id),
        device,
        number,
        epoch,
        None if print_ is None else blob(print_),
        blob(body_hash[:DIGEST_BYTES]),
        blob(book.chain),
        blob(body),
    )


@dataclass(slots=True)
class _Group:
    core: Core
    draft: Draft
    full: frozenset[Lane]
    look_up_ids: bool
    rows: list[Columns] = field(default_factory=list)
    by_source: dict[tuple[int, int], list[Known]] = field(default_factory=dict)
    by_id: dict[str, bytes] = field(default_factory=dict)

    def take(self, entry: Entry) -> Appended:
        record, body = entry.record, entry.body
        if isinstance(record, Gap):
            raise TypeError("a GAP record is made by the outbox, never handed to it")
        lane = record_lane(record)
        if self.look_up_ids and (first := self.find(record.id)) is not None:
            return self.same_id(entry, lane, first)
        device_no, device = self.core.device(self.draft, record.device)
        if isinstance(record, Event | Reading) and record.source is not None:
            return self.take_numbered(entry, record, lane, device_no, device)
        return self.store(lane, record.id, device_no, body, None)

    def take_numbered(
        self, entry: Entry, record: Event | Reading, lane: Lane, device_no: int, device: Device
    ) -> Appended:
        number = record.source.record_no if record.source else 0
        print_, wall_ns = fingerprint(record), sources.device_wall_ns(record)
        space_no = source_space(number)
        space = self.core.space(device, space_no)
        known = self.known(device_no, number) if number <= space.top_no else []
        verdict = sources.judge(space, number, print_, wall_ns, known)
        if verdict is Verdict.REPEAT:
            self.draft.book.count("repeats")
            return Appended(Fate.REPEAT, lane, 0, record.id)
        if verdict is Verdict.CONFLICT:
            return self.conflict(entry, lane, print_)
        restarted = verdict is Verdict.RESTART
        space_after = sources.after(space, number, wall_ns, restarted=restarted)
        filed = sources.with_epoch(record, space_after.epoch)
        body = entry.body if filed is record else encode_record(filed)
        appended = self.store(lane, record.id, device_no, body, (number, space_after.epoch, print_))
        if appended.fate is not Fate.STORED:
            return appended
        if restarted:
            self.draft.book.count("restarts")
        if space_after is not space:
            spaces = {**device.spaces, space_no: space_after}
            self.draft.devices[device_no] = msgspec.structs.replace(device, spaces=spaces)
        self.by_source.setdefault((device_no, number), []).append(Known(space_after.epoch, print_, wall_ns))
        return appended

    def known(self, device_no: int, number: int) -> list[Known]:
        found = self.core.connection.execute(_FIND_SOURCE, (device_no, number)).fetchall()
        kept = [Known(epoch, print_, sources.stored_wall_ns(body)) for epoch, print_, body in found]
        return kept + self.by_source.get((device_no, number), [])

    def find(self, event_id: str) -> bytes | None:
        if event_id in self.by_id:
            return self.by_id[event_id]
        row = self.core.connection.execute(_FIND_EVENT, (bytes.fromhex(event_id),)).fetchone()
        return row[0] if row else None

    def store(
        self, lane: Lane, event_id: str, device_no: int, body: bytes, source: tuple[int, int, bytes] | None
    ) -> Appended:
        if lane in self.full:
            self.draft.book.count(f"refused_{lane}")
            return Appended(Fate.REFUSED, lane, 0, event_id)
        book = self.draft.book.lanes[lane]
        self.rows.append(row_columns(book, lane, event_id, device_no, body, source=source))
        if lane is Lane.S:
            self.draft.latest[device_no] = book.last
        if self.look_up_ids:
            self.by_id[event_id] = body
        return Appended(Fate.STORED, lane, book.last, event_id)

    def same_id(self, entry: Entry, lane: Lane, first: bytes) -> Appended:
        # The caller did not learn how its first attempt ended. What was stored may differ in the device's epoch.
        if first == entry.body or sources.same_content(decode_record(first), entry.record):
            self.draft.book.count("repeats")
            return Appended(Fate.REPEAT, lane, 0, entry.record.id)
        return self.conflict(entry, lane, record_hash(entry.body)[:16])

    def conflict(self, entry: Entry, lane: Lane, print_: bytes) -> Appended:
        """Keep the second record out of the lane but not out of the box, and say so on lane A, once per content."""
        record = entry.record
        number = record.source.record_no if isinstance(record, Event | Reading) and record.source else -1
        alarm = Event(
            id=derived_id("conflict", record.device, number, print_.hex()),
            device=record.device,
            stamp=self.core.clock.stamp(),
            topic="Delivery/Conflict",
            values={"lane": lane.value, "record_no": number, "sha256": record_hash(entry.body).hex()},
        )
        if self.find(alarm.id) is not None or any(row[1] == bytearray.fromhex(alarm.id) for row in self.rows):
            self.draft.book.count("repeats")
            return Appended(Fate.REPEAT, lane, 0, record.id)
        device_no, _ = self.core.device(self.draft, record.device)
        if self.store(Lane.A, alarm.id, device_no, encode_record(alarm), None).fate is not Fate.STORED:
            self.draft.book.count(f"refused_{lane}")
            return Appended(Fate.REFUSED, lane, 0, record.id)
        book = self.draft.book.lanes[lane]
        book.accepted += 1
        book.quarantined += 1
        self.draft.book.count("conflicts")
        put_in_quarantine(self.core, record.device, "conflict", entry.body, _HARMLESS)
        return Appended(Fate.CONFLICT, lane, 0, record.id)


def _append(core: Core, entries: Sequence[Entry], *, look_up_ids: bool) -> list[Appended]:
    with core.transaction() as draft:
        group = _Group(core, draft, _full_lanes(core), look_up_ids)
        results = [group.take(entry) for entry in entries]
        if group.rows:
            core.connection.executemany(INSERT_ROW, group.rows)
        else:
            # Repeats and refusals alone are counted with the next commit: a device that asks again and again must not
            # make the card write.
            draft.discard = True
    if draft.discard:
        core.unsaved = {
            what: count - core.book.tally.get(what, 0)
            for what, count in draft.book.tally.items()
            if count > core.book.tally.get(what, 0)
        }
    return results


def _full_lanes(core: Core) -> frozenset[Lane]:
    used = core.used_bytes()
    limits = core.limits
    if used >= limits.bytes_max + limits.reserve_bytes:
        return _ALL_LANES
    return _WAITS_WHEN_FULL if limits.pressure(used) >= Pressure.REFUSE else frozenset()
