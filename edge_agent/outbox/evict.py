"""Forgetting, in small steps: after acknowledgement by age, under pressure by a fixed order of what hurts least.

An acknowledged record stays, because a campus restored from last night's backup will ask for it again. How long is
measured in running time of the box, not by a wall clock that starts in 1970 and jumps: once an hour a mark is set
("everything through n was acknowledged by now"), and what lies below a mark that has grown old enough may go. A box
that is switched off at night keeps its records longer, never shorter.

An unacknowledged record goes only under pressure and only from telemetry and states. Its place is taken by a GAP row,
so that the lane has no hole that nobody can explain, and the counters say how many went and why. The first rows of a
lane are spared: they may be on their way to the campus at this moment, and a record must not be delivered and counted
as dropped as well.

SQLite needs room even to delete, so each step touches a few hundred rows at most and eviction begins long before the
quota is reached.
"""

import logging
from collections.abc import Callable, Iterator
from itertools import groupby
from typing import Final, NamedTuple

from edge_agent.outbox.book import SEQ_MASK, digest, key_of
from edge_agent.outbox.core import Core
from edge_agent.outbox.gaps import GapNote, Reason, decode_note, encode_note
from edge_agent.outbox.model import Maintenance, Pressure
from edge_agent.outbox.quarantine import expire_quarantine
from wire.clock import NS_PER_S
from wire.topics import LANES, Lane

log = logging.getLogger(__name__)

_BY_AGE: Final = (Lane.A, Lane.M, Lane.D, Lane.S)
_LEAST_FIRST: Final = (Lane.T, Lane.S, Lane.D, Lane.M, Lane.A)
VACUUM_PAGES: Final = 64

_NEXT_ROWS: Final = (
    "SELECT key, through, gap, device, length(body), chain FROM record WHERE key > ? AND key <= ? ORDER BY key LIMIT ?"
)
_DELETE: Final = "DELETE FROM record WHERE key >= ? AND key <= ?"
_INSERT_GAP: Final = "INSERT INTO record (key, through, gap, digest, chain, body) VALUES (?, ?, ?, ?, ?, ?)"
_BODY: Final = "SELECT body FROM record WHERE key = ?"
_OLD_MARK: Final = "SELECT max(seq) FROM ack_mark WHERE lane = ? AND run_ns <= ?"


class _Stored(NamedTuple):
    """A row as eviction sees it. records: how many it stands for."""

    seq: int
    through: int
    is_gap: bool
    records: int
    device: int | None
    size: int
    chain: bytes


def maintain(core: Core) -> Maintenance:
    """One step of the first thing that is due; see OutboxStore.maintain."""
    with core.reading():
        return _step(core)


def _step(core: Core) -> Maintenance:
    _set_marks(core)
    before = core.used_bytes()
    pressure = core.limits.pressure(before)
    _tell(core, pressure, before)
    if expired := expire_quarantine(core):
        return Maintenance(pressure, before, expired=expired, more=True)
    if trimmed := _retire(core):
        return Maintenance(pressure, before, trimmed=trimmed, more=True)
    if pressure >= Pressure.TRIM:
        trimmed, thinned, dropped = _relieve(core, pressure)
        if trimmed or thinned or dropped:
            used = core.used_bytes()
            return Maintenance(core.limits.pressure(used), used, trimmed, thinned, dropped, more=True)
    freed = _give_back(core)
    return Maintenance(pressure, before, pages_freed=freed, more=freed > 0)


def _tell(core: Core, pressure: Pressure, used_bytes: int) -> None:
    if pressure >= Pressure.WARN and not core.warned:
        core.warned = True
        log.warning("outbox fills up", extra={"used_bytes": used_bytes, "quota_bytes": core.limits.bytes_max})
    elif pressure < Pressure.WARN and core.warned:
        core.warned = False
        log.info("outbox has room again", extra={"used_bytes": used_bytes, "quota_bytes": core.limits.bytes_max})


# --- acknowledged records --------------------------------------------------------------------------------


def _set_marks(core: Core) -> None:
    """Remember how far each lane was acknowledged, once an hour, and forget marks that say nothing more."""
    now_ns = core.run_ns()
    due: list[tuple[int, int, int]] = []
    for number, lane in enumerate(LANES):
        book = core.book.lanes[lane]
        seq, run_ns = core.connection.execute(
            "SELECT max(seq), max(run_ns) FROM ack_mark WHERE lane = ?", (number,)
        ).fetchone()
        if book.acked > max(seq or 0, book.base) and now_ns - (run_ns or 0) >= _interval_ns(core, run_ns):
            due.append((number, book.acked, now_ns))
    if not due:
        return
    old_ns = now_ns - core.limits.retention_s * NS_PER_S
    with core.transaction():
        core.connection.executemany("INSERT INTO ack_mark (lane, seq, run_ns) VALUES (?, ?, ?)", due)
        for number, lane in enumerate(LANES):
            (old,) = core.connection.execute(_OLD_MARK, (number, old_ns)).fetchone()
            useful = max(core.book.lanes[lane].base, old or 0)
            core.connection.execute("DELETE FROM ack_mark WHERE lane = ? AND seq < ?", (number, useful))


def _interval_ns(core: Core, last_ns: int | None) -> int:
    # The first mark of a lane is set at once: until there is one, the age of its records is unknown.
    return 0 if last_ns is None else core.limits.mark_interval_s * NS_PER_S


def _acked_before(core: Core, lane: Lane, age_s: int) -> int:
    """The highest number known to have been acknowledged for at least age_s."""
    book = core.book.lanes[lane]
    if age_s == 0:
        return book.acked
    row = core.connection.execute(_OLD_MARK, (LANES.index(lane), core.run_ns() - age_s * NS_PER_S)).fetchone()
    return min(row[0] or 0, book.acked)


def _retire(core: Core) -> int:
    """Forget acknowledged records whose time has come."""
    for lane in _BY_AGE:
        if trimmed := _trim(core, lane, _acked_before(core, lane, core.limits.retention_s)):
            return trimmed
    book = core.book.lanes[Lane.T]
    if book.body_bytes > core.limits.telemetry_bytes_max:
        return _trim(core, Lane.T, book.acked)
    return 0


def _trim(core: Core, lane: Lane, through: int) -> int:
    """Forget the oldest rows of a lane through a number, one chunk. Returns how many rows went."""
    base = core.book.lanes[lane].base
    if through <= base:
        return 0
    rows = list(_rows(core, lane, base, through, core.limits.chunk_rows))
    if not rows:
        return 0
    with core.transaction() as draft:
        book = draft.book.lanes[lane]
        core.connection.execute(_DELETE, (key_of(lane, rows[0].seq), key_of(lane, rows[-1].seq)))
        book.base, book.base_chain, book.base_stamp = rows[-1].through, rows[-1].chain, core.clock.stamp()
        book.kept -= sum(not row.is_gap for row in rows)
        book.body_bytes -= sum(row.size for row in rows)
    return len(rows)


def _rows(core: Core, lane: Lane, after: int, through: int, limit: int) -> Iterator[_Stored]:
    found = core.connection.execute(_NEXT_ROWS, (key_of(lane, after), key_of(lane, through), limit)).fetchall()
    for key, last, gap, device, size, chain in found:
        seq = key & SEQ_MASK
        yield _Stored(seq, last or seq, gap is not None, 1 if gap is None else gap, device, size, chain)


# --- pressure --------------------------------------------------------------------------------------------


def _relieve(core: Core, pressure: Pressure) -> tuple[int, int, int]:
    """The mildest measure that this pressure allows and that still finds something. Returns trimmed, thinned, dropped.

    A lane that loses unacknowledged records first gives up its acknowledged ones, whatever their age; and before doors
    are refused, all lanes do.
    """
    pressed_s = min(core.limits.pressed_s, core.limits.retention_s)
    for lane in _LEAST_FIRST:
        if trimmed := _trim(core, lane, _acked_before(core, lane, pressed_s)):
            return trimmed, 0, 0
    if pressure >= Pressure.THIN:
        if trimmed := _trim(core, Lane.T, core.book.lanes[Lane.T].acked):
            return trimmed, 0, 0
        if thinned := _thin(core):
            return 0, thinned, 0
    if pressure >= Pressure.DROP_TELEMETRY and (dropped := _drop_telemetry(core)):
        return 0, 0, dropped
    if pressure >= Pressure.DROP_STATES:
        if trimmed := _trim(core, Lane.S, core.book.lanes[Lane.S].acked):
            return trimmed, 0, 0
        if dropped := _drop_states(core):
            return 0, 0, dropped
    if pressure >= Pressure.REFUSE:
        for lane in _LEAST_FIRST:
            if trimmed := _trim(core, lane, core.book.lanes[lane].acked):
                return trimmed, 0, 0
    return 0, 0, 0


def _thin(core: Core) -> int:
    """Of the next telemetry not yet thinned keep one record in ten."""

    def goes(row: _Stored) -> bool:
        return row.seq % core.limits.thin_keep_one_in != 0

    after = max(_spared(core, Lane.T), core.book.lanes[Lane.T].thinned)
    dropped, _ = _give_up(core, Lane.T, after, "thinned", goes)
    return dropped


def _drop_telemetry(core: Core) -> int:
    dropped, _ = _give_up(core, Lane.T, _spared(core, Lane.T), "dropped", lambda _: True)
    return dropped


def _drop_states(core: Core) -> int:
    """Drop states that a later one of the same device has replaced, in rounds through the lane."""
    newest = core.latest
    for _ in range(2):
        while True:
            after = max(_spared(core, Lane.S), core.book.lanes[Lane.S].swept)
            dropped, seen = _give_up(core, Lane.S, after, "dropped", lambda row: newest.get(row.device or 0) != row.seq)
            if dropped:
                return dropped
            if seen <= after:
                break
        if core.book.lanes[Lane.S].swept == 0:
            break
        with core.transaction() as draft:
            draft.book.lanes[Lane.S].swept = 0
    return 0


def _spared(core: Core, lane: Lane) -> int:
    """The last number that may be on its way to the campus: nothing through it is given up."""
    book = core.book.lanes[lane]
    rows = core.limits.in_flight_rows
    if rows == 0:
        return book.acked
    row = core.connection.execute(
        "SELECT key, through FROM record WHERE key > ? AND key <= ? ORDER BY key LIMIT 1 OFFSET ?",
        (key_of(lane, book.acked), key_of(lane, book.last), rows - 1),
    ).fetchone()
    return book.last if row is None else row[1] or row[0] & SEQ_MASK


def _give_up(core: Core, lane: Lane, after: int, reason: Reason, doomed: Callable[[_Stored], bool]) -> tuple[int, int]:
    """Replace doomed rows behind a number by gaps, one chunk. Returns how many went, and the last number looked at."""
    last = core.book.lanes[lane].last
    if after >= last:
        return 0, after
    start = after
    if after > _spared(core, lane) and (previous := core.row_at(lane, after)):
        # The row before may be a gap that the next one grows into.
        start = previous[0] - 1
    rows = list(_rows(core, lane, start, last, core.limits.chunk_rows))
    if not rows:
        return 0, after
    seen = rows[-1].through
    with core.transaction() as draft:
        book = draft.book.lanes[lane]
        total = 0
        for goes, run in groupby(rows, lambda row: row.is_gap or doomed(row)):
            if goes:
                count, bytes_less = _merge(core, lane, list(run), reason)
                total += count
                book.body_bytes -= bytes_less
        book.kept -= total
        book.queued -= total
        if total:
            book.drop(reason, total)
        if reason == "thinned":
            book.thinned = seen
        elif lane is Lane.S:
            book.swept = seen
    return total, seen


def _merge(core: Core, lane: Lane, run: list[_Stored], reason: Reason) -> tuple[int, int]:
    """Put one gap in the place of a run of rows, gaps among them. Returns records given up and body bytes saved."""
    records = sum(not row.is_gap for row in run)
    note = encode_note(GapNote(_stronger(core, lane, run, reason), core.clock.stamp()))
    saved = sum(row.size for row in run) - len(note)
    # A gap that is larger than what it replaces helps nobody.
    if records == 0 or saved <= 0:
        return 0, 0
    first, last = run[0], run[-1]
    core.connection.execute(_DELETE, (key_of(lane, first.seq), key_of(lane, last.seq)))
    gap = sum(row.records for row in run)
    core.connection.execute(_INSERT_GAP, (key_of(lane, first.seq), last.through, gap, digest(note), last.chain, note))
    return records, saved


def _stronger(core: Core, lane: Lane, run: list[_Stored], reason: Reason) -> Reason:
    """A gap that swallows others keeps the heavier reason: dropped outweighs thinned."""
    if reason == "dropped":
        return reason
    for row in run:
        if row.is_gap:
            (body,) = core.connection.execute(_BODY, (key_of(lane, row.seq),)).fetchone()
            if decode_note(body).reason == "dropped":
                return "dropped"
    return reason


# --- room ------------------------------------------------------------------------------------------------


def _give_back(core: Core) -> int:
    """Return free pages to the file system, a few at a time, beyond a slack kept for the next records."""
    (free,) = core.connection.execute("PRAGMA freelist_count").fetchone()
    surplus: int = min(free - core.limits.slack_pages, VACUUM_PAGES)
    if surplus <= 0:
        return 0
    core.connection.execute(f"PRAGMA incremental_vacuum({surplus})").fetchall()
    return surplus
