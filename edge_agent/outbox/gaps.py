"""GAP records: what stands in a lane for numbers whose records are gone on purpose.

A gap is kept as a short note (why, when) beside the numbers it covers; the record itself is made when it is read. So
merging two gaps costs nothing, a gap may be cut where a reader stands in the middle of it, and the same cut gives the
same record with the same id however often it is asked for.
"""

from typing import Literal

import msgspec

from wire.clock import Stamp
from wire.identity import derived_id
from wire.records import Gap, encode_record
from wire.topics import Lane

Reason = Literal["thinned", "dropped", "retention"]


class GapNote(msgspec.Struct, frozen=True):
    """The body of a GAP row."""

    reason: Reason
    stamp: Stamp


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(GapNote)


def encode_note(note: GapNote) -> bytes:
    """The stored bytes of a note."""
    return _encoder.encode(note)


def decode_note(body: bytes) -> GapNote:
    """Raises ValueError."""
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def gap_body(
    note: GapNote, *, edge: str, epoch: str, lane: Lane, first: int, through: int, count: int, chain: bytes
) -> bytes:
    """The bytes of the GAP record for first..through. chain: the lane's chain at through."""
    gap = Gap(
        id=derived_id("gap", epoch, lane, first, through),
        device=edge,
        stamp=note.stamp,
        lane=lane,
        from_seq=first,
        to_seq=through,
        count=min(count, through - first + 1),
        chain=chain.hex(),
        reason=note.reason,
    )
    return encode_record(gap)
