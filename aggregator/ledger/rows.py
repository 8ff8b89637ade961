"""What goes into the ledger and what comes out of it.

Arrival and LedgerRow are structs of msgspec where everything else is a dataclass: one of each is made for every record
of the campus, and a frozen dataclass of that many fields costs six times as much.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from wire.clock import ClockState, Stamp
from wire.identity import CHAIN_START
from wire.records import Record, decode_record
from wire.topics import Lane

# SQLite and PostgreSQL both end here; whatever a box says is brought below it before it meets a column.
INTEGER_MAX: Final = 2**63 - 1


class Mark(NamedTuple):
    """How far a lane of an epoch is committed. chain: 16 bytes, the chain at through."""

    through: int
    chain: bytes


START: Final = Mark(0, CHAIN_START)


class LedgerRow(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One record in the ledger.

    position: 1, 2, 3 … over everything, without a gap. seq..through: the numbers it covers in its lane, more than one
    only for a GAP. topic: empty unless kind is `event`. source_no, source_epoch, fingerprint: present when the device
    numbers its own records. occurred_ns: the device's clock where it could be read, else the box's; stamp_ns, mono_ns,
    boot_id, clock, error_ms: the box's stamp, kept beside the body for later correction of unsynchronised boots.
    age_ns: how old it was when it was sent, by the box's monotonic clock; absent when it was of an earlier boot.
    historical: older than 30 s then. series_time_ns: time of its point in the series store, unique per
    device and never changed; absent for kinds that have no point. hash: 32 bytes over the body. body: absent once
    blanked; everything else stays.
    """

    position: int
    campus_id: str
    edge: str
    epoch: str
    lane: Lane
    seq: int
    through: int
    event_id: str
    device_id: str
    kind: str
    topic: str
    source_epoch: int | None
    source_no: int | None
    fingerprint: bytes | None
    occurred_ns: int
    received_ns: int
    stamp_ns: int
    mono_ns: int
    boot_id: str
    clock: ClockState
    error_ms: int
    age_ns: int | None
    historical: bool
    series_time_ns: int | None
    hash: bytes
    chain: bytes
    body: bytes | None


# Admission reads a record first; each reader of the ledger asks for the same one shortly after.
decoded = lru_cache(maxsize=2048)(decode_record)


def record_of(row: LedgerRow) -> Record | None:
    """The record of a row; None when its body was blanked. Raises Malformed."""
    return None if row.body is None else decoded(row.body)


class Refusal(StrEnum):
    """Why a record's bytes were set aside instead of becoming a row."""

    MALFORMED = "malformed"  # the bytes are no record
    TOPIC = "topic"  # an event topic this version does not know
    OWNER = "owner"  # a box spoke for a device of another box
    LANE = "lane"  # not of the lane it came in
    CONFLICT = "conflict"  # another record has this identity and other content


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """One record of a batch as admission read it. chain: the chain at through. record: absent when refused.

    age_ns: when it was sent, by the box's monotonic clock; absent when the record is of another boot.
    """

    seq: int
    through: int
    body: bytes
    hash: bytes
    chain: bytes
    record: Record | None
    refusal: Refusal | None
    age_ns: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """A contiguous piece of one lane, to be taken whole or not at all. before: the chain at first - 1."""

    edge: str
    epoch: str
    lane: Lane
    first: int
    before: bytes
    arrivals: Sequence[Arrival]


@dataclass(frozen=True, slots=True)
class AdmissionGroup:
    """Runs that are committed together. received: when, by the campus's clock."""

    runs: Sequence[Run]
    received: Stamp


class Fate(StrEnum):
    """What became of a run."""

    TAKEN = "taken"
    IGNORED = "ignored"  # does not begin at the next number
    FORKED = "forked"  # begins there, but with another history


class RunResult(NamedTuple):
    """mark: where the lane stands after this run, whatever its fate."""

    fate: Fate
    mark: Mark


@dataclass(frozen=True, slots=True)
class AdmissionResult:
    """One result per run, in order. head: the highest position committed."""

    runs: Sequence[RunResult]
    head: int


@dataclass(frozen=True, slots=True)
class Repeat:
    """A number whose record the ledger already held under another number, at position. It costs no position."""

    edge: str
    epoch: str
    lane: Lane
    seq: int
    through: int
    hash: bytes
    chain: bytes
    position: int
    gap: bool


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A number whose bytes could not become a row. raw: at most 16 KiB of them; length: of all of them."""

    edge: str
    epoch: str
    lane: Lane
    seq: int
    reason: Refusal
    hash: bytes
    chain: bytes
    length: int
    raw: bytes
    received_ns: int


class Standing(StrEnum):
    """How an epoch that says hello stands to what the ledger knew of its edge."""

    FIRST = "first"  # the edge was not known
    CURRENT = "current"
    NEW = "new"  # the edge had another epoch until now
    RETURNED = "returned"  # an epoch that another one had replaced


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeEpoch:
    """One history of one box. previous and reason: as the box said them."""

    edge: str
    epoch: str
    first_seen_ns: int
    previous: str | None
    reason: str
    current: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenEpoch:
    """What a hello asks of the ledger. numbers: one number per lane whose chain the caller wants to compare."""

    edge: str
    epoch: str
    previous: str | None = None
    reason: str = ""
    numbers: Mapping[Lane, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Opening:
    """Answer to OpenEpoch. marks: one per lane, START where nothing is known. chains: at the numbers asked for,
    absent where the ledger has no row that ends there.
    """

    standing: Standing
    marks: Mapping[Lane, Mark]
    chains: Mapping[Lane, bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which rows a page shows; absent means any.

    topic: a topic, or its first segments (`AccessControl`, `Door/State`). since_ns, until_ns: of occurred_ns,
    from inclusive, to exclusive.
    """

    device_id: str | None = None
    edge: str | None = None
    topic: str | None = None
    lane: Lane | None = None
    kind: str | None = None
    since_ns: int | None = None
    until_ns: int | None = None
    historical: bool | None = None


class Tally(NamedTuple):
    """A counter that survives restarts. name: stored, repeat, conflict, quarantined, gone."""

    edge: str
    lane: Lane
    name: str
    value: int
