"""Every route against every role, made from the application itself, so that a new route is tested at once."""

from collections.abc import Iterator
from typing import Any, NamedTuple, cast

import httpx
import pytest
from fastapi import routing
from fastapi.dependencies.models import Dependant

from aggregator.accounts import Role, Scope
from aggregator.api import create_app
from aggregator.api.campus import Campus
from aggregator.api.guard import COOKIE, Credential, Requirement
from aggregator.console import add_console
from aggregator.console.entrance import Entrance
from tests.api.rig import Rig

# Routes that do not ask for an account, and what they ask for instead. Anything added here is a decision.
WITHOUT_ACCOUNT = {
    "GET /api/v1/health": Credential.NONE,
    "POST /api/v1/session": Credential.SIGN_IN,
    "POST /api/v1/setup": Credential.SETUP,
    "POST /api/v1/enrol": Credential.ENROLMENT,
    "GET /sign-in": Credential.NONE,
    "GET /set-up": Credential.NONE,
    "GET /assets/{name}": Credential.NONE,
}
BODIES: dict[str, dict[str, Any]] = {
    "POST /api/v1/session": {"name": "chen", "password": "not the one"},
    "POST /api/v1/setup": {"name": "chen", "password": "long enough to be one"},
    "POST /api/v1/enrol": {"edge": "gate-1", "public_key": "ab" * 32},
    "POST /api/v1/users": {"name": "wang", "password": "long enough to be one", "roles": ["guard"]},
    "POST /api/v1/tokens": {"name": "wall", "roles": ["wall"]},
    "POST /api/v1/commands": {"device": "gate-9/face-9", "name": "AccessDoor"},
    "POST /api/v1/alarms/{alarm_id}/resolve": {"cause": "false", "note": "a cat"},
    "PUT /api/v1/edges/{edge}/documents/{name}": {"schema": 1, "devices": {}},
}


HEADERS = {"POST /api/v1/commands": {"Idempotency-Key": "key-of-the-test"}}


class Route(NamedTuple):
    """One method on one path, with everything that guards it."""

    name: str
    path: str
    requirements: list[Requirement]

    @property
    def requirement(self) -> Requirement:
        return self.requirements[0]

    async def call(self, client: httpx.AsyncClient) -> httpx.Response:
        parts = {"edge": "gate-9", "name": "face-9", "resource": "temperature", "event_id": "ab" * 16}
        parts["alarm_id"] = "ab" * 16
        path = self.path.format(**parts, token_id="none", command_id="ab" * 16)
        return await client.request(
            self.name.split()[0], path, json=BODIES.get(self.name), headers=HEADERS.get(self.name)
        )


def requirements_in(dependant: Dependant) -> Iterator[Requirement]:
    for inner in dependant.dependencies:
        if isinstance(inner.call, Requirement):
            yield inner.call
        yield from requirements_in(inner)


def all_routes() -> list[Route]:
    app = add_console(create_app(cast("Campus", None)))
    # Older FastAPI keeps included routes flat, newer behind contexts.
    contexts = getattr(routing, "iter_route_contexts", list)(app.routes)
    return [
        Route(f"{method} {context.path}", context.path, list(requirements_in(context.dependant)))
        for context in contexts
        for method in sorted(context.methods)
    ]


ROUTES = all_routes()
GUARDED = [route for route in ROUTES if route.name not in WITHOUT_ACCOUNT]
each_route = pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
each_guarded = pytest.mark.parametrize("route", GUARDED, ids=lambda route: route.name)


def test_the_walk_finds_the_routes():
    assert len(ROUTES) >= 20
    assert {"GET /api/v1/stream", "GET /api/v1/events", "DELETE /api/v1/tokens/{token_id}"} <= {r.name for r in ROUTES}


@each_route
def test_every_route_has_exactly_one_guard(route: Route):
    assert len(route.requirements) == 1


@each_route
def test_only_the_listed_routes_ask_for_no_account(route: Route):
    assert route.requirement.credential is WITHOUT_ACCOUNT.get(route.name, Credential.ACCOUNT)
    assert bool(route.requirement.roles) is (route.name not in WITHOUT_ACCOUNT)


@pytest.mark.parametrize(
    "route", [r for r in ROUTES if r.requirement.credential is not Credential.NONE], ids=lambda route: route.name
)
async def test_nobody_gets_in_without_a_credential(rig: Rig, route: Route):
    async with rig.client() as client:
        answer = await route.call(client)
    if isinstance(route.requirement, Entrance):
        assert (answer.status_code, answer.headers["Location"].partition("?")[0]) == (303, "/sign-in")
        return
    assert answer.status_code == 401
    assert answer.json()["code"] in {"not_signed_in", "sign_in_refused"}


async def test_health_is_for_everybody(rig: Rig):
    async with rig.client() as client:
        assert (await client.get("/api/v1/health")).status_code == 200


@each_guarded
async def test_each_role_gets_where_its_guard_names_it_and_nowhere_else(rig: Rig, route: Route):
    rig.campus.feed.close()  # A stream that begins ends at once.
    rig.campus.hub.close()
    got_in, refused = set(), set()
    for role in Role:
        async with await rig.ask(role) as client:
            answer = await route.call(client)
        if answer.status_code == 403:
            assert answer.json()["code"] == "not_allowed"
            refused.add(role)
        else:
            assert answer.status_code in {200, 201, 204, 303, 404}, answer.text
            got_in.add(role)
    assert got_in == set(route.requirement.roles)
    assert refused == set(Role) - got_in


@each_guarded
async def test_a_bad_token_is_no_token_even_beside_a_good_session(rig: Rig, route: Route):
    async with rig.signed_in() as client:
        for said in ("Bearer", "Bearer nonsense", "Bearer cmp_" + "0" * 48, "Basic Y2hlbjpjaGVu", ""):
            client.headers["Authorization"] = said
            answer = await route.call(client)
            assert answer.status_code == 401
            assert answer.headers["WWW-Authenticate"] == "Bearer"


@each_guarded
async def test_a_scope_for_another_campus_opens_nothing(rig: Rig, route: Route):
    async with rig.client(await rig.token(*Role, scope=Scope(frozenset({"other-school"})))) as client:
        answer = await route.call(client)
    assert answer.status_code == 403


async def test_a_scope_for_this_campus_opens_it(rig: Rig):
    async with rig.client(await rig.token(Role.GUARD, scope=Scope(frozenset({rig.campus.name})))) as client:
        assert (await client.get("/api/v1/events")).status_code == 200


@pytest.mark.parametrize("route", [route for route in GUARDED if route.name[:3] != "GET"], ids=lambda route: route.name)
async def test_a_page_of_somebody_else_cannot_act_with_our_cookie(rig: Rig, route: Route):
    async with rig.signed_in() as client:
        for origin in ("http://evil.test", "http://campus.test.evil.test", "http://campus.test:81", "null", ""):
            client.headers["Origin"] = origin
            refused = await route.call(client)
            assert (refused.status_code, refused.json()["code"]) == (403, "foreign_origin")
        client.headers["Origin"] = "http://campus.test"
        assert (await route.call(client)).status_code in {201, 204, 404}


async def test_a_page_of_somebody_else_cannot_sign_anybody_in(rig: Rig):
    async with rig.client(Origin="http://evil.test") as client:
        answer = await client.post("/api/v1/session", json={"name": "chen", "password": "x"})
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert COOKIE not in answer.cookies
