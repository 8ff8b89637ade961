"""A new outbox from what a damaged one still holds.

Records keep their bytes and their ids and get new numbers in a new epoch, in their old order; all of them wait again,
because the campus drops what it already has by id. Counters go on from the old book where one verifies. What is missing
is told to the campus as a record of its own, and to the log.

What was in quarantine stays in the set of damaged files: it was never meant to last.

A device whose count of records the old file knew may have had records in the lost part, so no device goes on in its old
epoch: all of them continue in one that no file of this box can have used.
"""

import logging
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Final

import msgspec

from edge_agent.outbox import append as appending
from edge_agent.outbox import sources
from edge_agent.outbox.append import INSERT_ROW, row_columns
from edge_agent.outbox.book import Book, LaneBook, Space, new_book
from edge_agent.outbox.carve import Carved, Wreck
from edge_agent.outbox.core import Core
from edge_agent.outbox.files import Marked
from edge_agent.outbox.model import Entry, Recovery
from wire.identity import derived_id, source_space
from wire.records import Event, Reading, encode_record, fingerprint
from wire.topics import LANES, Lane

log = logging.getLogger(__name__)

STEP_RECORDS: Final = 500
DAMAGED_TOPIC: Final = "EdgeNode/State/OutboxDamaged"
FORK_REASON: Final = "damaged"

_SEEN: Final = "INSERT OR IGNORE INTO temp.seen (id) VALUES (?)"


class _Count:
    """Records saved in one lane: those that waited, and those that were acknowledged."""

    def __init__(self) -> None:
        self.waiting = 0
        self.acknowledged = 0


def book_after(wreck: Wreck, marked: Marked | None, edge: str, epoch: str) -> Book:
    """The book that a new file starts with: new epoch, history of the old one as far as it is known."""
    old = wreck.book
    fresh = new_book(edge, epoch)
    fresh.fork_reason = FORK_REASON
    if old is None:
        fresh.previous_epoch = marked.epoch if marked else None
        return fresh
    fresh.previous_epoch, fresh.run_ns, fresh.tally = old.epoch, old.run_ns, dict(old.tally)
    fresh.first_device_epoch = old.first_device_epoch
    return fresh


def refill(core: Core, wreck: Wreck, marked: Marked | None, *, edge: str, cause: str, set_aside: str) -> Recovery:
    """Fill an empty outbox whose book is book_after. Raises OutboxGone when the disk fails."""
    old = _settled(wreck.book) if wreck.book else None
    counts = {lane: _Count() for lane in LANES}
    core.connection.execute("CREATE TEMP TABLE seen (id BLOB PRIMARY KEY) WITHOUT ROWID")
    epoch_max = core.book.first_device_epoch
    for group in _groups(wreck.records()):
        epoch_max = max(epoch_max, _store(core, group, old, counts))
    missing = _settle(core, old, marked, counts)
    _restart_devices(core, epoch_max)
    salvaged = {lane: count.waiting + count.acknowledged for lane, count in counts.items()}
    recovery = Recovery(cause, set_aside, salvaged, missing)
    _tell(core, edge, recovery)
    return recovery


def _groups(records: Iterable[Carved]) -> Iterator[list[Carved]]:
    records = iter(records)
    while group := list(islice(records, STEP_RECORDS)):
        yield group


def _settled(old: Book) -> Book:
    """The old book as it would be once a renumbering under way had ended: nothing is acknowledged any more."""
    if old.forking is None:
        return old
    book = old.draft()
    for lane_book in book.lanes.values():
        lane_book.acknowledged -= lane_book.kept - lane_book.queued
        lane_book.queued = lane_book.kept
        lane_book.base = lane_book.acked = 0
    return book


def _store(core: Core, group: list[Carved], old: Book | None, counts: dict[Lane, _Count]) -> int:
    """Number and store some records. Returns the highest device epoch among them."""
    epoch_max = 0
    with core.transaction() as draft:
        rows = []
        for carved in group:
            filed = old.lanes[carved.at] if old else LaneBook()
            # At or below the base a row was forgotten on purpose; an old copy of its page still had it.
            if carved.seq <= filed.base or not _first_time(core, bytes.fromhex(carved.record.id)):
                continue
            device_no, device = core.device(draft, carved.record.device)
            source = None
            if isinstance(carved.record, Event | Reading) and carved.record.source is not None:
                number, epoch = carved.record.source.record_no, carved.record.source.epoch
                if _first_time(core, bytes.fromhex(derived_id(carved.record.device, number, epoch))):
                    source = (number, epoch, fingerprint(carved.record))
                epoch_max = max(epoch_max, epoch)
                space = core.space(device, source_space(number))
                if number > space.top_no:
                    spaces = {**device.spaces, source_space(number): Space(epoch=0, top_no=number)}
                    draft.devices[device_no] = msgspec.structs.replace(device, spaces=spaces)
            lane = carved.lane
            rows.append(
                row_columns(draft.book.lanes[lane], lane, carved.record.id, device_no, carved.body, source=source)
            )
            if carved.seq > filed.acked:
                counts[lane].waiting += 1
            else:
                counts[lane].acknowledged += 1
        core.connection.executemany(INSERT_ROW, rows)
    return epoch_max


def _first_time(core: Core, key: bytes) -> bool:
    return core.connection.execute(_SEEN, (key,)).rowcount == 1


def _settle(core: Core, old: Book | None, marked: Marked | None, counts: dict[Lane, _Count]) -> dict[Lane, int] | None:
    """Carry the old counters on. Returns how many waiting records are known to be gone; None when nobody knows."""
    if old is None:
        return None
    missing: dict[Lane, int] = {}
    same = marked is not None and marked.epoch == old.epoch and old.forking is None
    with core.transaction() as draft:
        for lane, count in counts.items():
            before, book = old.lanes[lane], draft.book.lanes[lane]
            # Commits after the book we found: the mark still knows of them.
            beyond = max(marked.last[lane] - before.last, 0) if marked is not None and same else 0
            missing[lane] = max(before.queued + beyond - count.waiting, 0)
            book.acknowledged = max(before.acknowledged - count.acknowledged, 0)
            book.quarantined = before.quarantined
            book.dropped = before.dropped
            if missing[lane]:
                book.drop("damaged", missing[lane])
            book.accepted = book.acknowledged + book.queued + sum(book.dropped.values()) + book.quarantined
    return missing


def _restart_devices(core: Core, epoch_max: int) -> None:
    lots = int.from_bytes(core.random(4), "big")
    first = sources.first_epoch(core.clock.stamp(), lots, epoch_max)
    with core.transaction() as draft:
        draft.book.first_device_epoch = first
        draft.book.count("damaged")
        for number, device in core.devices.items():
            spaces = {key: Space(epoch=first, top_no=space.top_no) for key, space in device.spaces.items()}
            draft.devices[number] = msgspec.structs.replace(device, spaces=spaces)


def _tell(core: Core, edge: str, recovery: Recovery) -> None:
    missing = recovery.missing
    log.error(
        "outbox was damaged; set aside, a new one made from what verifies",
        extra={
            "cause": recovery.cause,
            "set_aside": recovery.set_aside,
            "salvaged": sum(recovery.salvaged.values()),
            "missing": "unknown" if missing is None else sum(missing.values()),
        },
    )
    values: dict[str, bool | int | float | str] = {
        "cause": recovery.cause[:200],
        "set_aside": recovery.set_aside,
        "missing_known": missing is not None,
    }
    values.update({f"salvaged_{lane}": count for lane, count in recovery.salvaged.items()})
    values.update({f"missing_{lane}": count for lane, count in (missing or {}).items()})
    told = Event(id=core.random(16).hex(), device=edge, stamp=core.clock.stamp(), topic=DAMAGED_TOPIC, values=values)
    appending.append(core, [Entry(told, encode_record(told))])
