"""Records for a person at a terminal or a program behind a pipe: a line, a JSON object or a CSV row each.

A record comes as the API shows it: a flat object with `occurred`, `device`, `lane`, `kind`, `topic` and what the record
holds. What says who somebody was is never printed, whoever sends it; of a card stand its last characters.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Any, Final, TextIO

from wire.logs import printable, quoted
from wire.pipe import Output

COLUMNS: Final = ("occurred", "edge", "lane", "device", "kind", "topic", "historical", "details")
_BESIDE: Final = frozenset(
    {
        "position", "event_id", "campus", "edge", "device", "lane", "epoch", "seq", "kind", "topic", "occurred",
        "received", "clock", "historical", "source", "device_time", "executed", "schema", "initialized", "replayed",
        "erased", "command_id", "group_id", "chain",
    }
)  # fmt: skip
_PEOPLE: Final = "holder_ref"
# A spreadsheet takes a cell that begins so for a formula.
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


class RecordPrinter:
    """Prints records to a stream, which it flushes when told. zone: of the times in lines, absent the
    machine's; the others say UTC.
    """

    def __init__(self, output: Output, stream: TextIO, zone: tzinfo | None) -> None:
        self._output = output
        self._stream = stream
        self._zone = zone
        if output is Output.CSV:
            self._write_row(COLUMNS)

    def show(self, row: Mapping[str, Any]) -> None:
        """One record."""
        match self._output:
            case Output.LINE:
                self._stream.write(self._line(row) + "\n")
            case Output.JSON:
                self._stream.write(json.dumps(without_people(row), ensure_ascii=False) + "\n")
            case Output.CSV:
                self._write_row([_cell(row, name) for name in COLUMNS])

    def flush(self) -> None:
        """Hand on what was printed. Raises BrokenPipeError when nobody reads any more."""
        self._stream.flush()

    def _line(self, row: Mapping[str, Any]) -> str:
        moment = datetime.fromisoformat(str(row["occurred"])).astimezone(self._zone)
        head = [f"{moment:%m-%d %H:%M:%S}.{moment.microsecond // 1000:03d}", row["lane"], row["device"]]
        marks = [name for name in ("historical", "initialized", "replayed", "erased") if row.get(name)]
        return printable(" ".join([*map(str, head), str(row.get("topic") or row["kind"]), *marks, *details(row)]))

    def _write_row(self, cells: Any) -> None:  # noqa: ANN401  whatever csv takes
        line = io.StringIO()
        csv.writer(line, lineterminator="\r\n").writerow(cells)
        self._stream.write(line.getvalue())


def details(row: Mapping[str, Any]) -> Iterator[str]:
    """What the record holds, as `name=value`."""
    for name, value in row.items():
        if name in _BESIDE or name == _PEOPLE or value in ("", None):
            continue
        if name == "credential":
            tail = f":…{value['tail']}" if value.get("tail") else ""
            yield f"credential={quoted(value['kind'] + tail)}"
        elif name == "readings":
            yield from (_reading(one) for one in value)
        elif name == "values":
            yield from (f"{key}={quoted(_plain(one))}" for key, one in value.items())
        else:
            yield f"{name}={quoted(_plain(value))}"


def without_people(row: Mapping[str, Any]) -> dict[str, Any]:
    """The record without pseudonyms of people and credentials."""
    kept = {name: value for name, value in row.items() if name != _PEOPLE}
    if "credential" in kept:
        kept["credential"] = {name: value for name, value in kept["credential"].items() if name != "ref"}
    return kept


def _reading(one: Mapping[str, Any]) -> str:
    quality = one.get("quality", "good")
    mark = "" if quality == "good" else f"({quality})"
    return f"{one['resource']}={quoted(_plain(one['value']))}{one.get('unit', '')}{mark}"


def _plain(value: object) -> object:
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "-"}[value]
    return f"{value:.10g}" if isinstance(value, float) else value


def _cell(row: Mapping[str, Any], name: str) -> str:
    if name == "details":
        text = " ".join(details(row))
    else:
        value = row.get(name, "")
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return f"'{text}" if text.startswith(_FORMULA) else text
