"""Set-up, sign-in, people, tokens and the book, as a browser or a program meets them."""

from http.cookies import SimpleCookie
from typing import Any

import httpx
import pytest

from aggregator.accounts import EVERYWHERE, Role
from aggregator.accounts.office import BACK_OFF_S, TRIES
from aggregator.accounts.roles import IDLE_S
from aggregator.api.guard import COOKIE
from tests.api.rig import PASSWORD, Rig

ADMIN = {"name": "chen", "password": PASSWORD}


async def test_a_set_up_code_makes_one_administrator_and_no_second(rig: Rig):
    code = await rig.office.setup_code()
    assert code is not None
    async with rig.client(code) as client:
        assert (await client.post("/api/v1/setup", json=ADMIN)).status_code == 204
        again = await client.post("/api/v1/setup", json={"name": "eve", "password": PASSWORD})
        assert (again.status_code, again.json()["code"]) == (403, "setup_refused")
    assert await rig.office.setup_code() is None
    async with rig.client() as client:
        assert (await client.post("/api/v1/session", json=ADMIN)).status_code == 204
        assert (await client.get("/api/v1/me")).json()["roles"] == ["admin"]
        assert (await client.post("/api/v1/session", json={"name": "eve", "password": PASSWORD})).status_code == 401


async def test_a_wrong_set_up_code_opens_nothing_and_leaves_the_right_one_good(rig: Rig):
    code = await rig.office.setup_code()
    assert code is not None
    async with rig.client("wrong" + code) as client:
        assert (await client.post("/api/v1/setup", json=ADMIN)).status_code == 403
    async with rig.client(code) as client:
        assert (await client.post("/api/v1/setup", json=ADMIN)).status_code == 204


async def test_a_password_that_is_too_short_leaves_the_code_good(rig: Rig):
    code = await rig.office.setup_code()
    assert code is not None
    async with rig.client(code) as client:
        assert (await client.post("/api/v1/setup", json={"name": "chen", "password": "short"})).status_code == 422
        assert (await client.post("/api/v1/setup", json=ADMIN)).status_code == 204


def cookie_of(answer: httpx.Response) -> Any:
    return SimpleCookie(answer.headers["Set-Cookie"])[COOKIE]


@pytest.mark.parametrize("secure", [False, True])
async def test_the_session_cookie_is_kept_from_scripts_and_from_other_sites(rig: Rig, secure: bool):
    object.__setattr__(rig.campus, "secure_cookies", secure)
    await rig.office.add_user("chen", PASSWORD, [Role.GUARD], EVERYWHERE)
    async with rig.client() as client:
        cookie = cookie_of(await client.post("/api/v1/session", json=ADMIN))
    assert cookie["httponly"] is True
    assert cookie["samesite"].lower() == "strict"
    assert cookie["path"] == "/"
    assert bool(cookie["secure"]) is secure
    assert not cookie["domain"]
    assert len(cookie.value) >= 32


async def test_signing_out_ends_the_session_everywhere(rig: Rig):
    async with rig.signed_in() as client, rig.client() as thief:
        thief.cookies.set(COOKIE, client.cookies[COOKIE])
        assert (await thief.get("/api/v1/me")).status_code == 200
        answer = await client.delete("/api/v1/session")
        assert answer.status_code == 204
        assert cookie_of(answer).value == ""
        assert COOKIE not in client.cookies
        assert (await thief.get("/api/v1/me")).status_code == 401


async def test_each_sign_in_is_a_session_of_its_own(rig: Rig):
    async with rig.signed_in() as one, rig.client() as other:
        await other.post("/api/v1/session", json=ADMIN)
        assert one.cookies[COOKIE] != other.cookies[COOKIE]
        await other.delete("/api/v1/session")
        assert (await one.get("/api/v1/me")).status_code == 200


async def test_a_session_that_nobody_used_ends(rig: Rig):
    async with rig.signed_in("chen", Role.GUARD) as client:
        rig.clock.advance(IDLE_S[Role.GUARD] - 1)
        assert (await client.get("/api/v1/me")).status_code == 200
        rig.clock.advance(IDLE_S[Role.GUARD] + 1)
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_after_five_wrong_passwords_even_the_right_one_waits(rig: Rig):
    await rig.office.add_user("chen", PASSWORD, [Role.GUARD], EVERYWHERE)
    async with rig.client() as client:
        answers = [
            await client.post("/api/v1/session", json={"name": "chen", "password": f"wrong {n}"}) for n in range(TRIES)
        ]
        assert [answer.status_code for answer in answers] == [401] * (TRIES - 1) + [429]
        assert {answer.json()["code"] for answer in answers} == {"sign_in_refused"}
        assert not any("wrong" in answer.text for answer in answers)
        refused = await client.post("/api/v1/session", json=ADMIN)
        assert refused.status_code == 429
        wait_s = int(refused.headers["Retry-After"])
        assert BACK_OFF_S <= wait_s <= BACK_OFF_S + 1
        assert COOKIE not in client.cookies
        rig.clock.advance(wait_s)
        assert (await client.post("/api/v1/session", json=ADMIN)).status_code == 204


async def test_a_name_that_nobody_has_is_refused_like_a_wrong_password(rig: Rig):
    await rig.office.add_user("chen", PASSWORD, [Role.GUARD], EVERYWHERE)
    async with rig.client() as client:
        known = await client.post("/api/v1/session", json={"name": "chen", "password": "wrong"})
        unknown = await client.post("/api/v1/session", json={"name": "nobody", "password": "wrong"})
    assert known.json() == unknown.json()
    assert known.status_code == unknown.status_code == 401


async def test_people(rig: Rig):
    async with await rig.ask(Role.ADMIN) as client:
        new = {"name": "wang", "password": PASSWORD, "roles": ["guard", "lead"], "campuses": [rig.campus.name]}
        assert (await client.post("/api/v1/users", json=new)).status_code == 201
        taken = await client.post("/api/v1/users", json=new)
        assert (taken.status_code, taken.json()["code"]) == (409, "name_taken")
        answer = await client.get("/api/v1/users")
    (wang,) = answer.json()["items"]
    assert wang.pop("created").endswith("Z")
    assert wang == {"name": "wang", "roles": ["guard", "lead"], "campuses": [rig.campus.name], "disabled": False}
    assert "argon2" not in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "@cli"},
        {"name": ""},
        {"name": "王"},
        {"password": "short"},
        {"roles": []},
        {"roles": ["god"]},
        {"campuses": []},
        {"campuses": ["a,*"]},
        {"campuses": [""]},
        {"admin": True},
    ],
)
async def test_a_person_who_cannot_be_is_refused(rig: Rig, wrong: dict[str, Any]):
    async with await rig.ask(Role.ADMIN) as client:
        body = {"name": "wang", "password": PASSWORD, "roles": ["guard"]} | wrong
        assert (await client.post("/api/v1/users", json=body)).status_code == 422
    assert await rig.office.users() == []


async def test_a_token_is_shown_once_works_and_is_revoked(rig: Rig):
    async with await rig.ask(Role.ADMIN) as client:
        made = await client.post("/api/v1/tokens", json={"name": "wall-1", "roles": ["wall"], "valid_days": 30})
        secret = made.json()["token"]
        listed = await client.get("/api/v1/tokens")
        assert secret not in listed.text
        (entry,) = [item for item in listed.json()["items"] if item["name"] == "wall-1"]
        assert (entry["roles"], entry["revoked"]) == (["wall"], None)
        async with rig.client(secret) as wall:
            assert (await wall.get("/api/v1/edges")).status_code == 200
            assert (await client.delete(f"/api/v1/tokens/{entry['id']}")).status_code == 204
            assert (await wall.get("/api/v1/edges")).status_code == 401
        again = await client.delete(f"/api/v1/tokens/{entry['id']}")
        assert (again.status_code, again.json()["code"]) == (404, "unknown_token")


async def test_a_token_ends_on_its_day(rig: Rig):
    async with await rig.ask(Role.GUARD) as client:
        rig.clock.advance(86_399)
        assert (await client.get("/api/v1/me")).status_code == 200
        rig.clock.advance(1)
        assert (await client.get("/api/v1/me")).status_code == 401


async def test_the_book_says_who_did_what_and_never_a_secret(rig: Rig):
    async with rig.signed_in() as client:
        made = (await client.post("/api/v1/tokens", json={"name": "desk", "roles": ["ops"]})).json()
        (token,) = (await client.get("/api/v1/tokens")).json()["items"]
        await client.delete(f"/api/v1/tokens/{token['id']}")
        await client.post("/api/v1/users", json={"name": "wang", "password": PASSWORD, "roles": ["guard"]})
        answer = await client.get("/api/v1/audit")
    said = [(item["actor"], item["action"], item["target"], item["result"]) for item in answer.json()["items"]]
    assert sorted(said) == sorted(
        [
            ("chen", "user.add", "wang", "done"),
            ("chen", "token.revoke", token["id"], "done"),
            ("chen", "token.create", "desk", "done"),
            ("chen", "sign_in", "chen", "done"),
        ]
    )
    assert PASSWORD not in answer.text
    assert made["token"] not in answer.text


@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_pages_of_the_book_have_no_hole_even_within_one_moment(rig: Rig, limit: int):
    for number in range(10):  # The clock stands still: all of one nanosecond.
        await rig.office.record("chen", "try", str(number), "done", "")
    rig.clock.advance(1)
    await rig.office.record("chen", "try", "10", "done", "")
    seen: list[str] = []
    async with await rig.ask(Role.LEAD) as client:
        cursor: dict[str, Any] = {}
        while True:
            body = (await client.get("/api/v1/audit", params={"limit": limit, **cursor})).json()
            seen += [item["target"] for item in body["items"]]
            if body["next"] is None:
                break
            cursor = {"cursor": body["next"]}
    assert seen[0] == "10"
    assert sorted(seen, key=int) == [str(number) for number in range(11)]


@pytest.mark.parametrize("cursor", ["", "x", "cDU", "MTIz"])
async def test_a_cursor_of_the_book_that_we_did_not_make_is_refused(rig: Rig, cursor: str):
    async with await rig.ask(Role.LEAD) as client:
        answer = await client.get("/api/v1/audit", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_cursor")


async def test_me(rig: Rig):
    async with rig.signed_in("chen", Role.GUARD, Role.LEAD) as client:
        body = (await client.get("/api/v1/me")).json()
    assert (body["name"], body["kind"], body["roles"]) == ("chen", "user", ["guard", "lead"])
    assert body["campus"] == {
        "name": rig.campus.name,
        "display_name": "示范学校",
        "display_name_en": "Demo school",
        "zone": "Asia/Shanghai",
    }


async def test_a_box_joins_with_its_token_as_bearer_and_once(rig: Rig):
    token = await rig.campus.enrolment.issue("gate-2")
    body = {"edge": "gate-2", "public_key": "ab" * 32, "software": "1.0"}
    async with rig.client(token) as client:
        answer = await client.post("/api/v1/enrol", json=body)
        assert answer.status_code == 200
        assert answer.json() == {
            "campus": rig.campus.name,
            "broker": {"host": "broker.test", "port": 1883, "username": "gate-2", "password": ""},
            "campus_key": (b"k" * 32).hex(),
            "aggregator_public_key": "ee" * 32,
        }
        again = await client.post("/api/v1/enrol", json=body)
        assert (again.status_code, again.json()["code"]) == (403, "token_used")
        assert (await client.get("/api/v1/me")).status_code == 401  # It opens nothing else.
    async with await rig.ask(Role.LEAD) as client:
        book = await client.get("/api/v1/audit")
    said = [(item["actor"], item["action"], item["target"], item["result"]) for item in book.json()["items"]]
    assert sorted(said) == [
        ("@enrolment", "edge.enrol", "gate-2", "done"),
        ("@enrolment", "edge.enrol", "gate-2", "token_used"),
    ]
    assert token not in book.text


@pytest.mark.parametrize("key", ["ab" * 31, "AB" * 32, "zz" * 32, ""])
async def test_a_key_that_is_none_does_not_use_the_token_up(rig: Rig, key: str):
    token = await rig.campus.enrolment.issue("gate-2")
    async with rig.client(token) as client:
        assert (await client.post("/api/v1/enrol", json={"edge": "gate-2", "public_key": key})).status_code == 422
        good = await client.post("/api/v1/enrol", json={"edge": "gate-2", "public_key": "ab" * 32})
        assert good.status_code == 200
