"""People, sessions, tokens and the book."""

import asyncio

import pytest

from aggregator.accounts import EVERYWHERE, Office, Role, Scope, SignInRefused, UnknownAccount
from aggregator.accounts.office import (
    BACK_OFF_S,
    PASSWORD_LENGTH_MIN,
    TOKEN_PREFIX,
    TOUCH_EVERY_S,
    TRIES,
    UNKNOWN_NAME,
    VALID_DAYS_MAX,
    WATCHED_MAX,
)
from aggregator.accounts.roles import IDLE_S
from tests.accounts.conftest import Rig
from wire.records import Event, decode_record, encode_record
from wire.topics import CAMPUS_NODE, Lane, lane_of

PASSWORD = "correct horse battery"
WRONG = "wrong horse battery"
DESK, STRANGER = "10.0.0.5", "203.0.113.9"


async def wrong(office: Office, name: str = "li", address: str = DESK) -> float:
    """One wrong try; returns what there is to wait."""
    with pytest.raises(SignInRefused) as refused:
        await office.sign_in(name, WRONG, address)
    return refused.value.wait_s


# --- set-up -------------------------------------------------------------------------------------------


async def test_the_first_administrator_is_made_with_the_code_and_only_once(office: Office) -> None:
    code = await office.setup_code()
    assert code is not None
    await office.complete_setup(code, "root", PASSWORD, DESK)
    with pytest.raises(SignInRefused):
        await office.complete_setup(code, "second", PASSWORD, DESK)
    assert [(user["name"], user["roles"], user["scope"]) for user in await office.users()] == [("root", "admin", "*")]
    principal = await office.session(await office.sign_in("root", PASSWORD, DESK))
    assert principal is not None
    assert principal.roles == {Role.ADMIN}


async def test_there_is_no_code_once_there_is_somebody(office: Office) -> None:
    old = await office.setup_code()
    await office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    assert await office.setup_code() is None
    assert old is not None
    with pytest.raises(SignInRefused):
        await office.complete_setup(old, "root", PASSWORD, DESK)


async def test_only_the_newest_code_counts(office: Office) -> None:
    old, new = await office.setup_code(), await office.setup_code()
    assert old is not None
    assert new is not None
    assert old != new
    with pytest.raises(SignInRefused):
        await office.complete_setup(old, "root", PASSWORD, DESK)
    await office.complete_setup(new, "root", PASSWORD, DESK)


async def test_a_wrong_code_makes_nobody_and_uses_nothing_up(office: Office) -> None:
    code = await office.setup_code()
    assert code is not None
    with pytest.raises(SignInRefused):
        await office.complete_setup("0" * 48, "root", PASSWORD, DESK)
    assert await office.users() == []
    await office.complete_setup(code, "root", PASSWORD, DESK)


async def test_two_who_have_the_code_at_once_make_one_administrator(office: Office) -> None:
    code = await office.setup_code()
    assert code is not None
    outcomes = await asyncio.gather(
        *(office.complete_setup(code, name, PASSWORD, DESK) for name in ("one", "two")), return_exceptions=True
    )
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["NoneType", "SignInRefused"]
    assert len(await office.users()) == 1


# --- people -------------------------------------------------------------------------------------------


async def test_a_short_password_is_taken_nowhere(office: Office) -> None:
    short, enough = "x" * (PASSWORD_LENGTH_MIN - 1), "x" * PASSWORD_LENGTH_MIN
    code = await office.setup_code()
    assert code is not None
    with pytest.raises(ValueError, match="short_password"):
        await office.complete_setup(code, "root", short, DESK)
    await office.complete_setup(code, "root", enough, DESK)
    with pytest.raises(ValueError, match="short_password"):
        await office.add_user("li", short, [Role.GUARD], EVERYWHERE)
    with pytest.raises(ValueError, match="short_password"):
        await office.set_password("root", short)
    assert await office.sign_in("root", enough, DESK)


async def test_a_name_is_taken_once(office: Office) -> None:
    await office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    with pytest.raises(UnknownAccount):
        await office.add_user("li", WRONG, [Role.ADMIN], EVERYWHERE)
    assert await office.sign_in("li", PASSWORD, DESK)


async def test_a_list_of_people_holds_no_password_hash(office: Office) -> None:
    await office.add_user("li", PASSWORD, [Role.GUARD, Role.LEAD], Scope(frozenset({"north", "east"})))
    (user,) = await office.users()
    assert user.keys() == {"name", "roles", "scope", "created_ns", "disabled"}
    assert (user["roles"], user["scope"]) == ("guard,lead", "east,north")


async def test_a_new_password_ends_every_session_of_that_person_and_of_no_other(office: Office) -> None:
    for name in ("li", "wang"):
        await office.add_user(name, PASSWORD, [Role.GUARD], EVERYWHERE)
    mine = [await office.sign_in("li", PASSWORD, DESK) for _ in range(2)]
    other = await office.sign_in("wang", PASSWORD, DESK)
    await office.set_password("li", "another horse battery")
    assert [await office.session(secret) for secret in mine] == [None, None]
    assert await office.session(other) is not None
    await wrong(office)
    with pytest.raises(SignInRefused):
        await office.sign_in("li", PASSWORD, DESK)
    assert await office.sign_in("li", "another horse battery", DESK)


async def test_the_password_of_nobody_cannot_be_set(office: Office) -> None:
    with pytest.raises(UnknownAccount):
        await office.set_password("nobody", PASSWORD)


# --- tries --------------------------------------------------------------------------------------------


async def test_after_five_wrong_tries_even_the_right_password_waits(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    assert [await wrong(rig.office) for _ in range(TRIES)] == [0.0] * (TRIES - 1) + [BACK_OFF_S]
    rig.clock.advance(BACK_OFF_S - 1)
    with pytest.raises(SignInRefused) as refused:
        await rig.office.sign_in("li", PASSWORD, DESK)
    assert refused.value.wait_s == pytest.approx(1)
    rig.clock.advance(1)
    assert await rig.office.sign_in("li", PASSWORD, DESK)


async def test_the_wait_doubles_up_to_about_an_hour(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    waits = []
    for _ in range(TRIES + 8):
        waits.append(await wrong(rig.office))
        rig.clock.advance(waits[-1])
    assert waits[TRIES - 1 :] == [BACK_OFF_S * 2**n for n in (0, 1, 2, 3, 4, 5, 6, 6, 6)]


async def test_a_success_forgets_the_tries_before_it(office: Office) -> None:
    await office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    for _ in range(3):
        for _ in range(TRIES - 1):
            assert await wrong(office) == 0
        await office.sign_in("li", PASSWORD, DESK)


async def test_a_stranger_locks_nobody_else_out(office: Office) -> None:
    for name in ("li", "wang"):
        await office.add_user(name, PASSWORD, [Role.GUARD], EVERYWHERE)
    for _ in range(TRIES):
        await wrong(office, address=STRANGER)
    with pytest.raises(SignInRefused):
        await office.sign_in("li", PASSWORD, STRANGER)
    assert await office.sign_in("li", PASSWORD, DESK)
    assert await office.sign_in("wang", PASSWORD, STRANGER)


async def test_many_tries_at_once_are_no_more_than_one_after_the_other(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    outcomes = await asyncio.gather(
        *(rig.office.sign_in("li", WRONG, STRANGER) for _ in range(30)), return_exceptions=True
    )
    assert {type(outcome) for outcome in outcomes} == {SignInRefused}
    assert rig.hasher.verified == TRIES


async def test_a_wait_is_not_shortened_by_a_step_of_the_wall_clock(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    for _ in range(TRIES):
        await wrong(rig.office)
    rig.clock.step_wall(86_400)
    with pytest.raises(SignInRefused):
        await rig.office.sign_in("li", PASSWORD, DESK)


async def test_tries_under_many_names_take_bounded_memory_and_keep_the_latest(rig: Rig) -> None:
    tries = rig.office._tries
    for number in range(WATCHED_MAX):
        tries.begin((STRANGER, f"name-{number}"), 0)
    for _ in range(TRIES):
        tries.begin((STRANGER, "li"), 0)
    for number in range(WATCHED_MAX - 1):
        tries.begin((STRANGER, f"more-{number}"), 0)
    assert len(tries._begun) == WATCHED_MAX
    assert tries.wait_s((STRANGER, "li"), 0) == BACK_OFF_S


async def test_an_unknown_name_takes_the_same_path_as_a_wrong_password(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    assert await wrong(rig.office, "li") == await wrong(rig.office, "nobody") == 0
    # Both cost one Argon2, so the time of an answer says nothing about who exists.
    assert rig.hasher.verified == 2
    for _ in range(TRIES - 2):
        await wrong(rig.office, "nobody")
    assert await wrong(rig.office, "nobody") == BACK_OFF_S


async def test_somebody_disabled_cannot_sign_in_and_takes_the_same_path(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    secret = await rig.office.sign_in("li", PASSWORD, DESK)
    await rig.db.write(lambda connection: connection.execute("UPDATE users SET disabled = 1"))
    before = rig.hasher.verified
    with pytest.raises(SignInRefused):
        await rig.office.sign_in("li", PASSWORD, DESK)
    assert rig.hasher.verified == before + 1
    assert await rig.office.session(secret) is None


# --- sessions -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", list(Role))
async def test_a_session_ends_when_it_is_not_used_for_as_long_as_its_role_allows(rig: Rig, role: Role) -> None:
    await rig.office.add_user("li", PASSWORD, [role], EVERYWHERE)
    secret = await rig.office.sign_in("li", PASSWORD, DESK)
    rig.clock.advance(IDLE_S[role])
    assert await rig.office.session(secret) is not None
    rig.clock.advance(IDLE_S[role] + 1)
    assert await rig.office.session(secret) is None
    # And it is gone, not only hidden: the clock going back does not bring it to life.
    rig.clock.step_wall(-2 * IDLE_S[role])
    assert await rig.office.session(secret) is None


async def test_the_most_careful_role_decides(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.GUARD, Role.ADMIN], EVERYWHERE)
    secret = await rig.office.sign_in("li", PASSWORD, DESK)
    rig.clock.advance(IDLE_S[Role.ADMIN] + 1)
    assert await rig.office.session(secret) is None


async def test_a_session_in_use_goes_on(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.ADMIN], EVERYWHERE)
    secret = await rig.office.sign_in("li", PASSWORD, DESK)
    for _ in range(10):
        rig.clock.advance(IDLE_S[Role.ADMIN] - 1)
        assert await rig.office.session(secret) is not None


async def test_a_use_is_written_at_most_once_a_minute(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.ADMIN], EVERYWHERE)
    secret = await rig.office.sign_in("li", PASSWORD, DESK)

    async def used_ns() -> int:
        return await rig.db.write(lambda connection: connection.execute("SELECT used_ns FROM sessions").fetchone()[0])

    begun = await used_ns()
    rig.clock.advance(TOUCH_EVERY_S)
    await rig.office.session(secret)
    assert await used_ns() == begun
    rig.clock.advance(1)
    await rig.office.session(secret)
    assert await used_ns() == rig.clock.wall_ns()


async def test_a_clock_that_steps_back_ends_no_session(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.ADMIN], EVERYWHERE)
    secret = await rig.office.sign_in("li", PASSWORD, DESK)
    rig.clock.step_wall(-86_400)
    assert await rig.office.session(secret) is not None


async def test_signing_out_ends_this_session_only(office: Office) -> None:
    await office.add_user("li", PASSWORD, [Role.GUARD], Scope(frozenset({"north"})))
    here, there = [await office.sign_in("li", PASSWORD, DESK) for _ in range(2)]
    assert here != there
    await office.sign_out(here)
    await office.sign_out("never was one")
    assert await office.session(here) is None
    principal = await office.session(there)
    assert principal is not None
    assert (principal.kind, principal.name, principal.scope.campuses) == ("user", "li", {"north"})
    assert principal.id not in {here, there, ""}


async def test_no_secret_opens_nothing(office: Office) -> None:
    for secret in ("", "0" * 48, "' OR 1=1 --"):
        assert await office.session(secret) is None
        assert await office.token(secret) is None


# --- tokens -------------------------------------------------------------------------------------------


async def test_a_token_stands_for_its_roles_and_scope_until_its_last_day_is_over(rig: Rig) -> None:
    secret = await rig.office.create_token("report", [Role.OPS], Scope(frozenset({"north"})), valid_days=2)
    assert secret.startswith(TOKEN_PREFIX)
    rig.clock.advance(2 * 86_400 - 1)
    principal = await rig.office.token(secret)
    assert principal is not None
    assert (principal.kind, principal.name, principal.roles) == ("token", "report", {Role.OPS})
    assert principal.scope.covers("north")
    assert not principal.scope.covers("south")
    rig.clock.advance(1)
    assert await rig.office.token(secret) is None


async def test_a_revoked_token_opens_nothing_and_its_neighbour_still_does(rig: Rig) -> None:
    revoked, kept = [
        await rig.office.create_token(name, [Role.OPS], EVERYWHERE, valid_days=1) for name in ("first", "second")
    ]
    listed = {row["name"]: row for row in await rig.office.tokens()}
    assert listed["first"].keys() == {
        "id", "name", "prefix", "roles", "scope", "created_ns", "expires_ns", "revoked_ns",
    }  # fmt: skip
    assert revoked.startswith(listed["first"]["prefix"])
    assert len(listed["first"]["prefix"]) == len(TOKEN_PREFIX) + 4
    await rig.office.revoke_token(listed["first"]["id"])
    assert await rig.office.token(revoked) is None
    assert await rig.office.token(kept) is not None
    for unknown in (listed["first"]["id"], "no such token"):
        with pytest.raises(UnknownAccount):
            await rig.office.revoke_token(unknown)


@pytest.mark.parametrize("days", [0, -1, VALID_DAYS_MAX + 1])
async def test_a_token_has_an_end_and_a_life(office: Office, days: int) -> None:
    with pytest.raises(ValueError, match="token_days"):
        await office.create_token("report", [Role.OPS], EVERYWHERE, valid_days=days)
    assert await office.tokens() == []


async def test_a_token_is_no_session_and_a_session_no_token(office: Office) -> None:
    await office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    session = await office.sign_in("li", PASSWORD, DESK)
    token = await office.create_token("report", [Role.OPS], EVERYWHERE, valid_days=1)
    assert await office.session(token) is None
    assert await office.token(session) is None


# --- the book -----------------------------------------------------------------------------------------


async def test_every_sign_in_stands_in_the_book_and_in_the_ledger(rig: Rig) -> None:
    await rig.office.add_user("li", PASSWORD, [Role.GUARD], EVERYWHERE)
    await wrong(rig.office)
    rig.clock.advance(1)
    await rig.office.sign_in("li", PASSWORD, DESK)
    rows = await rig.office.audit(2**63 - 1, 10)
    assert [(row["actor"], row["action"], row["result"], row["address"]) for row in rows] == [
        ("li", "sign_in", "done", DESK),
        ("li", "sign_in", "refused", DESK),
    ]
    assert [record.id for record in rig.ledger] == [row["id"] for row in reversed(rows)]
    for record in rig.ledger:
        assert isinstance(record, Event)
        assert (record.topic, record.device) == ("Audit/Entry", CAMPUS_NODE)
        assert lane_of(record.topic) is Lane.S
        assert decode_record(encode_record(record)) == record
    assert rig.ledger[0].values == {"actor": "li", "action": "sign_in", "target": "li", "result": "refused"}


async def test_the_book_is_read_from_the_newest_in_pages(rig: Rig) -> None:
    for number in range(5):
        await rig.office.record("li", f"step-{number}", "door-1", "done", DESK)
        rig.clock.advance(1)
    first = await rig.office.audit(2**63 - 1, 2)
    second = await rig.office.audit(first[-1]["at_ns"], 10)
    assert [row["action"] for row in first + second] == [f"step-{number}" for number in (4, 3, 2, 1, 0)]


async def test_two_entries_of_one_moment_are_two(rig: Rig) -> None:
    for _ in range(2):
        await rig.office.record("li", "unlock", "door-1", "done", DESK)
    assert len(await rig.office.audit(2**63 - 1, 10)) == 2
    assert len({record.id for record in rig.ledger}) == 2


async def test_what_is_endlessly_long_is_cut_in_the_book(rig: Rig) -> None:
    await rig.office.record("a" * 10_000, "b" * 10_000, "c" * 10_000, "d" * 10_000, "e" * 10_000)
    (row,) = await rig.office.audit(2**63 - 1, 10)
    assert [len(row[name]) for name in ("actor", "action", "target", "result", "address")] == [64, 64, 128, 64, 64]


async def test_a_name_that_nobody_has_is_not_written_down(rig: Rig) -> None:
    """People type their password into the field for the name; the ledger would keep it for ever."""
    await wrong(rig.office, "hunter2-in-the-wrong-field")
    (row,) = await rig.office.audit(2**63 - 1, 10)
    assert (row["actor"], row["target"]) == (UNKNOWN_NAME, UNKNOWN_NAME)
    assert "hunter2" not in repr((row, rig.ledger))
