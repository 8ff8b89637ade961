"""Rows and points for the tests of the series."""

from aggregator.ledger import LedgerRow
from aggregator.series import Point
from wire.clock import NS_PER_S, ClockState, Stamp
from wire.identity import record_hash
from wire.records import Credential, CredentialKind, Event, Outcome, Reading, Value, encode_record
from wire.topics import Lane

DEVICE = "hall-1/climate-1"
T0 = 1_788_220_800 * NS_PER_S
STAMP = Stamp(wall_ns=T0, mono_ns=1, boot_id="b0" * 16, clock=ClockState.SYNCED, error_ms=1)


KINDS = {Event: "event", Reading: "reading", Outcome: "outcome"}


def row(record: Event | Reading | Outcome, *, position: int = 1, time_ns: int | None = T0) -> LedgerRow:
    body = encode_record(record)
    return LedgerRow(
        position=position,
        campus_id="demo-school",
        edge="hall-1",
        epoch="e" * 32,
        lane=Lane.T,
        seq=position,
        through=position,
        event_id=record.id,
        device_id=record.device,
        kind=KINDS[type(record)],
        topic=record.topic if isinstance(record, Event) else "",
        source_epoch=None,
        source_no=None,
        fingerprint=None,
        occurred_ns=T0,
        received_ns=T0 + NS_PER_S,
        stamp_ns=T0,
        mono_ns=1,
        boot_id=STAMP.boot_id,
        clock=ClockState.SYNCED,
        error_ms=1,
        age_ns=0,
        historical=False,
        series_time_ns=time_ns,
        hash=record_hash(body),
        chain=b"c" * 16,
        body=body,
    )


def reading(*values: Value, number: int = 1) -> Reading:
    return Reading(id=f"{number:032x}", device=DEVICE, stamp=STAMP, readings=values)


def passage() -> Event:
    return Event(
        id="a" * 32,
        device="gate-1/face-1",
        stamp=STAMP,
        topic="AccessControl/AccessGranted/Credential",
        credential=Credential(kind=CredentialKind.CARD, ref="cd" * 16, tail="9876"),
        holder_ref="ab" * 16,
        values={"temperature": 36.5},
    )


def measured(value: float, at_s: float, *, resource: str = "temperature", quality: str = "good") -> Point:
    tags = (("campus", "demo-school"), ("device", DEVICE), ("resource", resource))
    return Point("reading", tags, {"value": value, "quality": quality}, T0 + int(at_s * NS_PER_S))
