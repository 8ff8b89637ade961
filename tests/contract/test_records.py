import json
from typing import Any, get_args

import msgspec
import pytest

from device_profiles.vocabulary import STATES
from tests.contract.samples import FOLDER, record_lines
from wire import records
from wire.clock import ClockState
from wire.errors import Malformed
from wire.records import CredentialKind, Event, Gap, Outcome, Reading, Record, Value, decode_record, encode_record


def choices(struct: type, field: str) -> set[Any]:
    """The closed list of values a field may have."""
    hints = {one.name: one.type for one in msgspec.structs.fields(struct)}
    return set(get_args(hints[field]))


def told(kind: str) -> list[Any]:
    return [decode_record(line) for line in record_lines(kind)]


def test_every_kind_of_record_has_samples() -> None:
    tags = {msgspec.inspect.type_info(kind).tag for kind in get_args(Record)}
    assert tags == {path.stem for path in (FOLDER / "records").glob("*.jsonl")}
    assert all(json.loads(line)["kind"] == tag for tag in tags for line in record_lines(tag))


@pytest.mark.parametrize("line", record_lines())
def test_a_sample_is_understood_and_written_again_as_the_same_bytes(line: bytes) -> None:
    assert encode_record(decode_record(line)) == line


def test_the_samples_show_every_field_of_every_kind() -> None:
    shown: dict[str, set[str]] = {}
    for line in record_lines():
        told_fields = json.loads(line)
        shown.setdefault(told_fields.pop("kind"), {"schema"}).update(told_fields)
    for kind in get_args(Record):
        fields = {field.encode_name for field in msgspec.structs.fields(kind)}
        assert shown[msgspec.inspect.type_info(kind).tag] == fields


def test_the_samples_show_every_word_of_the_closed_lists() -> None:
    events, gaps, outcomes, readings = told("event"), told("gap"), told("outcome"), told("reading")
    assert {one.credential.kind for one in events if one.credential} == set(CredentialKind)
    assert {one.stamp.clock for one in events} == set(ClockState)
    assert {one.direction for one in events} == choices(Event, "direction")
    assert {one.reason for one in gaps} == choices(Gap, "reason")
    assert {one.result for one in outcomes} == choices(Outcome, "result")
    assert {value.quality for one in readings for value in one.readings} == choices(Value, "quality")
    scalars = {type(value) for one in events for value in one.values.values()}
    assert scalars == {bool, int, float, str}
    assert all(isinstance(one, Reading) for one in readings)


@pytest.mark.parametrize("line", record_lines())
def test_a_field_of_a_later_version_is_passed_over(line: bytes) -> None:
    assert decode_record(line[:-1] + b',"later":{"x":[1]}}') == decode_record(line)


@pytest.mark.parametrize(
    ("change", "told_of"),
    [
        ({"kind": "later"}, "kind"),
        ({"kind": None}, "kind"),
        ({"id": "0" * 31}, "id"),
        ({"id": "G" * 32}, "id"),
        ({"id": "a" * 32 + "\n"}, "id"),
        ({"device": "x" * 129}, "device"),
        ({"topic": 7}, "topic"),
        ({"topic": "t" * 65}, "topic"),
        ({"direction": "up"}, "direction"),
        ({"values": {str(number): 1 for number in range(33)}}, "values"),
        ({"values": {"x": "y" * 257}}, "values"),
        ({"values": {"x": None}}, "values"),
        ({"values": {"x": [1]}}, "values"),
        ({"credential": {"kind": "Card", "tail": "12345"}}, "tail"),
        ({"credential": {"kind": "Retina"}}, "kind"),
        ({"source": {"record_no": -1}}, "record_no"),
        ({"source": {"record_no": 2**63}}, "record_no"),
        ({"schema": 0}, "schema"),
        ({"stamp": None}, "stamp"),
        ({"initialized": 1}, "initialized"),
    ],
)
def test_what_breaks_a_limit_is_refused_with_the_field_at_fault(change: dict[str, Any], told_of: str) -> None:
    line = json.dumps({**json.loads(record_lines("event")[0]), **change}).encode()
    with pytest.raises(Malformed, match=told_of):
        decode_record(line)


def test_a_number_that_json_calls_a_float_is_no_count() -> None:
    line = record_lines("event")[0].replace(b'"record_no":4211', b'"record_no":4211.5')
    with pytest.raises(Malformed, match="record_no"):
        decode_record(line)


@pytest.mark.parametrize("text", [b"NaN", b"Infinity", b"-Infinity", b"1e999"])
def test_a_value_that_is_no_number_is_refused(text: bytes) -> None:
    with pytest.raises(Malformed):
        decode_record(record_lines("event")[0].replace(b"93.0", text))


def test_a_record_longer_than_the_limit_is_refused_before_it_is_read() -> None:
    line = record_lines("event")[0]
    padded = line + b" " * (records.RECORD_BYTES_MAX - len(line))
    assert decode_record(padded) == decode_record(line)
    with pytest.raises(Malformed, match="at most 16384"):
        decode_record(padded + b" ")


def test_a_gap_that_ends_before_it_begins_is_refused() -> None:
    gap = json.loads(record_lines("gap")[0])
    gap["to_seq"] = gap["from_seq"] - 1
    with pytest.raises(Malformed, match="ends before it begins"):
        decode_record(json.dumps(gap).encode())


def test_what_the_other_side_would_refuse_is_not_written_either() -> None:
    event = decode_record(record_lines("event")[0])
    assert isinstance(event, Event)
    with pytest.raises(Malformed, match="topic"):
        encode_record(msgspec.structs.replace(event, topic="t" * 65))
    with pytest.raises(Malformed):
        encode_record(msgspec.structs.replace(event, values={"x": float("nan")}))
    with pytest.raises(Malformed, match="surrogates"):
        encode_record(msgspec.structs.replace(event, values={"x": "\ud83d"}))


def test_a_sample_that_tells_a_state_tells_it_in_the_words_that_profiles_may_use() -> None:
    states = [(event.topic, event.values.get("state")) for event in told("event") if event.topic in STATES]
    assert states
    assert [(topic, state) for topic, state in states if state not in STATES[topic]] == []
