import json
from pathlib import Path

from edge_agent.birth import birth
from edge_agent.health import COUNTERS, Health, new_counters
from edge_agent.supervise import PartHealth, State
from tests.support.clock import VirtualClock
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


class _Device:
    name = "face-1"
    facts = {"profile": "facesluice-mqtt", "place": "", "liveness_s": 60}


def test_a_birth_is_said_again_state_that_never_rings() -> None:
    node, device = [draft.record for draft in birth("gate-1", software="1", channels=1, devices=[_Device()])]
    assert (node.device, device.device) == ("gate-1", "gate-1/face-1")
    assert node.initialized
    assert device.initialized
    assert device.values == {"profile": "facesluice-mqtt", "liveness_s": 60}
