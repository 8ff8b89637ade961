import msgspec
import pytest

from aggregator.series import points_of
from tests.series.making import STAMP, T0, passage, reading, row
from wire.records import Outcome, Value


def test_a_reading_gives_a_point_for_each_resource_at_the_time_the_ledger_gave_it() -> None:
    points = points_of(row(reading(Value(resource="temperature", value=21.5), Value(resource="door", value=True))))
    assert [(point.measurement, dict(point.tags)["resource"], dict(point.fields)) for point in points] == [
        ("reading", "temperature", {"value": 21.5, "quality": "good"}),
        ("reading", "door", {"flag": True, "quality": "good"}),
    ]
    assert {point.time_ns for point in points} == {T0}


@pytest.mark.parametrize(("value", "fields"), [(7, {"value": 7.0}), ("Open", {"text": "Open"}), (None, {})])
def test_a_whole_number_is_a_float_text_is_text_and_no_value_leaves_its_reason(
    value: int | str | None, fields: dict[str, object]
) -> None:
    (point,) = points_of(row(reading(Value(resource="x", value=value, quality="stale"))))
    assert dict(point.fields) == {**fields, "quality": "stale"}
    assert all(type(one) is type(fields[name]) for name, one in point.fields.items() if name in fields)


def test_nothing_of_a_person_is_in_a_point() -> None:
    (point,) = points_of(row(passage()))
    text = repr(point)
    for secret in ("ab" * 16, "cd" * 16, "9876", "Card", "36.5"):
        assert secret not in text
    assert dict(point.fields) == {"position": 1, "historical": False, "late_ms": 1000}


def test_an_outcome_is_a_point_of_its_device() -> None:
    outcome = Outcome(id="b" * 32, device="gate-1/face-1", stamp=STAMP, command_id="c" * 32, result="unknown")
    (point,) = points_of(row(outcome))
    assert (point.measurement, dict(point.tags)["result"]) == ("outcome", "unknown")


def test_a_blanked_row_or_one_without_a_time_has_no_point() -> None:
    assert points_of(row(passage(), time_ns=None)) == []
    one = row(passage())
    assert points_of(type(one)(**{f: getattr(one, f) for f in one.__slots__ if f != "body"}, body=None)) == []
    assert msgspec.json.encode(T0)
