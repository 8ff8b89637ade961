"""The registry: what boxes said of themselves and their devices."""

from typing import Any

import pytest

from aggregator.readers import Registry, base
from tests.admission.box import Box
from tests.readers.conftest import Rig
from wire.records import Event
from wire.topics import CAMPUS_NODE

INFO: dict[str, Any] = {
    "profile": "facesluice-mqtt",
    "device_class": "biometric",
    "systems": "access,attendance",
    "protocol": "facesluice",
    "contract": "acked",
    "display_name": "南门1号",
    "display_name_en": "South gate 1",
    "place": "south-gate",
    "liveness_s": 180,
}


@pytest.fixture
def box() -> Box:
    return Box()


@pytest.fixture
def registry(rig: Rig) -> Registry:
    return Registry(rig.ledger, rig.views)


async def taken(registry: Registry) -> tuple[dict[str, Any], dict[str, Any]]:
    while await registry.step():
        pass
    edges = {row.pop("edge"): row for row in await registry.edges()}
    return edges, {row.pop("device_id"): row for row in await registry.devices()}


def said(box: Box, topic: str, device: str = "gate-1/face-1", **values: Any) -> Any:
    return box.event(topic, device=device, values=values)


async def test_a_birth_says_which_software_runs(rig: Rig, box: Box, registry: Registry):
    await rig.deliver(box, said(box, "EdgeNode/State/Birth", "gate-1", software="1.0"))
    await rig.deliver(box, said(box, "EdgeNode/State/Birth", "gate-1", software="1.1"), box.event())
    edges, devices = await taken(registry)
    gate = edges["gate-1"]
    assert (gate["software"], gate["births"], gate["records"], gate["epoch"]) == ("1.1", 2, 3, box.epoch)
    assert gate["first_position"] < gate["last_position"]
    assert list(devices) == ["gate-1/face-1"]  # The box is no device of itself.


async def test_a_device_is_what_its_box_last_said_it_is(rig: Rig, box: Box, registry: Registry):
    await rig.deliver(box, said(box, "Device/State/Info", **INFO))
    await rig.deliver(box, said(box, "Device/State/Info", **INFO | {"place": "north-gate"}))
    _, devices = await taken(registry)
    device = devices["gate-1/face-1"]
    assert {name: device[name] for name in INFO} == INFO | {"place": "north-gate"}
    assert (device["edge"], device["records"]) == ("gate-1", 2)


async def test_a_device_nobody_described_is_known_by_what_it_said(rig: Rig, box: Box, registry: Registry):
    await rig.deliver(box, box.reading())
    _, devices = await taken(registry)
    assert devices["gate-1/room-1"]["profile"] == ""
    assert devices["gate-1/room-1"]["state"] == "UNKNOWN"
    assert devices["gate-1/room-1"]["last_topic"] == ""


async def test_an_operating_state_stands_with_its_time(rig: Rig, box: Box, registry: Registry):
    for state in ("UP", "DOWN"):
        rig.clock.advance(10)
        await rig.deliver(box, said(box, "Device/State/Operating", state=state))
    rig.clock.advance(10)
    await rig.deliver(box, box.event())
    _, devices = await taken(registry)
    device = devices["gate-1/face-1"]
    assert (device["state"], device["records"]) == ("DOWN", 3)
    assert device["state_ns"] == rig.clock.wall_ns() - 10 * 10**9
    assert device["last_received_ns"] == rig.clock.wall_ns()


async def test_values_of_an_unexpected_type_are_no_fault(rig: Rig, box: Box, registry: Registry):
    await rig.deliver(box, said(box, "Device/State/Info", liveness_s="often", profile=7))
    _, devices = await taken(registry)
    assert (devices["gate-1/face-1"]["profile"], devices["gate-1/face-1"]["liveness_s"]) == ("7", 0)
    assert registry.health.faults == 0


async def test_a_fork_is_counted_at_the_box_it_is_of(rig: Rig, box: Box, registry: Registry):
    other = Box("gate-2", seed=2)
    await rig.deliver(other, other.event())
    await rig.deliver(box, box.event())
    clone = box.copy()
    clone.previous, clone.epoch = None, "cc" * 16
    await rig.campus.admission.receive(*clone.hello())
    facts = [row.topic for row in await rig.ledger.read(0, 100) if row.edge == "@campus"]
    edges, devices = await taken(registry)
    assert (edges["gate-1"]["forks"], edges["gate-2"]["forks"]) == (facts.count("Delivery/EpochForked"), 0)
    assert edges["gate-1"]["forks"] == 1
    assert "@campus" not in edges
    assert not any(name.startswith("@") for name in devices)


async def test_an_erased_record_still_counts(rig: Rig, box: Box, registry: Registry):
    await rig.deliver(box, said(box, "Device/State/Info", **INFO), box.event())
    await rig.ledger.blank([row.position for row in await rig.ledger.read(0, 100)])
    edges, devices = await taken(registry)
    assert edges["gate-1"]["records"] == devices["gate-1/face-1"]["records"] == 2
    assert devices["gate-1/face-1"]["profile"] == ""


@pytest.mark.parametrize("batch_rows", [1, 2, 7, 500])
async def test_a_rebuild_comes_out_as_what_grew_step_by_step(
    rig: Rig, registry: Registry, monkeypatch: pytest.MonkeyPatch, batch_rows: int
):
    boxes = [Box(f"gate-{number}", seed=number) for number in (1, 2, 3)]
    for turn in range(6):
        for box in boxes:
            name = f"{box.edge}/face-1"
            await rig.deliver(
                box,
                said(box, "EdgeNode/State/Birth", box.edge, software=f"1.{turn}"),
                said(box, "Device/State/Info", name, **INFO | {"place": f"gate {turn}"}),
                said(box, "Device/State/Operating", name, state="UP" if turn % 2 else "DOWN"),
                box.reading(),
            )
        await taken(registry)
        rig.clock.advance(60)
    grown = await taken(registry)
    monkeypatch.setattr(base, "BATCH_ROWS", batch_rows)
    assert await registry.rebuild() == await rig.ledger.head()
    assert await taken(registry) == grown


@pytest.mark.parametrize("rows", [1, 2, 3, 500])
async def test_a_batch_of_any_size_makes_the_same_picture(rig: Rig, monkeypatch: pytest.MonkeyPatch, rows: int):
    """Touches are folded over a batch; what the campus or the box says of somebody must meet him as he was then."""
    stamp = Box().clock.stamp()

    def of_campus(number: int, topic: str, edge: str, **values: Any) -> Event:
        values = {"edge": edge, **values}
        return Event(id=f"{number:032x}", device=CAMPUS_NODE, stamp=stamp, topic=topic, values=values)

    gate, hall = Box("gate-1", seed=1), Box("hall-1", seed=2)
    await rig.ledger.append_campus([of_campus(1, "Delivery/EpochForked", "gate-1")], stamp)
    await rig.deliver(gate, gate.event(), said(gate, "EdgeNode/State/Birth", "gate-1", software="1.0"), gate.event())
    await rig.ledger.append_campus([of_campus(2, "EdgeNode/State/Silence", "gate-1", state="silent")], stamp)
    await rig.deliver(hall, hall.event(device="hall-1/face-1"), hall.event(device="hall-1/face-2"))
    await rig.ledger.append_campus([of_campus(3, "Delivery/EpochForked", "hall-1")], stamp)
    await rig.deliver(gate, said(gate, "Device/State/Operating", state="UP"), gate.event())
    monkeypatch.setattr(base, "BATCH_ROWS", rows)
    edges, devices = await taken(Registry(rig.ledger, rig.views))
    gate_1, hall_1 = edges["gate-1"], edges["hall-1"]
    # The first fork was told of a box that nobody had heard of.
    assert (gate_1["forks"], hall_1["forks"]) == (0, 1)
    assert (gate_1["records"], gate_1["births"], gate_1["silence_id"]) == (5, 1, f"{2:032x}")
    assert gate_1["first_position"] < hall_1["first_position"] < hall_1["last_position"] < gate_1["last_position"]
    face = devices["gate-1/face-1"]
    assert (face["records"], face["state"], face["last_position"]) == (4, "UP", gate_1["last_position"])
    assert {name: device["records"] for name, device in devices.items() if name.startswith("hall")} == {
        "hall-1/face-1": 1,
        "hall-1/face-2": 1,
    }
