"""Records: the unit of outbox and ledger.

A record is one JSON object with a `kind`. Its stored bytes are made once, on the box, and never re-encoded on the
way; hash and chain are of those bytes. Lane, number and epoch are not inside: they stand beside the record and may
change (a new epoch renumbers), while `id` stays.

Nothing in a record can hold the record, so that Python's search for garbage need not follow it (`gc=False`).
"""

from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Final, Literal

import msgspec

from wire.clock import Stamp
from wire.errors import Malformed
from wire.identity import Chain, EventId, Ref, SourceKey, record_hash
from wire.topics import CAMPUS_NODE, Lane, is_name, lane_of

SCHEMA: Final = 1

Text = Annotated[str, msgspec.Meta(max_length=256)]
Short = Annotated[str, msgspec.Meta(max_length=64)]
Scalar = bool | int | float | Text
Seq = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class CredentialKind(StrEnum):
    """ONVIF identifier types without the `pt:` prefix, with what campus terminals add."""

    CARD = "Card"
    FACE = "Face"
    FINGERPRINT = "Fingerprint"
    PIN = "PIN"
    QR = "QRCode"
    ID_CARD = "IDCard"
    BLE = "BLE"
    OTHER = "Other"


class Credential(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """What was shown to the reader, as a pseudonym. tail: at most four characters for a person to compare."""

    kind: CredentialKind
    ref: Ref | None = None
    tail: Annotated[str, msgspec.Meta(max_length=4)] = ""


class DeviceTime(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The device's own clock, kept as it said it. raw: its text; zone: IANA name used to read it;
    wall_ns: what that gives in UTC, absent when the text cannot be read.
    """

    raw: Short
    zone: Short = ""
    wall_ns: int | None = None


class _Record(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False, tag_field="kind"):
    id: EventId
    device: Annotated[str, msgspec.Meta(max_length=128)]
    stamp: Stamp
    schema: Annotated[int, msgspec.Meta(ge=1)] = SCHEMA


class Event(_Record, frozen=True, kw_only=True, omit_defaults=True, tag="event"):
    """Something that happened, named by a topic.

    device: `<edge>/<name>`, or `<edge>` for the box itself. source: the device's own number, where it has one.
    initialized: a state said again after a (re)start; never rings. replayed: the device marked it as sent again;
    not a device-owned field. values: at most 32 further facts, keys in snake_case.
    """

    topic: Short
    access_point: Short = ""
    reason: Short = ""
    direction: Literal["", "in", "out"] = ""
    credential: Credential | None = None
    holder_ref: Ref | None = None
    device_time: DeviceTime | None = None
    source: SourceKey | None = None
    initialized: bool = False
    replayed: bool = False
    values: Annotated[dict[Short, Scalar], msgspec.Meta(max_length=32)] = {}


class Value(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One device resource's value. quality: `good`, or why not."""

    resource: Short
    value: Scalar | None
    unit: Short = ""
    quality: Literal["good", "stale", "out_of_range", "unknown"] = "good"


class Reading(_Record, frozen=True, kw_only=True, omit_defaults=True, tag="reading"):
    """Measured values of one device at one time."""

    readings: Annotated[tuple[Value, ...], msgspec.Meta(min_length=1, max_length=128)]
    source: SourceKey | None = None


class Outcome(_Record, frozen=True, kw_only=True, omit_defaults=True, tag="outcome"):
    """The one end of a command on one device."""

    command_id: EventId
    result: Literal["succeeded", "rejected", "expired", "unreachable", "unknown"]
    group_id: EventId | None = None
    reason: Text = ""
    executed: Stamp | None = None
    values: Annotated[dict[Short, Scalar], msgspec.Meta(max_length=32)] = {}


class Gap(_Record, frozen=True, kw_only=True, omit_defaults=True, tag="gap"):
    """Stands in a lane for numbers whose records are gone on purpose, so that no hole is unexplained.

    from_seq..to_seq inclusive; count: records dropped, equal to the width of the range unless it held gaps itself;
    chain: the chain at to_seq, from which the lane goes on.
    """

    lane: Lane
    from_seq: Seq
    to_seq: Seq
    count: Annotated[int, msgspec.Meta(ge=0)]
    chain: Chain
    reason: Literal["thinned", "dropped", "retention", "damaged"]


class ClockMark(_Record, frozen=True, kw_only=True, omit_defaults=True, tag="clock"):
    """CLOCK: the wall clock of this boot became known, or stepped. Lets the campus correct earlier records of the boot.

    step_ms: by how much the wall clock moved against the monotonic clock since the last mark.
    """

    step_ms: int = 0


Record = Event | Reading | Outcome | Gap | ClockMark

_encoder = msgspec.json.Encoder(order="deterministic")
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)

RECORD_BYTES_MAX: Final = 16 * 1024


def record_lane(record: Record) -> Lane:
    """The lane a record travels in. Raises UnknownTopic for an event whose topic the table does not hold."""
    match record:
        case Event():
            return lane_of(record.topic)
        case Reading():
            return Lane.T
        case Outcome():
            return Lane.A
        case Gap():
            return record.lane
        case ClockMark():
            return Lane.S


def encode_record(record: Record) -> bytes:
    """The stored bytes of a record: one line of JSON. Raises Malformed when a limit is passed.

    msgspec does not validate what a program constructs, so the bytes are read back once: nothing that the other
    side would refuse is ever numbered.
    """
    try:
        body = _encoder.encode(record)
    except UnicodeEncodeError as error:
        # Half of a surrogate pair, from a device whose text was cut in the middle of a character.
        raise Malformed(f"text that is no Unicode: {error.reason}") from None
    decode_record(body)
    return body


def decode_record(body: bytes) -> Record:
    """A record from its stored bytes. Raises Malformed with the field at fault."""
    if len(body) > RECORD_BYTES_MAX:
        raise Malformed(f"record of {len(body)} bytes; at most {RECORD_BYTES_MAX}")
    try:
        record = _decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from None
    if isinstance(record, Gap) and record.to_seq < record.from_seq:
        raise Malformed("gap ends before it begins - at `$.to_seq`")
    return record


def owner_of(record: Record) -> str:
    """The edge node a record's device belongs to."""
    return record.device.partition("/")[0]


def check_owner(record: Record, edge: str) -> None:
    """Raises Malformed when a box speaks for a device of another box, or names it badly."""
    if _node_of(record.device) != edge:
        raise Malformed(f"device {record.device!r:.80} is not one of {edge!r}")


# A box has as many devices as it has, and each has many records.
@lru_cache(maxsize=4096)
def _node_of(device: str) -> str | None:
    """The node in a well-formed name of a device; None for any other."""
    node, slash, name = device.partition("/")
    well_formed = (is_name(node) or node == CAMPUS_NODE) and (not slash or is_name(name))
    return node if well_formed else None


class _Owned(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False, tag_field="kind"):
    """What a device owns of its record: not id, stamp and schema, which the box adds, nor whether it was sent again.

    source: the device's own number; the count of its restarts is ours. Everything else as in the record.
    """

    device: str
    source: int | None = None


class _OwnedEvent(_Owned, kw_only=True, omit_defaults=True, tag="event"):
    topic: str
    access_point: str = ""
    reason: str = ""
    direction: str = ""
    credential: Credential | None = None
    holder_ref: str | None = None
    device_time: DeviceTime | None = None
    initialized: bool = False
    values: dict[str, Scalar] = {}


class _OwnedReading(_Owned, kw_only=True, omit_defaults=True, tag="reading"):
    readings: tuple[Value, ...]


_owned_encoder = msgspec.json.Encoder(order="sorted")


def fingerprint(record: Event | Reading) -> bytes:
    """16 bytes over the fields that the device owns; equal for every re-send of one device record."""
    source = None if record.source is None else record.source.record_no
    owned: _Owned
    if isinstance(record, Event):
        owned = _OwnedEvent(
            device=record.device,
            source=source,
            topic=record.topic,
            access_point=record.access_point,
            reason=record.reason,
            direction=record.direction,
            credential=record.credential,
            holder_ref=record.holder_ref,
            device_time=record.device_time,
            initialized=record.initialized,
            values=record.values,
        )
    else:
        owned = _OwnedReading(device=record.device, source=source, readings=record.readings)
    return record_hash(_owned_encoder.encode(owned))[:16]
