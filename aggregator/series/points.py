"""Ledger rows to points. Pure.

    reading   tags campus, device, resource   fields value (float) | flag (bool) | text, and quality
    event     tags campus, device, topic      fields position, historical, late_ms
    outcome   tags campus, device, result     fields position

One reading of several resources gives a point for each; one event gives one. An integer and a float become one kind of
field, because a store refuses a series that changes its type. Text of a device is a state or a code, at most 256
characters, from a reading; of an event nothing but its topic goes here.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from aggregator.ledger import LedgerRow, record_of
from wire.errors import Malformed
from wire.records import Outcome, Reading, Value

NS_PER_MS: Final = 1_000_000

Field = bool | int | float | str


@dataclass(frozen=True, slots=True)
class Point:
    """One point. tags: in the order of their names, none empty; time_ns: UTC since 1970."""

    measurement: str
    tags: tuple[tuple[str, str], ...]
    fields: Mapping[str, Field]
    time_ns: int


def points_of(row: LedgerRow) -> list[Point]:
    """The points of one row; none for kinds without a curve, and for a row whose body was blanked."""
    if row.series_time_ns is None or row.body is None:
        return []
    if row.kind == "event":
        # What of it goes here stands in the row.
        return [_event(row, row.series_time_ns)]
    try:
        record = record_of(row)
    except Malformed:
        return []
    match record:
        case Reading():
            return list(_readings(row, record, row.series_time_ns))
        case Outcome():
            tags = (("campus", row.campus_id), ("device", row.device_id), ("result", record.result))
            return [Point("outcome", tags, {"position": row.position}, row.series_time_ns)]
        case _:
            return []


def _event(row: LedgerRow, time_ns: int) -> Point:
    tags = (("campus", row.campus_id), ("device", row.device_id), ("topic", row.topic))
    fields: dict[str, Field] = {"position": row.position, "historical": row.historical}
    if row.received_ns >= row.occurred_ns:
        fields["late_ms"] = (row.received_ns - row.occurred_ns) // NS_PER_MS
    return Point("event", tags, fields, time_ns)


def _readings(row: LedgerRow, reading: Reading, time_ns: int) -> Iterator[Point]:
    for value in reading.readings:
        fields = _value(value)
        if fields:
            tags = (("campus", row.campus_id), ("device", row.device_id), ("resource", value.resource))
            yield Point("reading", tags, fields, time_ns)


def _value(value: Value) -> dict[str, Field]:
    fields: dict[str, Field] = {}
    match value.value:
        case bool():
            fields["flag"] = value.value
        case int() | float():
            fields["value"] = float(value.value)
        case str():
            fields["text"] = value.value
        case None:
            # A value that could not be had: the gap in the curve has a reason.
            pass
    fields["quality"] = value.quality
    return fields
