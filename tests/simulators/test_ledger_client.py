from typing import Any

from simulators.campus.ledger_client import stored_of
from simulators.compare import Stored


def item(topic: str, **more: Any) -> dict[str, Any]:
    return {"event_id": "e1", "device": "gate-1/face-01", "kind": "event", "topic": topic, **more}


def test_a_row_of_the_api_becomes_what_is_compared() -> None:
    row = item(
        "AccessControl/AccessGranted/Credential",
        source={"epoch": 3, "record_no": 4211},
        device_time={"raw": "2026-09-01 07:55:10", "zone": "Asia/Shanghai"},
    )
    assert list(stored_of([row])) == [Stored("e1", "gate-1/face-01", "2026-09-01 07:55:10", 4211)]


def test_what_a_device_said_once_has_no_number_and_may_have_no_time() -> None:
    assert list(stored_of([item("Device/Alarm")])) == [Stored("e1", "gate-1/face-01", "")]


def test_states_that_the_box_derives_and_other_kinds_are_passed_over() -> None:
    rows = [item("Device/State/Operating"), item("Device/State/Info"), {**item(""), "kind": "gap"}]
    assert list(stored_of(rows)) == []
