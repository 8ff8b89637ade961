"""The door board on virtual time: what it says, what it does, what it ignores."""

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from simulators.device import Moment
from simulators.esprfid import ADMIN, DISABLED, BoardConfig, DoorBoard, User
from tests.simulators.rig import BEGIN_S, Seen

USERS = {
    "4596b78a": User("ZHANG S"),
    "4596b78c": User("LI S", ADMIN),
    "4596b78d": User("WANG W", DISABLED),
    "4596b78e": User("ZHAO L", valid_until_s=BEGIN_S - 1),
}


class Rig:
    def __init__(self, **settings: Any) -> None:
        self.mono_s = 100.0
        self.seen = Seen()
        config = BoardConfig(hostname="lab-door", ip="192.0.2.40", users=USERS, **settings)
        self.board = DoorBoard(config, witness=self.seen)

    @property
    def now(self) -> Moment:
        return Moment(self.mono_s, BEGIN_S + self.mono_s - 100.0)

    def sent(self) -> list[dict[str, Any]]:
        said = self.board.poll(self.now)
        assert {(one.topic, one.qos) for one in said} <= {("rfid/send", 0)}
        return [json.loads(one.payload) for one in said]

    def texts(self) -> list[str]:
        """What is sent now, in short."""
        return [f"{one['access']} {one['username']}" if "access" in one else str(one["desc"]) for one in self.sent()]

    def tell(self, **told: Any) -> None:
        self.board.received(json.dumps({"doorip": "192.0.2.40", **told}).encode(), self.now)


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.board.connected(rig.now)
    assert [line["type"] for line in rig.sent()] == ["boot", "heartbeat"]
    return rig


def test_it_says_boot_at_each_connection_and_a_heartbeat_every_three_minutes() -> None:
    rig = Rig()
    rig.board.connected(rig.now)
    boot, beat = rig.sent()
    assert boot == {
        "type": "boot",
        "time": int(BEGIN_S),
        "uptime": "0",
        "ip": "192.0.2.40",
        "hostname": "lab-door",
    }
    assert beat == {**boot, "type": "heartbeat", "uptime": 0}
    assert rig.board.wake_at() == rig.mono_s + 180
    rig.mono_s += 180
    assert [(line["type"], line["uptime"]) for line in rig.sent()] == [("heartbeat", 180)]
    rig.board.disconnected()
    assert rig.board.wake_at() is None
    rig.board.connected(rig.now)
    assert [line["type"] for line in rig.sent()] == ["boot"]


@pytest.mark.parametrize(
    ("uid", "said", "opens"),
    [
        ("4596b78a", ["Always ZHANG S"], True),
        ("4596b78c", ["Admin LI S"], True),
        ("4596b78d", ["Disabled WANG W"], False),
        ("4596b78e", ["Expired ZHAO L"], False),
        ("00000000", ["Unknown rfid tag is scanned", "Denied Unknown"], False),
    ],
)
def test_a_card_is_judged_by_what_is_known_of_it(rig: Rig, uid: str, said: list[str], opens: bool) -> None:
    assert rig.board.swipe(uid, rig.now)
    assert rig.board.released(rig.now) == opens
    assert rig.texts() == said
    assert len(rig.seen.of("said")) == len(said)


def test_the_reader_looks_at_one_card_in_two_seconds_and_the_lock_falls_back_by_itself(rig: Rig) -> None:
    assert rig.board.swipe("4596b78a", rig.now)
    rig.mono_s += 1
    assert not rig.board.released(rig.now)
    assert not rig.board.swipe("4596b78a", rig.now)
    rig.mono_s += 1
    assert rig.board.swipe("4596b78a", rig.now)


def test_an_order_for_its_own_address_opens_it_and_is_answered_without_a_card(rig: Rig) -> None:
    rig.tell(cmd="opendoor")
    assert rig.board.released(rig.now)
    assert rig.seen.of("executed") == [""]
    (answer,) = rig.sent()
    assert (answer["type"], answer["uid"], answer["username"], answer["access"]) == ("access", " ", "MQTT", "Always")


@pytest.mark.parametrize("told", [{"doorip": "192.0.2.41"}, {"doorip": None}, {"cmd": "open"}, {"cmd": None}])
def test_what_is_not_for_it_does_nothing(rig: Rig, told: dict[str, Any]) -> None:
    rig.tell(**{"cmd": "opendoor", **told})
    assert not rig.board.released(rig.now)
    assert rig.sent() == []
    assert rig.seen.of("executed") == []


def test_people_are_added_listed_and_taken_away(rig: Rig) -> None:
    rig.tell(cmd="adduser", uid="aabbccdd", user="NEW", acctype="1")
    rig.tell(cmd="deletuid", uid="4596b78a")
    assert [line["type"] for line in rig.sent()] == ["adduser", "deletuid"]
    rig.tell(cmd="getuserlist")
    assert {line["uid"] for line in rig.sent()} == {"aabbccdd", *USERS} - {"4596b78a"}
    rig.board.swipe("aabbccdd", rig.now)
    assert rig.texts() == ["Always NEW"]


def test_the_button_opens_and_says_so(rig: Rig) -> None:
    rig.board.press(rig.now)
    assert rig.board.released(rig.now)
    assert rig.texts() == ["Always Button"]


def test_a_door_opened_while_released_is_right_and_else_tampered_with(rig: Rig) -> None:
    rig.board.press(rig.now)
    rig.board.pull(rig.now)
    rig.board.pull(rig.now)
    rig.board.shut(rig.now)
    rig.board.shut(rig.now)
    assert rig.texts() == ["Always Button", "Door Open", "Door Closed"]
    rig.mono_s += 1
    rig.board.pull(rig.now)
    assert rig.texts() == ["Door Open", "Door was tampered!"]


def test_a_door_left_open_is_told_once(rig: Rig) -> None:
    rig = Rig(max_open_s=30, heartbeat_s=1000)
    rig.board.connected(rig.now)
    rig.board.press(rig.now)
    rig.board.pull(rig.now)
    rig.sent()
    assert rig.board.wake_at() == rig.mono_s + 30
    rig.mono_s += 30
    assert rig.texts() == ["Door wasn't closed within max open time!"]
    rig.mono_s += 30
    assert rig.texts() == []


def test_without_its_log_it_says_cards_only() -> None:
    rig = Rig(log=False, heartbeat_s=1000)
    rig.board.connected(rig.now)
    rig.sent()
    rig.board.swipe("00000000", rig.now)
    rig.board.pull(rig.now)
    rig.board.ring(rig.now)
    (line,) = rig.sent()
    assert line["access"] == "Denied"
    assert "cmd" not in line


def test_what_happens_while_nobody_hears_is_said_by_nobody(rig: Rig) -> None:
    rig.board.disconnected()
    assert rig.board.swipe("4596b78a", rig.now)
    assert rig.board.released(rig.now)
    rig.tell(cmd="opendoor")
    assert rig.seen.facts == []
    rig.board.power_off()
    assert not rig.board.released(rig.now)
    rig.mono_s += 10
    assert not rig.board.swipe("4596b78a", rig.now)
    rig.board.press(rig.now)
    rig.board.power_on()
    rig.board.connected(rig.now)
    assert [line["type"] for line in rig.sent()] == ["boot", "heartbeat"]


@given(st.binary(max_size=60) | st.text(max_size=60).map(str.encode))
def test_any_bytes_are_ignored(payload: bytes) -> None:
    rig = Rig()
    rig.board.connected(rig.now)
    with suppress(ValueError):
        assert not isinstance(json.loads(payload), dict) or "doorip" not in json.loads(payload)
    rig.board.received(payload, rig.now)
    assert rig.seen.facts == []
