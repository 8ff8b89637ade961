"""The HTTP interface: who may call what, and that pages and streams have no holes."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fastapi import routing
from fastapi.dependencies.models import Dependant

from aggregator.accounts import Role
from aggregator.api.guard import COOKIE, Credential, Requirement
from aggregator.live.feed import RING_ROWS, Feed, Wanted
from tests.office.campus import Desk, open_desk
from wire.identity import derived_id
from wire.records import Credential as Shown
from wire.records import CredentialKind, Event
from wire.topics import CAMPUS_NODE

PASSWORD = "correct horse battery"


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with open_desk(tmp_path) as one:
        yield one


async def fill(desk: Desk, count: int, *, start: int = 0, topic: str = "AccessControl/Denied/Credential") -> None:
    for number in range(start, start + count):
        desk.clock.advance(1)
        event = Event(
            id=derived_id("test", topic, number),
            device=CAMPUS_NODE,
            stamp=desk.clock.stamp(),
            topic=topic,
            holder_ref="ab" * 16,
            credential=Shown(kind=CredentialKind.CARD, ref="cd" * 16, tail="1234"),
            values={"number": number},
        )
        await desk.ledger.append_campus([event], desk.clock.stamp())


def requirement_of(path: str, dependant: Dependant) -> Requirement:
    found = [part.call for part in dependant.dependencies if isinstance(part.call, Requirement)]
    assert len(found) == 1, f"{path} asks {len(found)} times who is calling"
    return found[0]


class Call(NamedTuple):
    method: str
    path: str
    asked: Requirement


def calls(desk: Desk) -> list[Call]:
    # Older FastAPI keeps included routes flat, newer behind contexts.
    found = list(getattr(routing, "iter_route_contexts", list)(desk.app.routes))
    assert len(found) >= 20
    return [
        Call(min(route.methods), re.sub(r"\{[^}]*\}", "x", route.path), requirement_of(route.path, route.dependant))
        for route in found
    ]


# --- who may call ---------------------------------------------------------------------------------------


async def test_every_route_asks_exactly_once_and_only_health_asks_for_nothing(desk: Desk) -> None:
    asked = {f"{call.method} {call.path}": call.asked for call in calls(desk)}
    special = {name: one.credential for name, one in asked.items() if one.credential is not Credential.ACCOUNT}
    assert special == {
        "GET /api/v1/health": Credential.NONE,
        "POST /api/v1/session": Credential.SIGN_IN,
        "POST /api/v1/setup": Credential.SETUP,
        "POST /api/v1/enrol": Credential.ENROLMENT,
    }
    assert all(one.roles for one in asked.values() if one.credential is Credential.ACCOUNT)


async def test_nobody_in_particular_gets_nothing_but_health(desk: Desk) -> None:
    async with desk.client() as client:
        for method, path, asked in calls(desk):
            answer = await client.request(method, path, json={})
            if asked.credential is Credential.NONE:
                assert answer.status_code == 200
            else:
                assert answer.status_code in {401, 422}, (path, answer.text)
                assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("role", list(Role))
async def test_a_role_opens_exactly_the_routes_that_name_it(desk: Desk, role: Role) -> None:
    token = await desk.token(role)
    async with desk.client(token) as client:
        for method, path, asked in calls(desk):
            # A stream that is allowed never ends; one that is not is refused like everything else.
            endless = path.endswith("/stream") and role in asked.roles
            if asked.credential is not Credential.ACCOUNT or endless:
                continue
            answer = await client.request(method, path, json={})
            if role in asked.roles:
                assert answer.status_code in {200, 201, 204, 404, 422}, (path, answer.status_code)
            else:
                assert answer.status_code == 403, (path, answer.status_code)


async def test_a_page_of_somebody_else_cannot_act_with_our_cookie(desk: Desk) -> None:
    await desk.campus.office.add_user("chen", PASSWORD, [Role.ADMIN], (await admin_scope()))
    async with desk.client() as client:
        signed = await client.post("/api/v1/session", json={"name": "chen", "password": PASSWORD})
        assert signed.status_code == 204
        cookie = signed.headers["set-cookie"].lower()
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        foreign = await client.delete("/api/v1/session", headers={"Origin": "http://evil.example"})
        assert (foreign.status_code, foreign.json()["code"]) == (403, "foreign_origin")
        assert (await client.get("/api/v1/me")).json()["name"] == "chen"
        assert (await client.delete("/api/v1/session", headers={"Origin": "http://campus"})).status_code == 204
        client.cookies.set(COOKIE, signed.cookies[COOKIE])
        assert (await client.get("/api/v1/me")).status_code == 401


async def admin_scope() -> Any:
    from aggregator.accounts import EVERYWHERE

    return EVERYWHERE


async def test_five_wrong_passwords_mean_a_wait_and_the_answer_never_repeats_them(desk: Desk) -> None:
    await desk.campus.office.add_user("chen", PASSWORD, [Role.GUARD], (await admin_scope()))
    async with desk.client() as client:
        answers = [
            await client.post("/api/v1/session", json={"name": "chen", "password": "CANARY-secret"}) for _ in range(7)
        ]
    assert answers[0].status_code == 401
    assert answers[-1].status_code == 429
    assert int(answers[-1].headers["retry-after"]) > 0
    assert not any("CANARY" in answer.text for answer in answers)


async def test_the_set_up_code_makes_one_administrator_once(desk: Desk) -> None:
    code = await desk.campus.office.setup_code()
    assert code is not None
    body = {"name": "admin", "password": PASSWORD}
    async with desk.client("wrong") as client:
        assert (await client.post("/api/v1/setup", json=body)).status_code == 403
    async with desk.client(code) as client:
        assert (await client.post("/api/v1/setup", json=body)).status_code == 204
        assert (await client.post("/api/v1/setup", json=body)).status_code == 403
    assert await desk.campus.office.setup_code() is None


# --- errors and limits ------------------------------------------------------------------------------------


async def test_errors_are_problems_with_codes_and_nothing_of_the_inside(desk: Desk) -> None:
    token = await desk.token(Role.ADMIN)
    async with desk.client(token) as client:
        cases = [
            (await client.get("/api/v1/nowhere"), 404, "not_found"),
            (await client.get("/api/v1/events/ff"), 404, "unknown_event"),
            (await client.put("/api/v1/events"), 405, "bad_method"),
            (await client.get("/api/v1/events?since=yesterday"), 422, "bad_time"),
            (await client.get("/api/v1/events?cursor=%21"), 422, "bad_cursor"),
            (await client.get("/api/v1/events?limit=0"), 422, "invalid"),
            (await client.post("/api/v1/users", content=b"x" * 2_000_000), 413, "too_large"),
        ]
    for answer, status, code in cases:
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_a_bug_of_ours_tells_nothing(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("SELECT secret")

    monkeypatch.setattr(desk.ledger, "page", fail)
    async with desk.client(await desk.token(Role.ADMIN)) as client:
        answer = await client.get("/api/v1/events")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "secret" not in answer.text


# --- events -----------------------------------------------------------------------------------------------


async def test_pages_have_no_hole_and_no_double_while_rows_arrive(desk: Desk) -> None:
    await fill(desk, 25)
    async with desk.client(await desk.token(Role.GUARD)) as client:
        seen: list[int] = []
        cursor = ""
        for _ in range(20):
            path = f"/api/v1/events?topic=AccessControl&limit=4{cursor}"
            page = (await client.get(path)).json()
            seen += [item["values"]["number"] for item in page["items"]]
            await fill(desk, 1, start=100 + len(seen))
            if page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
    assert seen == list(range(24, -1, -1))


@pytest.mark.parametrize(("role", "sees"), [(Role.GUARD, True), (Role.OPS, False), (Role.DISTRICT, False)])
async def test_only_some_roles_see_whose_it_was(desk: Desk, role: Role, sees: bool) -> None:
    await fill(desk, 1)
    async with desk.client(await desk.token(role)) as client:
        (item,) = (await client.get("/api/v1/events?topic=AccessControl")).json()["items"]
        one = (await client.get(f"/api/v1/events/{item['event_id']}")).json()
    assert one == item
    assert ("holder_ref" in item, "credential" in item) == (sees, sees)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", item["occurred"])


# --- the stream -------------------------------------------------------------------------------------------


async def collect(feed: Feed, after: int, until: int, *, people: bool = True) -> list[int]:
    positions: list[int] = []
    async with asyncio.timeout(20):
        async for frame in feed.watch(after, Wanted(), people=people):
            positions += [json.loads(item)["position"] for item in frame.items]
            if frame.position >= until:
                return positions
    raise AssertionError("the stream ended")


async def test_a_watcher_that_comes_back_misses_nothing_and_sees_nothing_twice(desk: Desk) -> None:
    feed = desk.campus.feed
    running = asyncio.create_task(feed.run())
    await fill(desk, 30)
    head = await desk.ledger.head()
    first = await collect(feed, 0, 10)
    await fill(desk, 30, start=30)
    second = await collect(feed, first[-1], head + 30)
    assert first + second == list(range(1, head + 31))
    running.cancel()


async def test_a_watcher_behind_the_ring_is_served_from_the_ledger(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aggregator.live.feed.RING_ROWS", 10)
    feed = Feed(desk.ledger)
    running = asyncio.create_task(feed.run())
    await asyncio.sleep(0)
    await fill(desk, 50)
    assert RING_ROWS > 10
    assert await collect(feed, 0, 50) == list(range(1, 51))
    assert len(feed._ring) <= 10
    running.cancel()


async def test_closing_the_feed_ends_every_stream(desk: Desk) -> None:
    feed = desk.campus.feed
    running = asyncio.create_task(feed.run())

    async def watch() -> int:
        return len([frame async for frame in feed.watch(0, Wanted(), people=True)])

    watchers = [asyncio.create_task(watch()) for _ in range(10)]
    await asyncio.sleep(0.05)
    assert feed.watchers == 10
    feed.close()
    async with asyncio.timeout(10):
        await asyncio.gather(*watchers)
    assert feed.watchers == 0
    running.cancel()
