"""How a box joins and how it is sent away: one token, one box, once."""

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from aggregator.broker import (
    BrokerFolder,
    BrokerSettings,
    aggregator_user,
    edge_user,
    password_hash,
    terminal_user,
)
from aggregator.broker.users import password_matches
from aggregator.enrolment import TOKEN_PREFIX, Answer, BrokerAccess, Enrolment, EnrolmentRefused
from aggregator.storage import Database
from device_profiles.protocols.facesluice import TOPICS
from tests.admission.box import CAMPUS
from tests.support.clock import VirtualClock, seeded

KEY = "ab" * 32
OTHER_KEY = "cd" * 32
CAMPUS_KEY = b"the key of all pseudonyms, 32 b."
PREFIXES = ("mqtt/face",)


@dataclass
class Office:
    """The enrolment of one campus."""

    enrolment: Enrolment
    folder: BrokerFolder
    clock: VirtualClock
    path: Path

    async def join(self, edge: str = "gate-1", key: str = KEY) -> Answer:
        return await self.enrolment.redeem(edge, await self.enrolment.issue(edge), key, "1.0")

    async def refusal(self, edge: str, token: str, key: str = KEY) -> str:
        with pytest.raises(EnrolmentRefused) as refused:
            await self.enrolment.redeem(edge, token, key, "1.0")
        return refused.value.code

    def user(self, name: str):
        return next((user for user in self.folder.users() if user.name == name), None)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    folder, clock = BrokerFolder(tmp_path / "broker"), VirtualClock()
    folder.install(BrokerSettings(campus=CAMPUS))
    random = seeded(21)
    folder.put(aggregator_user(CAMPUS, password_hash("its own", random)))
    folder.put(terminal_user("terminals", TOPICS, "mqtt/face", password_hash("theirs", random)))

    async with await Database.open(tmp_path / "office.sqlite", "aggregator.accounts") as db:
        enrolment = Enrolment(
            db,
            campus=CAMPUS,
            campus_key=CAMPUS_KEY,
            public_key="ee" * 32,
            broker=BrokerAccess(host="broker.test", port=8883, folder=folder, terminal_prefixes=PREFIXES),
            clock=clock,
            random=random,
        )
        yield Office(enrolment, folder, clock, tmp_path)


async def test_a_token_lets_its_box_in_and_gives_it_what_it_needs(office: Office):
    answer = await office.join()
    assert (answer.campus, answer.username, answer.campus_key, answer.public_key) == (
        CAMPUS,
        "gate-1",
        CAMPUS_KEY,
        "ee" * 32,
    )
    assert (answer.broker.host, answer.broker.port) == ("broker.test", 8883)
    enrolled = await office.enrolment.enrolled("gate-1")
    assert enrolled is not None
    assert (enrolled.edge, enrolled.public_key.hex()) == ("gate-1", KEY)
    (row,) = await office.enrolment.edges()
    assert (row["edge"], row["software"], row["revoked_ns"]) == ("gate-1", "1.0", None)
    assert row["enrolled_ns"] == office.clock.wall_ns()


async def test_the_broker_knows_the_box_by_the_password_that_it_was_told(office: Office):
    answer = await office.join()
    user = office.user("gate-1")
    assert user is not None
    assert password_matches(user.password_hash, answer.broker_password)
    expected = edge_user(CAMPUS, "gate-1", user.password_hash, terminal_prefixes=PREFIXES)
    assert user == expected
    assert len(answer.broker_password) >= 20


async def test_no_two_boxes_have_the_same_secrets(office: Office):
    one, other = await office.join("gate-1"), await office.join("gate-2", OTHER_KEY)
    assert one.broker_password != other.broker_password
    assert (await office.enrolment.issue("gate-3")) != (await office.enrolment.issue("gate-3"))


async def test_a_token_is_128_bits_or_more_and_looks_like_one(office: Office):
    token = await office.enrolment.issue("gate-1")
    assert token.startswith(TOKEN_PREFIX)
    assert len(bytes.fromhex(token.removeprefix(TOKEN_PREFIX))) >= 16


async def test_a_token_is_used_once(office: Office):
    token = await office.enrolment.issue("gate-1")
    await office.enrolment.redeem("gate-1", token, KEY, "1.0")
    assert await office.refusal("gate-1", token, OTHER_KEY) == "token_used"
    enrolled = await office.enrolment.enrolled("gate-1")
    assert enrolled is not None
    assert enrolled.public_key.hex() == KEY


@pytest.mark.parametrize("token", ["", "enrol_", "enrol_" + "0" * 48, "x" * 5000, "' OR 1=1 --"])
async def test_a_token_nobody_issued(office: Office, token: str):
    await office.enrolment.issue("gate-1")
    assert await office.refusal("gate-1", token) == "token_unknown"
    assert await office.enrolment.edges() == []


@pytest.mark.parametrize("valid_h", [1, 24])
async def test_a_token_ends_when_its_hours_do(office: Office, valid_h: int):
    late, timely = [await office.enrolment.issue(edge, valid_h=valid_h) for edge in ("gate-1", "gate-2")]
    office.clock.advance(valid_h * 3600 - 1)
    await office.enrolment.redeem("gate-2", timely, KEY, "1.0")
    office.clock.advance(1)
    assert await office.refusal("gate-1", late) == "token_expired"


async def test_a_token_is_good_for_the_box_it_names_and_a_mistake_does_not_use_it_up(office: Office):
    token = await office.enrolment.issue("gate-1")
    assert await office.refusal("gate-2", token) == "wrong_edge"
    assert await office.enrolment.enrolled("gate-2") is None
    assert office.user("gate-2") is None
    await office.enrolment.redeem("gate-1", token, KEY, "1.0")


@pytest.mark.parametrize("key", ["", "ab", "ab" * 31, "ab" * 33, "not hexadecimal"])
async def test_a_bad_key_does_not_use_the_token_up(office: Office, key: str):
    token = await office.enrolment.issue("gate-1")
    assert await office.refusal("gate-1", token, key) == "bad_key"
    await office.enrolment.redeem("gate-1", token, KEY, "1.0")


@pytest.mark.parametrize("valid_h", [0, -1, 25])
async def test_a_token_for_no_time_or_too_long_is_not_issued(office: Office, valid_h: int):
    with pytest.raises(ValueError, match="token_hours"):
        await office.enrolment.issue("gate-1", valid_h=valid_h)


@pytest.mark.parametrize("name", ["", "Gate-1", "gate 1", "@campus", "gate/1", "gate_1", "门", "x" * 64])
async def test_a_token_for_what_cannot_name_a_box_is_not_issued(office: Office, name: str):
    with pytest.raises(ValueError, match="edge_name"):
        await office.enrolment.issue(name)


@pytest.mark.parametrize("name", ["aggregator", "terminals"])
async def test_the_names_of_other_users_of_the_broker_are_not_for_boxes(office: Office, name: str):
    """A box that took them over would cut off the campus or its terminals."""
    with pytest.raises(ValueError, match="no_box"):
        await office.enrolment.issue(name)
    before = office.folder.users()
    assert await office.refusal(name, "enrol_" + "0" * 48) == "token_unknown"
    assert await office.enrolment.revoke(name) is False
    assert office.folder.users() == before


async def test_a_name_that_became_another_user_after_the_token_was_issued_is_refused(office: Office):
    token = await office.enrolment.issue("south-gate")
    office.folder.put(terminal_user("south-gate", TOPICS, "mqtt/face", password_hash("theirs", seeded(4))))
    before = office.folder.users()
    assert await office.refusal("south-gate", token) == "wrong_edge"
    assert office.folder.users() == before


async def test_a_revoked_box_is_refused_here_and_at_the_broker_until_it_joins_again(office: Office):
    await office.join("gate-1")
    await office.join("gate-2", OTHER_KEY)
    assert await office.enrolment.revoke("gate-1") is True
    assert await office.enrolment.enrolled("gate-1") is None
    assert office.user("gate-1") is None
    assert await office.enrolment.enrolled("gate-2") is not None
    assert office.user("gate-2") is not None
    assert await office.enrolment.revoke("gate-1") is False
    assert await office.enrolment.revoke("nobody") is False
    await office.join("gate-1", OTHER_KEY)
    enrolled = await office.enrolment.enrolled("gate-1")
    assert enrolled is not None
    assert enrolled.public_key.hex() == OTHER_KEY


async def test_joining_again_makes_the_old_key_and_the_old_password_worthless(office: Office):
    old = await office.join()
    new = await office.join(key=OTHER_KEY)
    enrolled, user = await office.enrolment.enrolled("gate-1"), office.user("gate-1")
    assert enrolled is not None
    assert user is not None
    assert enrolled.public_key.hex() == OTHER_KEY
    assert password_matches(user.password_hash, new.broker_password)
    assert not password_matches(user.password_hash, old.broker_password)


async def test_a_box_joins_where_the_broker_is_kept_by_somebody_else(tmp_path: Path):
    async with await Database.open(tmp_path / "office.sqlite", "aggregator.accounts") as db:
        enrolment = Enrolment(
            db,
            campus=CAMPUS,
            campus_key=CAMPUS_KEY,
            public_key="ee" * 32,
            broker=BrokerAccess(host="broker.test", port=1883),
            clock=VirtualClock(),
            random=seeded(3),
        )
        answer = await enrolment.redeem("gate-1", await enrolment.issue("gate-1"), KEY, "1.0")
        assert answer.broker_password == ""
        assert await enrolment.enrolled("gate-1") is not None
        assert await enrolment.revoke("gate-1") is True


async def test_secrets_stand_in_no_file_and_in_no_log(office: Office, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    token = await office.enrolment.issue("gate-1")
    unused = await office.enrolment.issue("gate-2")
    answer = await office.enrolment.redeem("gate-1", token, KEY, "1.0")
    secrets = [token, unused, answer.broker_password, CAMPUS_KEY.hex(), CAMPUS_KEY.decode()]
    secrets += [secret.removeprefix(TOKEN_PREFIX) for secret in secrets]
    secrets = [secret for secret in secrets if secret]
    files = [path for path in office.path.rglob("*") if path.is_file()]
    assert {"office.sqlite", "users.json"} <= {path.name for path in files}
    for path in files:
        content = path.read_bytes()
        for secret in secrets:
            assert secret.encode() not in content, path.name
            assert not _hex(secret) or bytes.fromhex(secret) not in content, path.name
    for secret in secrets:
        assert secret not in caplog.text
        assert secret not in repr(answer)


def _hex(text: str) -> bool:
    try:
        return bool(bytes.fromhex(text))
    except ValueError:
        return False
