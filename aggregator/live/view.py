"""One ledger row as the API and the stream show it."""

from typing import Any, Final

import msgspec

from aggregator.ledger import LedgerRow
from wire.clock import utc_text

# What says who it was; shown only to roles that may see people.
_PEOPLE: Final = ("holder_ref", "credential")
# What was done and by whom; the rows of the book stand in the ledger like all others.
_BOOK: Final = ("values", "reason")
BOOK_TOPIC: Final = "Audit/Entry"
# Who asked for a command or took an alarm in hand, and what was said of it: not for a screen on a wall.
_STAFF: Final = {
    "Command/Requested": ("operator", "reason"),
    "Alarm/Transition": ("operator", "cause", "note"),
}
# Part of the envelope, or shown under another name.
_BESIDE: Final = ("id", "kind", "device", "topic", "stamp", "schema", "source")

_encoder = msgspec.json.Encoder()


def row_view(row: LedgerRow, *, people: bool, book: bool = False) -> dict[str, Any]:
    """snake_case, times in RFC 3339 UTC. people: whether pseudonyms of people may be shown; book: what the book says.

    erased: the body was blanked; what stands beside it stays.
    """
    view: dict[str, Any] = {
        "position": row.position,
        "event_id": row.event_id,
        "campus": row.campus_id,
        "edge": row.edge,
        "device": row.device_id,
        "lane": row.lane.value,
        "epoch": row.epoch,
        "seq": row.seq,
        "kind": row.kind,
        "topic": row.topic,
        "occurred": utc_text(row.occurred_ns),
        "received": utc_text(row.received_ns),
        "clock": row.clock,
        "historical": row.historical,
    }
    if row.source_no is not None:
        view["source"] = {"epoch": row.source_epoch, "record_no": row.source_no}
    if row.body is None:
        view["erased"] = True
        return view
    body: dict[str, Any] = msgspec.json.decode(row.body)
    hidden = (
        *_BESIDE,
        *(() if people else _PEOPLE),
        *(() if book or row.topic != BOOK_TOPIC else _BOOK),
    )
    view.update({name: value for name, value in body.items() if name not in hidden})
    if not people and row.topic in _STAFF:
        staff = _STAFF[row.topic]
        view["values"] = {name: value for name, value in view.get("values", {}).items() if name not in staff}
    return view


def encode_row(row: LedgerRow, *, people: bool, book: bool = False) -> bytes:
    """`row_view` as JSON."""
    return _encoder.encode(row_view(row, people=people, book=book))
