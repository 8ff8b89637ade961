"""The book: everything the outbox knows about itself, in one small document.

It is written in the transaction whose effect it counts, so counters and heads can never disagree with the rows for
longer than a crash can last, which is not at all. One document instead of a table of settings, because a digest over
the whole of it makes a flipped bit in an epoch or a counter as visible as one in a record.
"""

from copy import copy
from typing import Final, TypeVar

import msgspec

from wire.clock import Stamp
from wire.identity import CHAIN_START, Epoch, record_hash
from wire.topics import LANES, Lane

SCHEMA: Final = 1
DIGEST_BYTES: Final = 8

# The lane's place in the upper bits of a row's key. Order is priority: what is saved first from a damaged file.
LANE_NO: Final = {lane: number for number, lane in enumerate(LANES)}
SEQ_BITS: Final = 56
SEQ_MASK: Final = (1 << SEQ_BITS) - 1


class LaneBook(msgspec.Struct, omit_defaults=True):
    """One lane. Rows kept are those with base < seq <= last; those through acked are kept only for retention.

    base_chain, chain, acked_chain: the chain at base, last, acked. base_stamp: when base last moved.
    kept: records kept, GAP rows not counted. body_bytes: of all rows. thinned, swept: how far eviction has looked.
    accepted = acknowledged + queued + sum(dropped) + quarantined, always.
    """

    base: int = 0
    base_chain: bytes = CHAIN_START
    base_stamp: Stamp | None = None
    last: int = 0
    chain: bytes = CHAIN_START
    acked: int = 0
    acked_chain: bytes = CHAIN_START
    kept: int = 0
    body_bytes: int = 0
    thinned: int = 0
    swept: int = 0
    accepted: int = 0
    acknowledged: int = 0
    queued: int = 0
    quarantined: int = 0
    dropped: dict[str, int] = {}

    def drop(self, reason: str, count: int) -> None:
        """Count records given up. The dict is replaced, never changed: drafts of the book share it."""
        self.dropped = {**self.dropped, reason: self.dropped.get(reason, 0) + count}

    @property
    def balanced(self) -> bool:
        """Whether the counters add up."""
        return self.accepted == self.acknowledged + self.queued + sum(self.dropped.values()) + self.quarantined


class ForkedLane(msgspec.Struct, omit_defaults=True):
    """How far renumbering has come in one lane: old number and chain, new number and chain."""

    old: int
    old_chain: bytes
    new: int = 0
    new_chain: bytes = CHAIN_START


class Forking(msgspec.Struct):
    """A renumbering under way. Found at start, it is carried on."""

    epoch: Epoch
    reason: str
    lanes: dict[Lane, ForkedLane]


class Book(msgspec.Struct, omit_defaults=True, kw_only=True):
    """The outbox as a whole. schema is always written, so that every version can read it.

    commit: number of transactions since the file was made. run_ns: how long the box has run with this file, by the
    monotonic clock: the age that retention goes by, because no step of the wall clock moves it.
    first_device_epoch: where the epoch of a device begins that this file has not met yet; above zero only in a file
    that replaced a damaged one. tally: what is counted but is no record of this outbox (repeats, refusals).
    """

    schema: int
    edge: str
    epoch: Epoch
    lanes: dict[Lane, LaneBook]
    previous_epoch: Epoch | None = None
    fork_reason: str = ""
    commit: int = 0
    run_ns: int = 0
    first_device_epoch: int = 0
    tally: dict[str, int] = {}
    forking: Forking | None = None

    def draft(self) -> "Book":
        """A copy to change in a transaction."""
        fresh = copy(self)
        fresh.lanes = {lane: copy(book) for lane, book in self.lanes.items()}
        fresh.tally = dict(self.tally)
        return fresh

    def count(self, what: str, by: int = 1) -> None:
        """Add to the tally."""
        self.tally[what] = self.tally.get(what, 0) + by


class Space(msgspec.Struct, frozen=True, omit_defaults=True):
    """How far a device has counted in one of its spaces of record numbers.

    epoch: restarts of the count so far. max_no, max_wall_ns: the highest number of this epoch and the device's time of
    that record. top_no: the highest number of any epoch; above it nothing can be a repeat. -1: none yet.
    """

    epoch: int
    max_no: int = -1
    max_wall_ns: int | None = None
    top_no: int = -1


class Device(msgspec.Struct, frozen=True, omit_defaults=True):
    """A device that has records here."""

    name: str
    spaces: dict[int, Space] = {}


class _Versioned(msgspec.Struct):
    schema: int


D = TypeVar("D", Book, Device)
_encoder = msgspec.json.Encoder()


def digest(body: bytes) -> bytes:
    """What a stored body is verified by on its own."""
    return record_hash(body)[:DIGEST_BYTES]


def new_book(edge: str, epoch: str) -> Book:
    """The book of an empty outbox."""
    return Book(schema=SCHEMA, edge=edge, epoch=epoch, lanes={lane: LaneBook() for lane in LANES})


def encode(document: Book | Device) -> bytes:
    """The stored bytes."""
    return _encoder.encode(document)


def decode(body: bytes, kind: type[D]) -> D:
    """Raises ValueError when body is not such a document."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def schema_of(body: bytes) -> int:
    """The schema number of a book of any version. Raises ValueError."""
    try:
        return msgspec.json.decode(body, type=_Versioned).schema
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from None


def key_of(lane: Lane, seq: int) -> int:
    """The key of a row."""
    return LANE_NO[lane] << SEQ_BITS | seq
