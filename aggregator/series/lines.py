"""Points as InfluxDB line protocol. Pure, and by hand: the client library's point objects cost ten times as much.

A float that is no number would be refused with the whole batch, so it is left out; a point without fields is none.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from aggregator.series.points import Field, Point

_KEY: Final = str.maketrans({",": r"\,", " ": r"\ ", "=": r"\=", "\n": r"\ ", "\r": r"\ "})
_TEXT: Final = str.maketrans({'"': r"\"", "\\": r"\\", "\n": " ", "\r": " "})


def lines(points: Iterable[Point]) -> list[str]:
    """One line for each point that has a field."""
    return [line for point in points if (line := _line(point))]


def _line(point: Point) -> str:
    fields = ",".join(
        f"{name.translate(_KEY)}={text}" for name, value in point.fields.items() if (text := _field(value)) is not None
    )
    return f"{_head(point.measurement, point.tags)} {fields} {point.time_ns}" if fields else ""


@lru_cache(maxsize=16_384)
def _head(measurement: str, tags: tuple[tuple[str, str], ...]) -> str:
    # A backslash at the end of a value would escape what follows it.
    parts = [f"{_tag(name)}={_tag(value)}" for name, value in tags if value]
    return ",".join([_tag(measurement), *parts])


def _tag(text: str) -> str:
    return text.translate(_KEY).rstrip("\\") or "_"


def _field(value: Field) -> str | None:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}i"
        case float():
            return repr(value) if math.isfinite(value) else None
        case str():
            return f'"{value.translate(_TEXT)}"'
