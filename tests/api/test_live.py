"""The live page's data: what it begins with, what it is told, what each role sees of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from aggregator.accounts import Role
from aggregator.live import hub
from tests.api.rig import TAIL, Rig
from tests.api.watching import Message, Watching, watching
from wire.records import Event

STREAM = "/api/v1/live/stream"
GRANTED = "AccessControl/AccessGranted/Credential"
DOOR_ALARM = "Door/State/DoorAlarm"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code in smaller steps of time."""
    monkeypatch.setattr(hub, "TICK_S", 0.005)


@pytest.fixture
async def live(rig: Rig) -> AsyncIterator[Rig]:
    running = asyncio.create_task(rig.campus.hub.run())
    yield rig
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running


def described(rig: Rig, device: str = "gate-1/face-1") -> list[Event]:
    info = {"profile": "facesluice-mqtt", "display_name": "南门", "display_name_en": "South gate", "place": "south"}
    return [
        rig.box.event("Device/State/Info", device=device, initialized=True, values=info),
        rig.box.event("Device/State/Operating", device=device, initialized=True, values={"state": "UP"}),
    ]


async def until(watch: Watching, wanted: str) -> Message:
    """The next frame that says something of `wanted`."""
    while True:
        message = await watch.next()
        assert message is not None, "the stream ended"
        if message.data and message.data.get(wanted):
            return message


async def test_a_page_begins_with_doors_alarms_exceptions_and_counters(live: Rig):
    forced = live.box.event(DOOR_ALARM, values={"state": "DoorForcedOpen"})
    await live.deliver(*described(live), live.passage(), live.passage(topic=GRANTED), forced)
    async with await live.ask(Role.GUARD) as client:
        page = (await client.get("/api/v1/live")).json()
    (door,), (alarm,), (denied,) = page["doors"], page["alarms"], page["exceptions"]
    assert (door["device"], door["name"], door["name_en"], door["place"]) == (
        "gate-1/face-1",
        "南门",
        "South gate",
        "south",
    )
    assert (door["state"], door["alarm"], door["can_open"]) == ("UP", "DoorForcedOpen", True)
    assert (door["granted_today"], door["denied_today"], sum(door["spark"]), len(door["spark"])) == (1, 1, 1, 30)
    assert (door["last"]["topic"], door["last"]["method"], door["last"]["tail"]) == (GRANTED, "Card", TAIL)
    assert (alarm["kind"], alarm["level"], alarm["state"], alarm["active"]) == ("door_forced", 1, "new", True)
    assert (denied["device"], denied["tail"]) == ("gate-1/face-1", TAIL)
    assert page["kpi"] == {
        "granted_today": 1,
        "denied_today": 1,
        "alarms_new": 1,
        "alarms_open": 1,
        "faults_open": 0,
        "devices_up": 1,
        "devices_total": 1,
        "edges_live": 1,
        "edges_total": 1,
        "catching_up": 0,
    }


async def test_what_somebody_does_to_an_alarm_shows_on_every_page(live: Rig):
    await live.deliver(live.box.event(DOOR_ALARM, values={"state": "DoorForcedOpen"}))
    token = await live.token(Role.GUARD)
    async with live.client(token) as client:
        page = (await client.get("/api/v1/live")).json()
        address = f"/api/v1/alarms/{page['alarms'][0]['id']}"
        async with watching(live.app, token, f"after={page['position']}", path=STREAM) as watch:
            answer = await client.post(f"{address}/ack")
            assert (answer.status_code, answer.json()["state"], answer.json()["acked_by"]) == (200, "acked", "desk")
            assert (await until(watch, "alarms")).data["alarms"] == [answer.json()]
            settled: dict[str, Any] = {"cause": "real"}
            answer = await client.post(f"{address}/resolve", json=settled)
            assert (answer.status_code, answer.json()["code"]) == (422, "note_required")
            settled["note"] = "a truck"
            answer = await client.post(f"{address}/resolve", json=settled)
            assert (answer.status_code, answer.json()["code"]) == (409, "still_active")
            await live.deliver(live.box.event(DOOR_ALARM, values={"state": "Normal"}))
            assert (await until(watch, "alarms")).data["alarms"][0]["cleared_at"] is not None
            answer = await client.post(f"{address}/resolve", json=settled)
            assert (answer.status_code, answer.json()["state"]) == (200, "resolved")
            assert (await until(watch, "alarms")).data["alarms"] == [answer.json()]
        page = (await client.get("/api/v1/live")).json()
        history = (await client.get(address)).json()["history"]
    assert page["alarms"] == []
    assert [step["step"] for step in history] == ["opened", "acked", "resolved"]
