"""A new epoch: every record kept is numbered again from 1 in its lane, with its old id and its old bytes.

The campus has found that our history is not the one it knows (the card was rolled back or cloned). Our numbers are then
worth nothing, our records still are. In the new epoch all of them wait again, acknowledged or not, and the campus sorts
out by event id what it already has.

The outbox may be as large as its quota, so this happens in steps of a few hundred rows, each a transaction, with the
progress in the book. A crash leaves a half renumbered outbox that nobody may read; the next start carries on. Within a
lane new numbers are never above the old ones and rows are taken in order, so no step meets a number still in use. GAP
rows have no meaning in the new numbering and go; what they stood for stays in the counters. In a lane without gaps
from which nothing was trimmed, numbers and chain come out as they were and nothing is written.
"""

from typing import Final

from edge_agent.outbox.book import SEQ_MASK, Book, ForkedLane, Forking, LaneBook, key_of
from edge_agent.outbox.core import Core
from wire.identity import CHAIN_START, chain_next, record_hash
from wire.topics import Lane

STEP_ROWS: Final = 500

_NEXT: Final = "SELECT key, through, gap, chain, body FROM record WHERE key > ? AND key <= ? ORDER BY key LIMIT ?"
_MOVE: Final = "UPDATE record SET key = ?, chain = ? WHERE key = ?"


def fork(core: Core, reason: str) -> str:
    """Open a new epoch; see OutboxStore.fork."""
    with core.transaction() as draft:
        lanes = {lane: ForkedLane(old=book.base, old_chain=book.base_chain) for lane, book in draft.book.lanes.items()}
        draft.book.forking = Forking(core.random(16).hex(), reason[:64], lanes)
        # Nothing is acknowledged in the new epoch, so no mark of the old one may ever let a record go.
        core.connection.execute("DELETE FROM ack_mark")
    return finish_fork(core)


def finish_fork(core: Core) -> str:
    """Carry a fork to its end, also one that a crash cut short. Returns the new epoch."""
    with core.reading():
        for lane in Lane:
            while _step(core, lane):
                pass
        with core.transaction() as draft:
            _begin_epoch(draft.book)
        core.load_latest()
    return core.book.epoch


def _step(core: Core, lane: Lane) -> bool:
    """Renumber the next rows of a lane. Returns whether there were any."""
    forking = core.book.forking
    if forking is None:
        return False
    progress = forking.lanes[lane]
    window = (key_of(lane, progress.old), key_of(lane, SEQ_MASK), STEP_ROWS)
    rows = core.connection.execute(_NEXT, window).fetchall()
    if not rows:
        return False
    with core.transaction() as draft:
        old, old_chain, new, new_chain = progress.old, progress.old_chain, progress.new, progress.new_chain
        moved: list[tuple[int, bytes, int]] = []
        gone: list[tuple[int]] = []
        note_bytes = 0
        for key, through, gap, chain, body in rows:
            if gap is not None:
                gone.append((key,))
                note_bytes += len(body)
                old, old_chain = through, chain
                continue
            body_hash = record_hash(body)
            old, old_chain = key & SEQ_MASK, chain_next(old_chain, body_hash)
            if old_chain != chain:
                core.damaged(f"lane {lane}: chain broken at {old} while renumbering")
            new, new_chain = new + 1, chain_next(new_chain, body_hash)
            if (new, new_chain) != (old, old_chain):
                moved.append((key_of(lane, new), new_chain, key))
        core.connection.executemany("DELETE FROM record WHERE key = ?", gone)
        core.connection.executemany(_MOVE, moved)
        lanes = {**forking.lanes, lane: ForkedLane(old, old_chain, new, new_chain)}
        draft.book.forking = Forking(forking.epoch, forking.reason, lanes)
        draft.book.lanes[lane].body_bytes -= note_bytes
    return True


def _begin_epoch(book: Book) -> None:
    forking = book.forking
    if forking is None:
        return
    book.previous_epoch, book.epoch, book.fork_reason = book.epoch, forking.epoch, forking.reason
    book.forking = None
    for lane, progress in forking.lanes.items():
        old = book.lanes[lane]
        book.lanes[lane] = LaneBook(
            last=progress.new,
            chain=progress.new_chain,
            acked_chain=CHAIN_START,
            kept=old.kept,
            body_bytes=old.body_bytes,
            accepted=old.accepted,
            # What was acknowledged and is still kept waits again; what was trimmed since stays acknowledged.
            acknowledged=old.acknowledged - (old.kept - old.queued),
            queued=old.kept,
            quarantined=old.quarantined,
            dropped=old.dropped,
        )
