"""The book of a lane in the words of the wire."""

import sqlite3
from typing import Final

from edge_agent.outbox.book import LaneBook, key_of
from wire.clock import NS_PER_S, Stamp
from wire.delivery import LaneDepth, LaneState
from wire.records import decode_record
from wire.topics import Lane

_OLDEST: Final = "SELECT body FROM record WHERE key > ? AND key <= ? AND gap IS NULL ORDER BY key LIMIT 1"


def lane_state(book: LaneBook) -> LaneState:
    """What HELLO says of a lane."""
    return LaneState(
        first=book.base + 1,
        last=book.last,
        acked=book.acked,
        chain=book.chain.hex(),
        acked_chain=book.acked_chain.hex(),
    )


def lane_depth(connection: sqlite3.Connection, lane: Lane, book: LaneBook, now: Stamp) -> LaneDepth:
    """What a heartbeat says of a lane. Raises sqlite3.Error, wire.errors.Malformed."""
    age_s = 0
    if book.queued:
        row = connection.execute(_OLDEST, (key_of(lane, book.acked), key_of(lane, book.last))).fetchone()
        age_s = _age_s(decode_record(row[0]).stamp, now) if row else 0
    return LaneDepth(
        accepted=book.accepted,
        acknowledged=book.acknowledged,
        queued=book.queued,
        dropped=book.dropped,
        quarantined=book.quarantined,
        oldest_age_s=age_s,
    )


def _age_s(then: Stamp, now: Stamp) -> int:
    """Within one boot by the monotonic clock, which no step moves."""
    same_boot = then.boot_id == now.boot_id
    age_ns = now.mono_ns - then.mono_ns if same_boot else now.wall_ns - then.wall_ns
    return max(age_ns // NS_PER_S, 0)
