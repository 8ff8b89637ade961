import base64
import hashlib
import os

import pytest

from aggregator.broker import (
    BrokerUser,
    Grant,
    Role,
    aggregator_user,
    edge_user,
    new_password,
    password_hash,
    password_matches,
    terminal_user,
)
from device_profiles.protocols.facesluice import TOPICS
from tests.support.clock import seeded

HASH = password_hash("secret", seeded(1))


def test_a_password_hash_is_mosquittos_form_and_never_the_password() -> None:
    salt = seeded(1)(12)
    _, form, iterations, _, digest = HASH.split("$")
    assert (form, iterations) == ("7", "1000")
    assert hashlib.pbkdf2_hmac("sha512", b"secret", salt, 1000, 64) == base64.b64decode(digest)
    assert "secret" not in HASH


@pytest.mark.parametrize("wrong", ["", "Secret", "secret ", "secrets"])
def test_only_the_right_password_matches(wrong: str) -> None:
    assert password_matches(HASH, "secret")
    assert not password_matches(HASH, wrong)


@pytest.mark.parametrize(
    "broken", ["", "$7$", "$6$1000$AAAA$AAAA", "$7$x$AAAA$AAAA", "$7$1000$!$AAAA", "$7$0$AAAA$AAAA"]
)
def test_a_hash_that_cannot_be_read_matches_nothing(broken: str) -> None:
    assert not password_matches(broken, "secret")


def test_passwords_fit_a_terminals_settings_page_and_differ() -> None:
    passwords = {new_password(os.urandom) for _ in range(100)}
    assert len(passwords) == 100
    assert all(len(password) == 20 and password.replace("-", "").replace("_", "").isalnum() for password in passwords)


def test_a_box_may_speak_and_hear_only_under_its_own_name() -> None:
    user = edge_user("demo-school", "gate-1", HASH)
    assert user.grants == (
        Grant("write", "campus/v1/demo-school/gate-1/up/+"),
        Grant("read", "campus/v1/demo-school/gate-1/down/+"),
    )


def test_a_box_hears_all_of_its_terminals_and_speaks_to_each() -> None:
    user = edge_user("demo-school", "gate-1", HASH, terminal_prefixes=["mqtt/face"])
    assert user.grants[2:] == (Grant("read", "mqtt/face/#"), Grant("write", "mqtt/face/+"))


def test_a_terminal_of_its_own_account_cannot_speak_as_another() -> None:
    user = terminal_user("face-1", TOPICS, "mqtt/face", HASH, device_id="1026701")
    assert {grant.topic for grant in user.grants if grant.access == "write"} == {
        "mqtt/face/basic",
        "mqtt/face/heartbeat",
        "mqtt/face/1026701/+",
    }
    assert [grant.topic for grant in user.grants if grant.access == "read"] == ["mqtt/face/1026701"]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\nuser root", "#", "+", "-x", "x" * 65, "门"])
def test_a_name_that_could_break_a_line_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="broker_user"):
        BrokerUser(name=name, role=Role.TERMINALS, password_hash=HASH, grants=())


@pytest.mark.parametrize(
    "prefix", ["", "a//b", "a/#", "a/+", "a b", "a\nb", "campus/v1/demo-school", "$SYS", "%u", "/a"]
)
def test_a_prefix_that_could_reach_beyond_itself_is_refused(prefix: str) -> None:
    with pytest.raises(ValueError, match=r"topic_level|bad topic"):
        terminal_user("terminals", TOPICS, prefix, HASH)
    with pytest.raises(ValueError, match=r"topic_level|bad topic"):
        edge_user("demo-school", "gate-1", HASH, terminal_prefixes=[prefix])


@pytest.mark.parametrize(("campus", "edge"), [("+", "gate-1"), ("demo", "#"), ("Demo", "gate-1"), ("demo", "a/b")])
def test_boxes_and_campuses_are_named_as_everywhere(campus: str, edge: str) -> None:
    with pytest.raises(ValueError, match="edge_name"):
        edge_user(campus, edge, HASH)


def test_a_stored_user_must_carry_a_hash() -> None:
    with pytest.raises(ValueError, match="not a password hash"):
        aggregator_user("demo-school", "secret")
