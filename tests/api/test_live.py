"""The live page's data: what it begins with, what it is told, what each role sees of it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import pytest

from aggregator.accounts import Role
from aggregator.live import hub
from tests.api.rig import CARD, HOLDER, TAIL, Rig
from tests.api.watching import Message, Watching, watching
from tests.support.waiting import until as wait_until
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


async def all_until(watch: Watching, wanted: str) -> list[Message]:
    """The next frames, up to the one that says something of `wanted`."""
    messages: list[Message] = []
    while not messages or not (messages[-1].data and messages[-1].data.get(wanted)):
        message = await watch.next()
        assert message is not None, "the stream ended"
        messages.append(message)
    return messages


async def until(watch: Watching, wanted: str) -> Message:
    """The next frame that says something of `wanted`."""
    return (await all_until(watch, wanted))[-1]


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


# --- the stream ---------------------------------------------------------------------------------------


async def test_a_stream_says_who_speaks_and_goes_on_from_what_a_page_knows(live: Rig):
    await live.deliver(*described(live), live.passage())
    async with await live.ask(Role.GUARD) as client:
        known = (await client.get("/api/v1/live")).json()["position"]
    await live.deliver(live.passage())
    token, head = await live.token(Role.GUARD), await live.ledger.head()
    for how in ("after", "Last-Event-ID", "both"):
        query = {"after": f"after={known}", "both": "after=0"}.get(how, "")
        headers = {} if how == "after" else {"Last-Event-ID": str(known)}
        async with watching(live.app, token, query, path=STREAM, **headers) as watch:
            assert watch.headers["content-type"].startswith("text/event-stream")
            assert watch.headers["cache-control"] == "no-store"
            hello = await watch.next()
            assert hello is not None
            assert (hello.name, hello.id) == ("hello", "")
            assert hello.data["campus"] == live.campus.name
            assert hello.data["build"] == live.campus.build
            assert hello.data["position"] >= head
            message = await watch.next()
        assert message is not None
        assert [one["position"] for one in message.data["exceptions"]] == [head]
        assert int(message.id) == message.data["position"]


async def test_a_stream_without_a_position_begins_with_what_comes_next(live: Rig):
    await live.deliver(live.passage())
    async with watching(live.app, await live.token(Role.GUARD), path=STREAM) as watch:
        await watch.next()
        await live.deliver(live.passage())
        news = await until(watch, "exceptions")
    assert [one["position"] for one in news.data["exceptions"]] == [await live.ledger.head()]


@pytest.mark.parametrize("last", ["", "-1", "x", "²", "1.5", "9" * 19])
async def test_an_id_that_we_did_not_make_is_refused(live: Rig, last: str):
    async with watching(live.app, await live.token(Role.GUARD), path=STREAM, **{"Last-Event-ID": last}) as watch:
        assert watch.status == 422


async def test_a_position_from_another_ledger_is_a_gap(live: Rig):
    async with watching(live.app, await live.token(Role.GUARD), "after=999999", path=STREAM) as watch:
        await watch.next()
        gap = await watch.next()
    assert gap is not None
    assert (gap.name, gap.data) == ("gap", {})


async def test_a_revoked_token_sees_nothing_more(live: Rig):
    token = await live.token(Role.GUARD)
    (entry,) = await live.office.tokens()
    async with watching(live.app, token, path=STREAM) as watch:
        await watch.next()
        await live.office.revoke_token(entry["id"])
        live.clock.advance(2)
        await live.deliver(live.passage())
        assert await watch.to_end() == []


async def test_close_ends_all_streams(live: Rig):
    token = await live.token(Role.WALL)
    async with watching(live.app, token, path=STREAM) as one, watching(live.app, token, path=STREAM) as other:
        for watch in (one, other):
            await watch.next()
        await wait_until(lambda: live.campus.hub.watchers == 2)
        live.campus.hub.close()
        for watch in (one, other):
            await watch.to_end()
    assert live.campus.hub.watchers == 0


@pytest.mark.parametrize("role", [Role.WALL, Role.GUARD, Role.LEAD, Role.OPS, Role.DISTRICT, Role.ADMIN])
async def test_the_stream_shows_no_role_more_than_the_page_does(live: Rig, role: Role):
    await live.deliver(*described(live))
    async with await live.ask(Role.GUARD) as guard:
        known = (await guard.get("/api/v1/live")).json()["position"]
        async with watching(live.app, await live.token(role), f"after={known}", path=STREAM) as watch:
            await watch.next()
            await live.deliver(live.passage(), live.passage(topic=GRANTED), live.box.event("AccessControl/Duress"))
            told = await all_until(watch, "alarms")
            items = (await guard.get("/api/v1/alarms")).json()["items"]
            await guard.post(f"/api/v1/alarms/{items[0]['id']}/ack")
            told += await all_until(watch, "alarms")
    text = str([message.data for message in told])
    async with await live.ask(role) as client:
        page = await client.get("/api/v1/live")
        doors = await client.get("/api/v1/doors")
        one = await client.get("/api/v1/doors/gate-1/face-1")
    sees = role in {Role.GUARD, Role.LEAD, Role.ADMIN}
    assert [TAIL in shown for shown in (text, page.text, doors.text, one.text)] == [sees] * 4
    assert [name in shown for shown in (text, page.text) for name in ("'desk'", '"desk"')].count(True) == 2 * sees
    assert HOLDER not in text + page.text + doors.text
    assert CARD not in text + page.text + doors.text


async def test_while_a_reader_fails_the_page_says_so(live: Rig):
    await live.deliver(live.passage())
    live.readers[1].health.failing = True
    async with await live.ask(Role.GUARD) as client:
        for path in ("live", "doors", "doors/gate-1/face-1", "live/stream"):
            answer = await client.get(f"/api/v1/{path}")
            assert (answer.status_code, answer.json()["code"]) == (503, "view_behind")
            assert answer.headers["Retry-After"] == "2"
