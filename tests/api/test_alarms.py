"""Alarms over the API: who may see and do what, two at once, and answers that stay the same when asked again."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest

from aggregator.accounts import Role
from aggregator.alarms import desk
from tests.api.rig import Rig
from wire.records import Event

DOOR_ALARM = "Door/State/DoorAlarm"
OPERATING = "Device/State/Operating"
SEE_PEOPLE = {Role.GUARD, Role.LEAD, Role.ADMIN}
WATCHERS = [Role.WALL, Role.GUARD, Role.LEAD, Role.OPS, Role.DISTRICT, Role.ADMIN]
SETTLED = {"cause": "false", "note": "a cat"}


def forced(rig: Rig, **fields: Any) -> Event:
    return rig.box.event(DOOR_ALARM, values={"state": "DoorForcedOpen"}, **fields)


async def raised(rig: Rig, *events: Event) -> str:
    """The address of the alarm that some records raise."""
    await rig.deliver(*(events or (forced(rig),)))
    async with await rig.ask(Role.ADMIN) as client:
        return "/api/v1/alarms/" + (await client.get("/api/v1/alarms")).json()["items"][0]["id"]


async def book(rig: Rig, action: str) -> list[tuple[str, str]]:
    """What stands in the book of an action: who, with which result; oldest first."""
    async with await rig.ask(Role.ADMIN) as client:
        items = (await client.get("/api/v1/audit?limit=1000")).json()["items"]
    return [(item["actor"], item["result"]) for item in reversed(items) if item["action"] == action]


@pytest.fixture
async def people(rig: Rig) -> AsyncIterator[dict[str, httpx.AsyncClient]]:
    """Browsers of four people on duty."""
    async with AsyncExitStack() as stack:
        roles = {"chen": Role.GUARD, "wang": Role.GUARD, "li": Role.LEAD, "zhao": Role.OPS}
        yield {name: await stack.enter_async_context(rig.signed_in(name, role)) for name, role in roles.items()}


# --- two at once --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("step", "code"), [("ack", "already_acked"), ("resolve", "already_resolved")])
async def test_of_many_at_once_one_takes_it_and_the_others_are_told_who(
    rig: Rig, people: dict[str, httpx.AsyncClient], step: str, code: str
):
    address = await raised(rig, forced(rig), rig.box.event(DOOR_ALARM, values={"state": "Normal"}))
    names = ["chen", "wang", "li"]
    body = {"json": SETTLED} if step == "resolve" else {}
    answers = await asyncio.gather(*(people[name].post(f"{address}/{step}", **body) for name in names))
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409]
    (winner,) = [name for name, answer in zip(names, answers, strict=True) if answer.status_code == 200]
    for answer in answers:
        if answer.status_code == 409:
            problem = answer.json()
            assert (problem["code"], problem["params"]["by"]) == (code, winner)
            assert problem["params"]["at"].endswith("Z")
            assert answer.headers["content-type"] == "application/problem+json"
    shown = (await people["chen"].get(address)).json()
    assert [entry["by"] for entry in shown["history"]] == [None, winner]
    rows = [row for row in await rig.ledger.read(0, 1000) if row.topic == "Alarm/Transition"]
    assert len(rows) == 1
    assert sorted(result for _, result in await book(rig, f"alarm.{step}")) == [code, code, "done"]


async def test_asked_again_by_the_same_person_nothing_changes(rig: Rig, people: dict[str, httpx.AsyncClient]):
    address = await raised(rig)
    first = await people["chen"].post(f"{address}/ack")
    rig.clock.advance(5)
    again = await asyncio.gather(*(people["chen"].post(f"{address}/ack") for _ in range(5)))
    assert {answer.status_code for answer in again} == {200}
    assert {answer.text for answer in again} == {first.text}
    assert len([row for row in await rig.ledger.read(0, 1000) if row.topic == "Alarm/Transition"]) == 1


async def test_what_is_settled_is_not_taken_in_hand(rig: Rig, people: dict[str, httpx.AsyncClient]):
    address = await raised(rig)
    await people["li"].post(f"{address}/resolve", json={**SETTLED, "force": True})
    answer = await people["chen"].post(f"{address}/ack")
    assert (answer.status_code, answer.json()["code"], answer.json()["params"]["by"]) == (409, "already_resolved", "li")


# --- how it may be settled ----------------------------------------------------------------------------


async def test_while_the_trouble_lasts_only_a_lead_settles_it(rig: Rig, people: dict[str, httpx.AsyncClient]):
    address = await raised(rig)
    for name, force, status in (("chen", False, 409), ("chen", True, 409), ("li", False, 409), ("li", True, 200)):
        answer = await people[name].post(f"{address}/resolve", json={**SETTLED, "force": force})
        assert answer.status_code == status, (name, force)
        assert status == 200 or answer.json()["code"] == "still_active"
    assert (answer.json()["resolved_by"], answer.json()["active"], answer.json()["cause"]) == ("li", True, "false")


@pytest.mark.parametrize(
    ("level", "cause", "note", "status"),
    [
        (1, "real", "", 422),
        (1, "drill", "  ", 422),
        (1, "real", "seen", 200),
        (2, "false", "", 422),
        (2, "false", "a cat", 200),
        (2, "real", "", 200),
        (3, "false", "", 200),
        (4, "false", "", 200),
    ],
)
async def test_what_matters_wants_a_note(
    rig: Rig, people: dict[str, httpx.AsyncClient], level: int, cause: str, note: str, status: int
):
    rig.levels["wrong_tries"] = level
    address = await raised(rig, rig.box.event("AccessControl/WrongTries"))
    answer = await people["chen"].post(f"{address}/resolve", json={"cause": cause, "note": note})
    assert answer.status_code == status
    if status == 422:
        assert (answer.json()["code"], answer.json()["params"]) == ("note_required", {"level": level})
    else:
        assert answer.json()["level"] == level


@pytest.mark.parametrize(
    "body", [{}, {"cause": "bored"}, {"cause": "real", "note": "x" * 257}, {"cause": "real", "more": 1}]
)
async def test_a_settling_that_makes_no_sense_is_refused(rig: Rig, body: dict[str, Any]):
    address = await raised(rig)
    async with await rig.ask(Role.LEAD) as client:
        assert (await client.post(f"{address}/resolve", json=body)).status_code == 422


async def test_a_picture_that_cannot_follow_says_so(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(desk, "PATIENCE_S", 0.05)
    address = await raised(rig)
    async with await rig.ask(Role.LEAD) as client:
        await rig.stop_readers()
        await rig.office.record("somebody", "look", "", "done", "")
        answer = await client.post(f"{address}/ack")
    assert (answer.status_code, answer.json()["code"], answer.headers["Retry-After"]) == (503, "view_behind", "2")


# --- who --------------------------------------------------------------------------------------------


async def test_whoever_looks_after_devices_handles_faults_and_nothing_else(
    rig: Rig, people: dict[str, httpx.AsyncClient]
):
    door = await raised(rig)
    fault = await raised(rig, rig.box.event(OPERATING, values={"state": "DOWN"}))
    rig.clock.advance(1)
    for step, body in (("ack", {}), ("resolve", {"json": SETTLED})):
        refused = await people["zhao"].post(f"{door}/{step}", **body)
        assert (refused.status_code, refused.json()["code"]) == (403, "not_allowed")
    taken = await people["zhao"].post(f"{fault}/ack")
    # Who works here is a name like any other; the one who did it is told that it was done.
    assert (taken.status_code, taken.json()["state"], taken.json()["acked_by"]) == (200, "acked", None)
    assert (await people["chen"].get(fault)).json()["acked_by"] == "zhao"
    assert ("zhao", "not_allowed") in await book(rig, "alarm.ack")


@pytest.mark.parametrize("role", WATCHERS)
async def test_who_did_it_and_what_was_said_is_for_those_who_may_see_people(
    rig: Rig, people: dict[str, httpx.AsyncClient], role: Role
):
    address = await raised(rig)
    await people["chen"].post(f"{address}/ack")
    await people["li"].post(f"{address}/resolve", json={**SETTLED, "force": True})
    async with await rig.ask(role) as client:
        answers = [
            await client.get(address),
            await client.get("/api/v1/alarms?state=all"),
            await client.get("/api/v1/live"),
            *([] if role is Role.WALL else [await client.get("/api/v1/events?topic=Alarm/Transition")]),
        ]
    assert all(answer.status_code == 200 for answer in answers)
    text = "".join(answer.text for answer in answers)
    for secret in ('"chen"', '"li"', "a cat", '"false"'):
        assert (secret in text) is (role in SEE_PEOPLE), secret
    shown = answers[0].json()
    assert (shown["state"], shown["count"], len(shown["history"])) == ("resolved", 1, 3)
    assert shown["acked_at"] is not None


# --- pages ------------------------------------------------------------------------------------------


async def test_pages_show_each_alarm_once_by_its_state(rig: Rig, people: dict[str, httpx.AsyncClient]):
    for number in range(7):
        await rig.deliver(forced(rig, device=f"gate-1/face-{number}"))
    client = people["li"]
    items = (await client.get("/api/v1/alarms")).json()["items"]
    assert [item["source"] for item in items] == [f"gate-1/face-{number}" for number in reversed(range(7))]
    for item in items[:3]:
        await client.post(f"/api/v1/alarms/{item['id']}/ack")
    await client.post(f"/api/v1/alarms/{items[0]['id']}/resolve", json={**SETTLED, "force": True})
    counts = {}
    for state in ("open", "new", "acked", "resolved", "all"):
        seen: list[str] = []
        cursor = ""
        while True:
            page = (await client.get(f"/api/v1/alarms?state={state}&limit=3{cursor}")).json()
            assert len(page["items"]) <= 3
            seen += [item["id"] for item in page["items"]]
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        assert len(seen) == len(set(seen))
        counts[state] = len(seen)
    assert counts == {"open": 6, "new": 4, "acked": 2, "resolved": 1, "all": 7}


@pytest.mark.parametrize("query", ["state=closed", "limit=0", "limit=1001", "cursor=x", "cursor=YWJj"])
async def test_a_page_that_makes_no_sense_is_refused(rig: Rig, query: str):
    async with await rig.ask(Role.GUARD) as client:
        assert (await client.get(f"/api/v1/alarms?{query}")).status_code == 422


async def test_what_does_not_exist_is_not_found(rig: Rig):
    async with await rig.ask(Role.ADMIN) as client:
        for method, path, code in (
            ("GET", "alarms/" + "ab" * 16, "unknown_alarm"),
            ("POST", "alarms/nobody/ack", "unknown_alarm"),
            ("GET", "doors/gate-1/nobody", "unknown_door"),
        ):
            answer = await client.request(method, f"/api/v1/{path}")
            assert (answer.status_code, answer.json()["code"]) == (404, code)
