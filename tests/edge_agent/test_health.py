import json
import os
from pathlib import Path

import pytest

from edge_agent.birth import birth
from edge_agent.health import Health, new_counters
from edge_agent.supervise import PartHealth, State
from tests.support.clock import VirtualClock
from wire.counters import COUNTERS
from wire.delivery import Heartbeat


def test_a_heartbeat_carries_counters_and_gauges_read_now() -> None:
    waiting = [3]
    counters = new_counters()
    health = Health(counters, {"intake_waiting": lambda: waiting[0]})
    health.parts["uplink"] = PartHealth("uplink", state=State.DOWN)
    counters["events_total"] += 5
    waiting[0] = 4
    plain = Heartbeat(session="0" * 32, epoch="1" * 32, stamp=VirtualClock().stamp())
    numbers = health.decorate(plain).counters
    assert set(COUNTERS) < set(numbers)
    assert (numbers["events_total"], numbers["intake_waiting"], numbers["parts_down"]) == (5, 4, 1)


def test_the_health_file_says_when_the_clock_is_only_assumed(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    Health(new_counters(), {}).write(path, VirtualClock().stamp(), assume_synced=True)
    state = json.loads(path.read_text())
    assert state["clock"] == {"state": "synced", "error_ms": 1, "assumed": True}
    assert [file.name for file in tmp_path.iterdir()] == ["health.json"]


original_open = os.open


class _Device:
    name = "face-1"
    facts = {"profile": "facesluice-mqtt", "place": "", "liveness_s": 60}


def test_a_birth_is_said_again_state_that_never_rings() -> None:
    node, device = [draft.record for draft in birth("gate-1", software="1", channels=1, devices=[_Device()])]
    assert (node.device, device.device) == ("gate-1", "gate-1/face-1")
    assert node.initialized
    assert device.initialized
    assert device.values == {"profile": "facesluice-mqtt", "liveness_s": 60}


def test_a_full_disk_costs_the_health_file_and_one_line_but_never_the_box(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, health, stamp = tmp_path / "health.json", Health(new_counters(), {}), VirtualClock().stamp()
    health.write(path, stamp, assume_synced=False)
    before = path.read_bytes()
    with monkeypatch.context() as full:
        full.setattr(os, "open", lambda *_: original_open("/dev/full", os.O_WRONLY))
        with caplog.at_level("INFO"):
            health.write(path, stamp, assume_synced=True)
            health.write(path, stamp, assume_synced=True)
    assert [record.message for record in caplog.records] == ["health file cannot be written"]
    assert caplog.records[0].cause == "No space left on device"
    assert path.read_bytes() == before
    assert [file.name for file in tmp_path.iterdir()] == ["health.json"]
    with caplog.at_level("INFO"):
        health.write(path, stamp, assume_synced=True)
    assert caplog.records[-1].message == "health file is written again"
    assert json.loads(path.read_text())["clock"]["assumed"] is True
