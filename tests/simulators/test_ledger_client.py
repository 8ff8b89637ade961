from typing import Any

import pytest

from simulators.campus.ledger_client import caught_up, measured_in, stored_of
from simulators.compare import Stored


def item(topic: str, **more: Any) -> dict[str, Any]:
    return {"event_id": "e1", "device": "gate-1/face-01", "kind": "event", "topic": topic, **more}


def test_a_row_of_the_api_becomes_what_is_compared() -> None:
    row = item(
        "AccessControl/AccessGranted/Credential",
        source={"epoch": 3, "record_no": 4211},
        device_time={"raw": "2026-09-01 07:55:10", "zone": "Asia/Shanghai"},
    )
    granted = "AccessControl/AccessGranted/Credential"
    assert list(stored_of([row])) == [Stored("e1", "gate-1/face-01", "2026-09-01 07:55:10", 4211, granted)]


def test_what_a_device_said_once_has_no_number_and_may_have_no_time() -> None:
    found = list(stored_of([item("Door/State/DoorAlarm", values={"state": "Normal"})]))
    assert found == [Stored("e1", "gate-1/face-01", "", topic="Door/State/DoorAlarm", state="Normal")]


def test_states_that_the_box_derives_and_other_kinds_are_passed_over() -> None:
    rows = [item("Device/State/Operating"), item("Device/State/Info"), {**item(""), "kind": "gap"}]
    assert list(stored_of(rows)) == []
    assert list(stored_of([item("Door/State/DoorPhysicalState", initialized=True)])) == []


def test_measured_values_are_counted() -> None:
    reading = {"kind": "reading", "readings": [{"resource": "voltage", "value": 230.2}, {"resource": "current"}]}
    assert measured_in([reading, item("Device/Alarm"), reading]) == 4


@pytest.mark.parametrize(
    ("readers", "position", "done"),
    [({"registry": 7, "series": 7}, 7, True), ({"registry": 7, "series": 6}, 7, False), ({"registry": 0}, None, True)],
)
async def test_readers_have_caught_up_when_each_has_the_last_row(
    readers: dict[str, int], position: int | None, done: bool
) -> None:
    class Api:
        async def get(self, path: str, **query: str | int) -> dict[str, Any]:
            if path == "/api/v1/health":
                return {"readers": {name: {"position": at} for name, at in readers.items()}}
            assert query == {"order": "desc", "limit": 1}
            return {"items": [] if position is None else [{"position": position}]}

    assert await caught_up(Api()) is done  # type: ignore[arg-type]  # as much of it as is used
