from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.campus.tracking import Tracker
from simulators.compare import Stored
from simulators.device import Kept, Moment, RecordKey
from simulators.journal import JournalWriter
from tests.simulators.test_compare import DEVICES


@pytest.fixture
def tracker(tmp_path: Path) -> Iterator[Tracker]:
    with JournalWriter(tmp_path / "journal.jsonl") as writer:
        yield Tracker(writer, DEVICES)


def made(number: int, series: str = "rec") -> Kept:
    return Kept(RecordKey(series, 0, number), "2026-09-01 08:00:00", 0.0, 1, "1", {})


def shown(number: int, space: int = 0) -> Stored:
    return Stored(f"e{space}{number}", "gate-1/face-1", "2026-09-01 08:00:00", space << 48 | number)


def test_latency_runs_from_the_terminal_to_the_stream(tracker: Tracker) -> None:
    tracker.produced("1026701", made(1), Moment(10.0, 0.0))
    tracker.produced("1026701", made(1, "snap"), Moment(10.0, 0.0))
    tracker.seen([shown(1)], 10.25)
    tracker.seen([shown(1, space=1)], 11.0)
    assert tracker.latencies.count == 2
    assert tracker.latencies.max_ms == 1000
    assert tracker.latencies.quantile_ms(0.5) == pytest.approx(250, rel=0.03)


def test_rows_add_up_classes_and_systems(tracker: Tracker) -> None:
    now = Moment(0.0, 0.0)
    for number in range(1, 6):
        tracker.produced("1026701", made(number), now)
    tracker.produced("1026702", made(1), now)
    tracker.released("1026701", made(1), now)
    tracker.destroyed("1026701", made(5), "overwritten", now)
    tracker.seen([shown(1), shown(2)], 1.0)
    rows = {row.name: (row.produced, row.acked, row.stored, row.in_flight) for row in tracker.rows()}
    assert rows == {
        "class.access_control": (1, 0, 0, 1),
        "class.biometric": (5, 1, 2, 2),
        "system.access": (6, 1, 2, 3),
        "system.attendance": (5, 1, 2, 2),
        "system.biometrics": (5, 1, 2, 2),
    }
    assert tracker.total().produced == 6
    tracker.said("1026702", "contact", "", now)
    assert {row.name: row.said for row in tracker.rows() if row.said} == {"class.access_control": 1, "system.access": 1}


def test_alarms_that_ring_are_counted_by_kind(tracker: Tracker) -> None:
    door = {"device_id": "gate-1/face-1", "device_time": ""}
    rang = [
        Stored("a", **door, topic="Door/State/DoorAlarm", state="DoorForcedOpen"),
        Stored("b", **door, topic="Door/State/DoorAlarm", state="Normal"),
        Stored("c", **door, topic="Camera/SignalLoss", state="Active"),
        Stored("d", **door, topic="Camera/SignalLoss", state="Inactive"),
    ]
    tracker.seen(rang, 1.0)
    tracker.seen(rang[:1], 2.0)
    assert tracker.alarms == {"door_forced": 2, "camera_silent": 1}


def test_events_of_others_and_states_are_not_counted(tracker: Tracker) -> None:
    tracker.seen([Stored("x", "gate-9/face-1", "", 1), Stored("y", "gate-1/face-1", "")], 1.0)
    assert tracker.total().stored == 0
