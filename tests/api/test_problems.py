"""Errors: one form for all, nothing of the inside, nothing of what was sent."""

import sqlite3

import httpx
import pytest

from aggregator.accounts import EVERYWHERE, Role
from aggregator.api.envelope import BODY_BYTES_MAX, HEADERS
from tests.api.rig import PASSWORD, Rig

SECRET = "hunter2-hunter2"


def assert_problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    assert answer.status_code == status
    assert answer.headers["Content-Type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "code", "params"}
    assert (body["status"], body["code"]) == (status, code)
    for name, value in HEADERS.items():
        assert answer.headers[name] == value
    params = body["params"]
    assert isinstance(params, dict)
    return params


async def test_401(rig: Rig):
    async with rig.client() as client:
        assert_problem(await client.get("/api/v1/me"), 401, "not_signed_in")


async def test_403(rig: Rig):
    async with await rig.ask(Role.WALL) as client:
        assert_problem(await client.get("/api/v1/users"), 403, "not_allowed")


async def test_404_of_a_path_nobody_serves(rig: Rig):
    async with rig.client() as client:
        assert_problem(await client.get("/api/v1/nothing"), 404, "not_found")
        assert_problem(await client.get("/etc/passwd"), 404, "not_found")


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"events/{'ab' * 16}", "unknown_event"),
        ("events/not-an-id", "unknown_event"),
        ("events/é", "unknown_event"),
        ("events/" + "ab" * 500, "unknown_event"),
        ("edges/none", "unknown_edge"),
        ("devices/gate-1/none", "unknown_device"),
    ],
)
async def test_404_of_a_thing_that_is_not_there(rig: Rig, path: str, code: str):
    async with await rig.ask(Role.ADMIN) as client:
        params = assert_problem(await client.get(f"/api/v1/{path}"), 404, code)
    assert all(len(str(value)) <= 128 for value in params.values())


async def test_404_of_a_token(rig: Rig):
    async with await rig.ask(Role.ADMIN) as client:
        assert_problem(await client.delete("/api/v1/tokens/none"), 404, "unknown_token")


async def test_405_says_what_would_be_allowed(rig: Rig):
    async with rig.client() as client:
        answer = await client.delete("/api/v1/events")
    assert_problem(answer, 405, "bad_method")
    assert answer.headers["Allow"] == "GET"


async def test_413_before_the_body_is_read(rig: Rig):
    read = 0

    async def body():
        nonlocal read
        for _ in range(3):
            read += 1
            yield b"x" * 1024

    async with rig.client() as client:
        length = {"Content-Length": str(BODY_BYTES_MAX + 1)}
        params = assert_problem(await client.post("/api/v1/session", content=body(), headers=length), 413, "too_large")
    assert params == {"limit": BODY_BYTES_MAX}


async def test_a_body_that_does_not_say_how_long_it_is_is_not_read(rig: Rig):
    async def body():
        yield b"{}"

    async with rig.client() as client:
        assert_problem(await client.post("/api/v1/session", content=body()), 411, "length_required")


@pytest.mark.parametrize("length", ["-1", "ten", "1e3", "²"])
async def test_a_length_that_is_no_number(rig: Rig, length: str):
    async with rig.client() as client:
        answer = await client.post("/api/v1/session", content=b"{}", headers={"Content-Length": length.encode()})
    assert_problem(answer, 411, "length_required")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("session", {"name": "chen", "password": {"deep": SECRET}}),
        ("session", {"name": "chen", "password": SECRET * 40}),
        ("session", {"name": "chen", "password": SECRET, "pasword": SECRET}),
        ("users", {"name": SECRET + "!", "password": SECRET, "roles": ["guard"]}),
        ("users", {"name": "chen", "password": SECRET, "roles": [SECRET]}),
        ("tokens", {"name": "desk", "roles": ["guard"], "campuses": [SECRET + ",*"]}),
        ("tokens", {"name": "desk", "roles": ["guard"], "valid_days": SECRET}),
    ],
)
async def test_422_says_where_and_never_what(rig: Rig, path: str, body: dict[str, object]):
    async with await rig.ask(Role.ADMIN) as client:
        answer = await client.post(f"/api/v1/{path}", json=body)
    params = assert_problem(answer, 422, "invalid")
    assert params["findings"]
    assert SECRET not in answer.text


async def test_422_of_what_is_no_json_does_not_show_it(rig: Rig):
    async with await rig.ask(Role.ADMIN) as client:
        answer = await client.post(
            "/api/v1/session", content=f'{{"password": "{SECRET}', headers={"Content-Type": "application/json"}
        )
    assert_problem(answer, 422, "invalid")
    assert SECRET not in answer.text


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded"])
async def test_a_body_that_a_foreign_form_could_send_is_not_taken(rig: Rig, content_type: str):
    await rig.office.add_user("chen", PASSWORD, [Role.GUARD], EVERYWHERE)
    async with rig.client() as client:
        body = f'{{"name": "chen", "password": "{PASSWORD}"}}'
        answer = await client.post("/api/v1/session", content=body, headers={"Content-Type": content_type})
    assert_problem(answer, 422, "invalid")


async def test_500_shows_nothing_of_the_inside_and_is_logged(rig: Rig, caplog: pytest.LogCaptureFixture):
    rig.broken = True
    async with rig.client() as client:
        answer = await client.get("/api/v1/health")
    assert assert_problem(answer, 500, "internal") == {}
    assert "secret" not in answer.text
    (told,) = (record for record in caplog.records if "bug of ours" in record.message)
    assert told.exc_info is not None


async def test_503_while_the_disk_fails_tells_when_to_come_back(rig: Rig, monkeypatch: pytest.MonkeyPatch):
    async def page(*_: object, **__: object) -> list[object]:
        raise sqlite3.OperationalError("disk I/O error in /var/lib/campus/ledger.sqlite")

    async with await rig.ask(Role.ADMIN) as client:
        monkeypatch.setattr(rig.ledger, "page", page)
        answer = await client.get("/api/v1/events")
    assert assert_problem(answer, 503, "store_failing") == {}
    assert int(answer.headers["Retry-After"]) > 0
    assert "/var/lib" not in answer.text


@pytest.mark.parametrize("path", ["health", "me", "events", "openapi.json", "nothing"])
async def test_every_answer_carries_the_headers_that_keep_a_browser_safe(rig: Rig, path: str):
    async with await rig.ask(Role.ADMIN) as client:
        answer = await client.get(f"/api/v1/{path}")
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    assert "server" not in answer.headers
