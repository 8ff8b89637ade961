"""Records as a command prints them."""

import csv
import io
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from wire.pipe import Output
from wire.record_lines import COLUMNS, RecordPrinter

ZONE = ZoneInfo("Asia/Shanghai")
PASSAGE: dict[str, Any] = {
    "position": 41,
    "event_id": "ab" * 16,
    "edge": "gate-1",
    "device": "gate-1/face-1",
    "lane": "D",
    "kind": "event",
    "topic": "AccessControl/Denied/Credential",
    "occurred": "2026-09-01T23:55:10.123456Z",
    "historical": True,
    "reason": "CredentialNotActive",
    "credential": {"kind": "Card", "ref": "cd" * 16, "tail": "9876"},
    "holder_ref": "ef" * 16,
    "values": {"temperature": 36.5, "masked": False},
}
READING: dict[str, Any] = {
    "edge": "hall-1",
    "device": "hall-1/climate-1",
    "lane": "T",
    "kind": "reading",
    "topic": "",
    "occurred": "2026-09-01T00:00:00.000000Z",
    "readings": [
        {"resource": "temperature", "value": 21.50, "unit": "°C"},
        {"resource": "humidity", "value": None, "quality": "stale"},
    ],
}


def printed(output: Output, *rows: dict[str, Any]) -> str:
    stream = io.StringIO()
    printer = RecordPrinter(output, stream, ZONE)
    for row in rows:
        printer.show(row)
    return stream.getvalue()


def test_a_line_has_the_time_of_the_place_and_what_the_record_holds() -> None:
    assert printed(Output.LINE, PASSAGE, READING).splitlines() == [
        "09-02 07:55:10.123 D gate-1/face-1 AccessControl/Denied/Credential historical reason=CredentialNotActive"
        " credential=Card:…9876 temperature=36.5 masked=false",
        "09-01 08:00:00.000 T hall-1/climate-1 reading temperature=21.5°C humidity=-(stale)",
    ]


def test_json_is_one_object_a_line() -> None:
    first, second = (json.loads(line) for line in printed(Output.JSON, PASSAGE, READING).splitlines())
    assert first["position"] == 41
    assert first["credential"] == {"kind": "Card", "tail": "9876"}
    assert second == READING


def test_csv_has_a_head_and_no_formulas() -> None:
    odd = {**READING, "device": "=cmd|'x'!A1", "readings": [{"resource": "text", "value": 'a "quoted", text\nnext'}]}
    head, first, second = csv.reader(io.StringIO(printed(Output.CSV, PASSAGE, odd), newline=""))
    assert tuple(head) == COLUMNS
    assert first[:6] == ["2026-09-01T23:55:10.123456Z", "gate-1", "D", "gate-1/face-1", "event", PASSAGE["topic"]]
    assert first[6] == "true"
    assert second[3] == "'=cmd|'x'!A1"
    assert second[7] == 'text="a \\"quoted\\", text\\nnext"'


@pytest.mark.parametrize("output", Output)
def test_who_somebody_was_is_never_printed(output: Output) -> None:
    text = printed(output, PASSAGE)
    assert "9876" in text
    assert "cdcd" not in text
    assert "efef" not in text


def test_what_is_foreign_does_not_speak_to_the_terminal() -> None:
    odd = {**PASSAGE, "topic": "x\x1b[2J", "values": {"k\r\n": "\x1b]0;title\x07"}}
    (line,) = printed(Output.LINE, odd).splitlines()
    assert line.isprintable()
