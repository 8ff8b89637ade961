"""Boxes and devices as a screen shows them: never better than what is known now."""

from typing import Any

import pytest

from aggregator.accounts import Role
from aggregator.silence import EDGE_SILENT_S
from tests.api.rig import Rig
from wire.records import Event

INFO = {
    "profile": "facesluice-mqtt",
    "device_class": "biometric",
    "systems": "access,attendance",
    "protocol": "facesluice",
    "contract": "acked",
    "display_name": "南门1号",
    "display_name_en": "South gate 1",
    "place": "south-gate",
}


def said(rig: Rig, topic: str, device: str = "gate-1/face-1", **values: Any) -> Event:
    return rig.box.event(topic, device=device, values=values)


async def get(rig: Rig, path: str) -> Any:
    async with await rig.ask(Role.OPS) as client:
        answer = await client.get(f"/api/v1/{path}")
    assert answer.status_code == 200
    return answer.json()


async def test_a_box_that_joined_and_never_came(rig: Rig):
    (edge,) = (await get(rig, "edges"))["items"]
    assert edge == {"edge": "gate-1", "state": "unheard", "silent_s": None, "enrolled": True, "software": "1.0"}


async def test_a_box_is_live_then_silent_and_shown_so(rig: Rig):
    await rig.deliver(said(rig, "EdgeNode/State/Birth", "gate-1", software="1.0"), rig.box.event())
    edge = await get(rig, "edges/gate-1")
    assert (edge["state"], edge["silent_s"], edge["births"], edge["records"]) == ("live", 0, 1, 2)
    assert edge["epoch"] == rig.box.epoch
    rig.clock.advance(EDGE_SILENT_S)
    assert (await get(rig, "edges/gate-1"))["state"] == "live"
    rig.clock.advance(1)
    edge = await get(rig, "edges/gate-1")
    assert (edge["state"], edge["silent_s"]) == ("silent", EDGE_SILENT_S + 1)
    await rig.campus.admission.receive(*rig.box.heartbeat())
    edge = await get(rig, "edges/gate-1")
    assert edge["state"] == "live"
    assert edge["clock"] == "synced"


async def test_a_revoked_box_is_shown_as_such_though_it_still_speaks(rig: Rig):
    await rig.deliver(rig.box.event())
    await rig.campus.enrolment.revoke("gate-1")
    assert (await get(rig, "edges/gate-1"))["state"] == "revoked"


async def test_a_device_says_who_it_is_and_how(rig: Rig):
    await rig.deliver(
        said(rig, "Device/State/Info", **INFO), said(rig, "Device/State/Operating", state="UP"), rig.passage()
    )
    device = await get(rig, "devices/gate-1/face-1")
    shown = {**INFO, "systems": ["access", "attendance"]}
    assert {name: device[name] for name in shown} == shown
    assert (device["device"], device["edge"]) == ("gate-1/face-1", "gate-1")
    assert (device["state"], device["last_state"], device["records"]) == ("UP", "UP", 3)
    assert (await get(rig, "devices"))["items"] == [device]


async def test_what_a_box_that_is_away_said_of_its_device_is_not_shown_as_health(rig: Rig):
    await rig.deliver(said(rig, "Device/State/Operating", state="UP"))
    rig.clock.advance(EDGE_SILENT_S + 1)
    device = await get(rig, "devices/gate-1/face-1")
    assert (device["state"], device["last_state"]) == ("SILENT", "UP")


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["face-1", "face-2", "room-1"]),
        ("edge=gate-1", ["face-1", "face-2", "room-1"]),
        ("edge=gate-2", []),
        ("device_class=biometric", ["face-1"]),
        ("state=UP", ["face-1"]),
        ("state=DOWN", ["face-2"]),
        ("state=UNKNOWN", ["room-1"]),
        ("state=SILENT", []),
        ("state=UP&device_class=biometric&edge=gate-1", ["face-1"]),
    ],
)
async def test_filters(rig: Rig, query: str, names: list[str]):
    await rig.deliver(
        said(rig, "Device/State/Info", **INFO),
        said(rig, "Device/State/Operating", state="UP"),
        said(rig, "Device/State/Operating", "gate-1/face-2", state="DOWN"),
        rig.box.reading(),
    )
    items = (await get(rig, f"devices?{query}"))["items"]
    assert [item["device"] for item in items] == [f"gate-1/{name}" for name in names]


async def test_a_state_that_does_not_exist_is_refused(rig: Rig):
    async with await rig.ask(Role.OPS) as client:
        assert (await client.get("/api/v1/devices?state=FINE")).status_code == 422
