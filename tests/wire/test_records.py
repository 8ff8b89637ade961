from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.samples import record_lines
from wire.clock import ClockState, Stamp
from wire.errors import Malformed
from wire.identity import SourceKey, record_hash
from wire.records import (
    Credential,
    CredentialKind,
    DeviceTime,
    Event,
    Reading,
    Value,
    check_owner,
    decode_record,
    encode_record,
    fingerprint,
    owner_of,
)


def event() -> Event:
    record = decode_record(record_lines("event")[0])
    assert isinstance(record, Event)
    return record


OTHER_STAMP = Stamp(wall_ns=1, mono_ns=2, boot_id="f" * 32, clock=ClockState.UNSYNCED, error_ms=9)


@pytest.mark.parametrize(
    "change",
    [
        {"id": "f" * 32},
        {"stamp": OTHER_STAMP},
        {"replayed": True},
        {"schema": 2},
        {"source": SourceKey(record_no=4211, epoch=5)},
    ],
)
def test_a_record_sent_again_has_the_same_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint(msgspec.structs.replace(event(), **change)) == fingerprint(event())


@pytest.mark.parametrize(
    "change",
    [
        {"device": "gate-1/face-2"},
        {"topic": "AccessControl/Denied/Credential"},
        {"access_point": "door"},
        {"reason": "Unauthorized"},
        {"direction": "out"},
        {"credential": None},
        {"credential": Credential(kind=CredentialKind.CARD)},
        {"holder_ref": None},
        {"device_time": DeviceTime(raw="2026-09-01 07:55:11", zone="Asia/Shanghai", wall_ns=1_788_220_511_000_000_000)},
        {"source": SourceKey(record_no=4212)},
        {"source": None},
        {"initialized": True},
        {"values": {}},
        {"values": {"similarity": 93.0, "mask": True, "temperature": 36.4, "kind": "automatic", "count": 2}},
    ],
)
def test_whatever_the_device_owns_changes_the_fingerprint(change: dict[str, Any]) -> None:
    assert fingerprint(msgspec.structs.replace(event(), **change)) != fingerprint(event())


def test_the_order_of_values_does_not_change_the_fingerprint_nor_the_bytes() -> None:
    turned = msgspec.structs.replace(event(), values=dict(reversed(event().values.items())))
    assert fingerprint(turned) == fingerprint(event())
    assert encode_record(turned) == encode_record(event())


def test_readings_have_fingerprints_too() -> None:
    first, second = (decode_record(line) for line in record_lines("reading"))
    assert isinstance(first, Reading)
    assert isinstance(second, Reading)
    assert fingerprint(first) != fingerprint(second)
    assert len(fingerprint(first)) == 16
    other = msgspec.structs.replace(first, readings=(*first.readings[1:], Value(resource="temperature", value=21.6)))
    assert fingerprint(other) != fingerprint(first)


def test_a_fingerprint_stays_what_it_is() -> None:
    # It stands in ledgers: a change here makes every re-sent record a second one.
    assert fingerprint(event()).hex() == "96fee13a7d995488c12a92df70d690af"


@pytest.mark.parametrize("device", ["gate-1", "gate-1/face-1"])
def test_a_box_speaks_for_itself_and_its_devices(device: str) -> None:
    record = msgspec.structs.replace(event(), device=device)
    check_owner(record, "gate-1")
    assert owner_of(record) == "gate-1"


@pytest.mark.parametrize(
    "device", ["gate-2/face-1", "gate-2", "", "/face-1", "gate-1/", "gate-1/Face", "gate-1/a/b", "gate-1\n", "@campus"]
)
def test_a_box_speaks_for_nobody_else(device: str) -> None:
    with pytest.raises(Malformed, match="is not one of"):
        check_owner(msgspec.structs.replace(event(), device=device), "gate-1")


def test_line_breaks_in_a_text_never_break_a_line() -> None:
    body = encode_record(msgspec.structs.replace(event(), values={"text": "a\nb\r\u2028"}))
    assert b"\n" not in body
    record = decode_record(body)
    assert isinstance(record, Event)
    assert record.values == {"text": "a\nb\r\u2028"}


def told_field_by_field(record: Event | Reading) -> bytes:
    """What a fingerprint is, in words: all fields of the record without those of the box, its number for its source."""
    owned = msgspec.to_builtins(record)
    for name in ("id", "stamp", "schema", "replayed"):
        owned.pop(name, None)
    if record.source is not None:
        owned["source"] = record.source.record_no
    return record_hash(msgspec.json.Encoder(order="deterministic").encode(owned))[:16]


SCALARS = st.one_of(st.booleans(), st.integers(-(2**53), 2**53), st.floats(allow_nan=False), st.text(max_size=20))
SOURCES = st.none() | st.builds(SourceKey, record_no=st.integers(0, 2**62), epoch=st.integers(0, 3))
EVENTS = st.builds(
    Event,
    id=st.just("0" * 32),
    device=st.sampled_from(["gate-1/face-1", "gate-1"]),
    stamp=st.just(OTHER_STAMP),
    topic=st.sampled_from(["AccessControl/Denied/Credential", "Payment/Sale"]),
    access_point=st.text(max_size=5),
    reason=st.text(max_size=5),
    direction=st.sampled_from(["", "in", "out"]),
    credential=st.none() | st.builds(Credential, kind=st.sampled_from(CredentialKind), tail=st.text(max_size=4)),
    holder_ref=st.none() | st.just("ab" * 16),
    device_time=st.none() | st.builds(DeviceTime, raw=st.text(max_size=9), wall_ns=st.none() | st.integers(0, 2**62)),
    source=SOURCES,
    initialized=st.booleans(),
    replayed=st.booleans(),
    values=st.dictionaries(st.text(max_size=8), SCALARS, max_size=5),
)
QUALITIES = st.sampled_from(["good", "stale", "out_of_range", "unknown"])
VALUES = st.builds(Value, resource=st.text(max_size=9), value=st.none() | SCALARS, quality=QUALITIES)
READINGS = st.builds(
    Reading,
    id=st.just("0" * 32),
    device=st.just("gate-1/meter-1"),
    stamp=st.just(OTHER_STAMP),
    readings=st.lists(VALUES, min_size=1, max_size=4).map(tuple),
    source=SOURCES,
)


@given(EVENTS | READINGS)
def test_a_fingerprint_is_of_all_that_the_device_owns(record: Event | Reading) -> None:
    assert fingerprint(record) == told_field_by_field(record)
