"""Pages of events: what a filter means to a caller, and that pages join however the ledger grows."""

import asyncio
import base64
import re
from collections import Counter
from typing import Any

import httpx
import pytest

from aggregator.accounts import Role
from tests.admission.box import ALARM, DENIED
from tests.api.rig import CARD, HOLDER, TAIL, Rig, keys_of
from wire.records import DeviceTime

TAKEN = "AccessControl/AccessTaken/Credential"
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
PEOPLE = {"holder_ref", "credential"}


async def page(client: httpx.AsyncClient, **query: Any) -> dict[str, Any]:
    answer = await client.get("/api/v1/events", params=query)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"items", "next"}
    return body


async def positions(client: httpx.AsyncClient, **query: Any) -> list[int]:
    return [item["position"] for item in (await page(client, **query))["items"]]


@pytest.fixture
async def desk(rig: Rig):
    """One of each: two devices, three topics, a reading, something from an hour ago, something of the campus."""
    await rig.deliver(rig.passage(), rig.box.event(TAKEN, device="gate-1/face-2"), rig.box.event(ALARM))
    rig.box.clock.advance(60)
    await rig.deliver(rig.box.reading())
    old = DeviceTime(raw="2026-08-31 23:00:00", zone="UTC", wall_ns=rig.clock.wall_ns() - 3600 * 10**9)
    late = rig.box.event(DENIED, device_time=old)
    rig.box.clock.advance(3600)
    await rig.deliver(late)
    async with await rig.ask(Role.ADMIN) as client:
        yield client


async def test_filters(rig: Rig, desk: httpx.AsyncClient):
    rows = {row.position: row for row in await rig.ledger.read(0, 100)}

    def those(passes: Any) -> list[int]:
        chosen = sorted((position for position, row in rows.items() if passes(row)), reverse=True)
        assert chosen
        assert len(chosen) < len(rows)
        return chosen

    assert await positions(desk) == sorted(rows, reverse=True)
    assert await positions(desk, order="asc") == sorted(rows)
    assert await positions(desk, device="gate-1/face-2") == those(lambda row: row.device_id == "gate-1/face-2")
    assert await positions(desk, edge="gate-1") == those(lambda row: row.edge == "gate-1")
    assert await positions(desk, edge="@campus") == those(lambda row: row.edge == "@campus")
    assert await positions(desk, topic="AccessControl") == those(lambda row: row.topic.startswith("AccessControl/"))
    assert await positions(desk, topic=DENIED) == those(lambda row: row.topic == DENIED)
    assert await positions(desk, topic="AccessCon") == []
    assert await positions(desk, topic="AccessControl/Access") == []
    assert await positions(desk, lane="A") == those(lambda row: row.lane == "A")
    assert await positions(desk, kind="reading") == those(lambda row: row.kind == "reading")
    assert await positions(desk, historical="true") == those(lambda row: row.historical)
    assert await positions(desk, historical="false") == those(lambda row: not row.historical)
    assert await positions(desk, kind="nothing") == []


async def test_since_is_inclusive_and_until_is_not_whatever_the_offset(rig: Rig, desk: httpx.AsyncClient):
    rows = await rig.ledger.read(0, 100)
    moment = max(row.occurred_ns for row in rows if row.kind == "reading")
    here = f"{page_time(moment, 8)}+08:00"
    since, until = await positions(desk, since=here), await positions(desk, until=here)
    assert since == sorted((row.position for row in rows if row.occurred_ns >= moment), reverse=True)
    assert until == sorted((row.position for row in rows if row.occurred_ns < moment), reverse=True)
    assert since
    assert until
    raw = await desk.get(f"/api/v1/events?since={here}")  # The plus sign of a careless caller arrives as a blank.
    assert [item["position"] for item in raw.json()["items"]] == since


def page_time(wall_ns: int, hours: int) -> str:
    from datetime import UTC, datetime, timedelta

    return (datetime.fromtimestamp(wall_ns // 10**9, UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S")


@pytest.mark.parametrize("name", ["since", "until"])
@pytest.mark.parametrize("text", ["yesterday", "2026-09-01T07:55:10", "2026-13-01T00:00:00Z", "", "1788220800"])
async def test_a_time_that_is_none_or_has_no_offset_is_refused(desk: httpx.AsyncClient, name: str, text: str):
    answer = await desk.get("/api/v1/events", params={name: text})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_time")
    assert answer.json()["params"]["parameter"] == name


async def test_times_beyond_what_the_ledger_can_hold_filter_like_any_other(rig: Rig, desk: httpx.AsyncClient):
    everything = await positions(desk)
    assert await positions(desk, since="0001-01-01T00:00:00Z", until="9999-12-31T23:59:59Z") == everything
    assert await positions(desk, since="9999-12-31T23:59:59Z") == []
    assert await positions(desk, until="0001-01-01T00:00:00Z") == []


def encoded(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize(
    "cursor",
    ["", "!", "é", "p5", "x" * 128]
    + [encoded(text) for text in ("5", "p", "p-5", "p 5", "p1_0", "p5\n", "q5", "p" + "9" * 19, "p" + "9" * 60, "p٣")],
)
async def test_a_cursor_that_we_did_not_make_is_refused(desk: httpx.AsyncClient, cursor: str, order: str):
    answer = await desk.get("/api/v1/events", params={"cursor": cursor, "order": order})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")


@pytest.mark.parametrize(
    "query",
    [{"limit": 0}, {"limit": 1001}, {"order": "up"}, {"lane": "Z"}, {"historical": "maybe"}, {"topic": "x" * 129}],
)
async def test_a_query_that_makes_no_sense_is_refused(desk: httpx.AsyncClient, query: dict[str, Any]):
    answer = await desk.get("/api/v1/events", params=query)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid")


@pytest.mark.parametrize(("order", "limit"), [("asc", 1), ("asc", 7), ("desc", 1), ("desc", 7)])
async def test_pages_have_no_hole_and_no_double_while_rows_arrive(rig: Rig, order: str, limit: int):
    await rig.deliver(*(rig.box.event() for _ in range(20)))
    seen: list[int] = []
    async with await rig.ask(Role.GUARD) as client:
        before = await rig.ledger.head()
        cursor: dict[str, Any] = {}
        arriving = 15
        while True:
            answer = await page(client, order=order, limit=limit, **cursor)
            seen += [item["position"] for item in answer["items"]]
            if answer["next"] is None:
                break
            if arriving:
                arriving -= 1
                await rig.deliver(rig.box.event())
            cursor = {"cursor": answer["next"]}
        after = await rig.ledger.head()
    assert not [position for position, count in Counter(seen).items() if count > 1]
    assert seen == sorted(seen, reverse=order == "desc")
    expected = range(1, after + 1) if order == "asc" else range(1, before + 1)
    assert set(seen) == set(expected)


async def test_many_pages_at_once_while_rows_arrive(rig: Rig):
    await rig.deliver(*(rig.box.event() for _ in range(50)))
    head = await rig.ledger.head()

    async def walk(client: httpx.AsyncClient, limit: int) -> list[int]:
        seen: list[int] = []
        cursor: dict[str, Any] = {}
        while True:
            answer = await page(client, limit=limit, **cursor)
            seen += [item["position"] for item in answer["items"]]
            if answer["next"] is None:
                return [position for position in seen if position <= head]
            cursor = {"cursor": answer["next"]}

    async def arrive() -> None:
        for _ in range(10):
            await rig.deliver(rig.box.event())

    async with await rig.ask(Role.GUARD) as client, asyncio.TaskGroup() as group:
        walks = [group.create_task(walk(client, limit)) for limit in (3, 5, 11)]
        group.create_task(arrive())
    assert all(walk.result() == list(range(head, 0, -1)) for walk in walks)


async def test_one_event_by_its_id_looks_as_it_does_on_a_page(desk: httpx.AsyncClient):
    for item in (await page(desk))["items"]:
        answer = await desk.get(f"/api/v1/events/{item['event_id']}")
        assert answer.json() == item


async def test_what_an_event_shows(rig: Rig, desk: httpx.AsyncClient):
    (item,) = (await page(desk, topic=TAKEN))["items"]
    assert item["campus"] == rig.campus.name
    assert (item["edge"], item["device"], item["lane"], item["seq"]) == ("gate-1", "gate-1/face-2", "D", 2)
    assert (item["kind"], item["topic"], item["clock"], item["historical"]) == ("event", TAKEN, "synced", False)
    times = [item["occurred"], item["received"]]
    assert all(TIME.fullmatch(text) for text in times)
    assert not {"stamp", "id", "body"} & set(item)


async def test_an_erased_row_keeps_its_place_and_loses_what_it_said(rig: Rig, desk: httpx.AsyncClient):
    (before,) = [item for item in (await page(desk))["items"] if set(item) >= PEOPLE]
    await rig.ledger.blank([before["position"]])
    after = (await desk.get(f"/api/v1/events/{before['event_id']}")).json()
    assert after.pop("erased") is True
    assert PEOPLE.isdisjoint(after)
    assert after.items() <= before.items()
    assert HOLDER not in (await desk.get("/api/v1/events")).text
    assert len(await positions(desk)) == await rig.ledger.head()


# --- who sees what ------------------------------------------------------------------------------------

READERS = [role for role in Role if role is not Role.WALL]
SEE_PEOPLE = {Role.GUARD, Role.LEAD, Role.TEACHER, Role.ATTENDANCE, Role.ADMIN}
SEE_BOOK = {Role.LEAD, Role.ADMIN}


@pytest.mark.parametrize("role", READERS)
async def test_whose_it_was_is_shown_to_some_roles_only(rig: Rig, desk: httpx.AsyncClient, role: Role):
    (passage,) = [item for item in (await page(desk))["items"] if set(item) >= PEOPLE]
    async with await rig.ask(role) as client:
        texts = [
            await client.get("/api/v1/events"),
            await client.get(f"/api/v1/events/{passage['event_id']}"),
            await client.get("/api/v1/devices"),
            await client.get("/api/v1/devices/gate-1/face-1"),
            await client.get("/api/v1/edges/gate-1"),
        ]
    assert [answer.status_code for answer in texts[:2]] == [200, 200]
    assert {answer.status_code for answer in texts[2:]} <= {200, 403}
    shown = any(PEOPLE & keys_of(answer.json()) for answer in texts)
    told = any(secret in answer.text for answer in texts for secret in (HOLDER, CARD, TAIL))
    assert shown is told is (role in SEE_PEOPLE)


@pytest.mark.parametrize("role", READERS)
async def test_the_book_is_not_read_by_way_of_the_ledger(rig: Rig, role: Role):
    async with rig.signed_in("zhao-liu"):
        pass
    async with await rig.ask(role) as client:
        (entry,) = (await page(client, topic="Audit/Entry", device="@campus", limit=1))["items"]
        again = (await client.get(f"/api/v1/events/{entry['event_id']}")).json()
        assert again == entry
        told = "zhao-liu" in (await client.get("/api/v1/events")).text
    assert ("values" in entry) is told is (role in SEE_BOOK)
