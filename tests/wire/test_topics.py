import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.samples import record_lines
from wire.errors import Malformed, UnknownTopic
from wire.records import Event, decode_record, record_lane
from wire.topics import (
    LANES,
    TOPICS,
    Down,
    Lane,
    Up,
    UpTopic,
    down_filter,
    down_topic,
    is_name,
    lane_of,
    parse_down,
    parse_up,
    up_filter,
    up_topic,
)

# The rules of the lanes, written once more and independently of the table: first match wins.
RULES = [
    (Lane.M, r"Payment/"),
    (Lane.A, r"Door/State/(DoorAlarm|DoorTamper|DoorFault)$"),
    (Lane.A, r"AccessControl/(Duress|WrongTries)$"),
    (Lane.A, r"Fire/|Camera/(Tamper|SignalLoss|StorageFailure|NetworkFailure)$"),
    (Lane.A, r"Device/Alarm$|Delivery/|Command/(Settled|Taken)$|Alarm/"),
    (Lane.D, r"AccessControl/|Door/State/DoorPhysicalState$|Door/RequestToExit$|Attendance/|Badge/"),
    (Lane.S, r"(Device|EdgeNode|AccessPoint|Credential)/State/|Door/State/|Broadcast/|Camera/Motion$"),
    (Lane.S, r"Biometric/|Command/|Document/|EdgeNode/Enrolled$|Audit/"),
]


@pytest.mark.parametrize("topic", TOPICS)
def test_every_topic_travels_in_the_lane_that_its_rule_says(topic: str) -> None:
    assert lane_of(topic) is next(lane for lane, rule in RULES if re.match(rule, topic))


def test_what_a_duty_officer_must_see_at_once_overtakes() -> None:
    for topic in ("Door/State/DoorAlarm", "Door/State/DoorTamper", "AccessControl/Duress", "Fire/Alarm"):
        assert lane_of(topic) is Lane.A


def test_no_event_travels_with_the_readings() -> None:
    assert Lane.T not in TOPICS.values()
    assert {*TOPICS.values(), Lane.T} == set(LANES)


def test_topics_are_written_as_onvif_writes_them() -> None:
    for topic in TOPICS:
        assert re.fullmatch(r"[A-Z][A-Za-z]+(/[A-Z][A-Za-z]+){1,2}", topic)


def test_an_unknown_topic_is_named() -> None:
    with pytest.raises(UnknownTopic, match="Door/State/Nonsense"):
        lane_of("Door/State/Nonsense")


def test_each_kind_of_record_finds_its_lane() -> None:
    lanes = {kind: [record_lane(decode_record(line)) for line in record_lines(kind)] for kind in _KINDS}
    assert set(lanes["reading"]) == {Lane.T}
    assert set(lanes["outcome"]) == {Lane.A}
    assert set(lanes["clock"]) == {Lane.S}
    assert set(lanes["gap"]) == {Lane.T, Lane.D}
    events = [decode_record(line) for line in record_lines("event")]
    assert lanes["event"] == [TOPICS[event.topic] for event in events if isinstance(event, Event)]


_KINDS = ("event", "reading", "outcome", "gap", "clock")


@pytest.mark.parametrize("leaf", Up)
def test_a_topic_of_a_box_is_read_as_it_was_made(leaf: Up) -> None:
    topic = up_topic("demo-school", "gate-1", leaf)
    assert topic == f"campus/v1/demo-school/gate-1/up/{leaf.value}"
    assert parse_up(topic) == UpTopic("demo-school", "gate-1", leaf)


@pytest.mark.parametrize("lane", LANES)
def test_each_lane_is_a_leaf(lane: Lane) -> None:
    assert parse_up(up_topic("c", "e", lane)).leaf == lane.value


@pytest.mark.parametrize("leaf", Down)
def test_a_topic_to_a_box_is_read_as_it_was_made(leaf: Down) -> None:
    assert parse_down(down_topic("demo-school", "gate-1", leaf)) is leaf


def test_filters_hold_what_is_said_and_nothing_of_the_other_direction() -> None:
    assert up_filter("demo-school") == "campus/v1/demo-school/+/up/#"
    assert down_filter("demo-school", "gate-1") == "campus/v1/demo-school/gate-1/down/#"


@pytest.mark.parametrize(
    "topic",
    [
        "",
        "campus/v1/demo-school/gate-1/up",
        "campus/v1/demo-school/gate-1/up/",
        "campus/v1/demo-school/gate-1/up/B",
        "campus/v1/demo-school/gate-1/up/a",
        "campus/v1/demo-school/gate-1/up/A/x",
        "campus/v1/demo-school/gate-1/down/ack",
        "campus/v2/demo-school/gate-1/up/A",
        "other/v1/demo-school/gate-1/up/A",
        "campus/v1//gate-1/up/A",
        "campus/v1/demo-school/Gate/up/A",
        "campus/v1/demo-school/-gate/up/A",
        "campus/v1/demo-school/@campus/up/A",
        "campus/v1/demo-school/gate-1\n/up/A",
        "campus/v1/demo-school/+/up/A",
        f"campus/v1/demo-school/{'g' * 64}/up/A",
    ],
)
def test_any_other_topic_is_no_topic_of_a_box(topic: str) -> None:
    with pytest.raises(Malformed):
        parse_up(topic)


@given(st.text(max_size=80))
def test_any_text_is_a_topic_or_malformed(text: str) -> None:
    for parse in (parse_up, parse_down):
        with pytest.raises(Malformed):
            parse(text)


@pytest.mark.parametrize("text", ["a", "0", "gate-1", "a" * 63, "1-"])
def test_names(text: str) -> None:
    assert is_name(text)


@pytest.mark.parametrize(
    "text", ["", "A", "-a", "a_b", "a.b", "a/b", "a b", "门", "a\n", "a" * 64, "@campus", "+", "#"]
)
def test_no_names(text: str) -> None:
    assert not is_name(text)
