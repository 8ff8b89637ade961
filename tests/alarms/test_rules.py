"""The table: which records raise, which end, and that it fits what devices and profiles can say at all."""

import re
from pathlib import Path
from typing import Any

import pytest

from aggregator.alarms import KINDS, Kind
from aggregator.alarms.rules import RULES
from device_profiles.vocabulary import STATES
from tests.alarms.watch import CONTACT, DENIED, DOOR_ALARM, DURESS, OPERATING, SILENCE, Watch
from wire.i18n import catalog
from wire.topics import TOPICS, Lane

ROOT = Path(__file__).parents[2]
FACE = "gate-1/face-1"
# What is in lane A and raises nothing here, and why.
NO_ALARM = {
    "Command/Taken": "a command is followed where it was asked for",
    "Command/Settled": "so is its end",
    "Alarm/Transition": "that is what people do with alarms",
}


def test_everything_that_overtakes_for_the_duty_officer_is_an_alarm_or_named_here():
    urgent = {topic for topic, lane in TOPICS.items() if lane is Lane.A}
    assert urgent - {rule.topic for rule in RULES} == set(NO_ALARM)
    assert {rule.topic for rule in RULES} <= set(TOPICS)


def test_every_rule_names_a_kind_and_every_kind_has_a_rule_a_level_and_a_name():
    assert {rule.kind for rule in RULES} | {"repeated_denials"} == set(KINDS)
    assert all(kind.level in {1, 2, 3, 4} for kind in KINDS.values())
    assert all(f"console.alarm.kind.{name}" in catalog("zh-CN") for name in KINDS)


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: f"{rule.topic}-{rule.kind}")
def test_a_rule_waits_only_for_states_that_a_profile_may_say(rule: Any):
    assert not rule.begins & rule.ends
    assert rule.begins or rule.ends or rule.moments
    if rule.topic in STATES:
        assert rule.begins | rule.ends <= STATES[rule.topic]


@pytest.mark.parametrize(
    ("topic", "begins", "ends", "kind"),
    [
        (DOOR_ALARM, "DoorForcedOpen", "Normal", "door_forced"),
        (DOOR_ALARM, "DoorOpenTooLong", "Normal", "door_held"),
        ("Door/State/DoorTamper", "TamperDetected", "NotInTamper", "door_tamper"),
        ("Door/State/DoorFault", "FaultDetected", "NotInFault", "door_fault"),
        ("Camera/Tamper", "Active", "Inactive", "camera_tamper"),
        ("Camera/SignalLoss", "Active", "Inactive", "camera_loss"),
        ("Camera/StorageFailure", "Active", "Inactive", "camera_storage"),
        ("Camera/NetworkFailure", "Active", "Inactive", "camera_network"),
        ("Device/Alarm", "Active", "Inactive", "device_alarm"),
        ("Fire/Alarm", "Active", "Inactive", "fire"),
        (OPERATING, "DOWN", "UP", "device_down"),
    ],
)
async def test_a_state_raises_and_the_source_itself_ends_it(
    watch: Watch, topic: str, begins: str, ends: str, kind: str
):
    assert await watch.told(topic, ends) == []
    (alarm,) = await watch.told(topic, begins)
    assert (alarm.kind, alarm.source, alarm.state, alarm.count) == (kind, FACE, "new", 1)
    assert (alarm.active, alarm.cleared_ns, alarm.historical) == (True, None, False)
    watch.rig.clock.advance(7)
    (over,) = await watch.told(topic, ends)
    assert (over.id, over.active, over.state) == (alarm.id, False, "new")
    assert over.cleared_ns == watch.rig.clock.wall_ns()
    watch.rig.clock.advance(7)
    assert await watch.told(topic, ends) == [over]


@pytest.mark.parametrize(
    ("topic", "kind"),
    [
        (DURESS, "duress"),
        ("AccessControl/WrongTries", "wrong_tries"),
        ("Device/Alarm", "device_alarm"),
        ("Fire/Alarm", "fire"),
        ("Fire/Release", "fire"),
    ],
)
async def test_a_moment_raises_and_nothing_lasts(watch: Watch, topic: str, kind: str):
    (alarm,) = await watch.told(topic)
    assert (alarm.kind, alarm.source, alarm.active, alarm.cleared_ns) == (kind, FACE, False, None)


@pytest.mark.parametrize(
    ("topic", "values", "kind", "source"),
    [
        (SILENCE, {"edge": "gate-7", "state": "silent"}, "edge_silent", "gate-7"),
        ("Delivery/Conflict", {"edge": "gate-7", "device": "gate-7/face-2"}, "delivery_conflict", "gate-7/face-2"),
        ("Delivery/EpochForked", {"edge": "gate-7"}, "edge_forked", "gate-7"),
        ("Delivery/Incident", {"edge": "gate-7", "lane": "D"}, "incident", "gate-7"),
    ],
)
async def test_the_campus_raises_for_its_boxes(
    watch: Watch, topic: str, values: dict[str, str], kind: str, source: str
):
    (alarm,) = await watch.said(topic, values, 1)
    assert (alarm.kind, alarm.source) == (kind, source)


async def test_a_box_that_is_heard_again_ends_its_silence(watch: Watch):
    await watch.said(SILENCE, {"edge": "gate-7", "state": "silent"}, 1)
    (alarm,) = await watch.said(SILENCE, {"edge": "gate-7", "state": "heard"}, 2)
    assert (alarm.active, alarm.cleared_ns) == (False, watch.rig.clock.wall_ns())


@pytest.mark.parametrize("topic", [SILENCE, "Delivery/Incident", "Delivery/EpochForked", "Delivery/Conflict"])
async def test_no_box_raises_in_the_name_of_the_campus(watch: Watch, topic: str):
    assert await watch.told(topic, "silent", device="gate-1", values={"edge": "gate-7"}) == []


async def test_a_fact_that_names_nobody_raises_nothing(watch: Watch):
    assert await watch.said("Delivery/Incident", {}, 1) == []


@pytest.mark.parametrize("state", ["Unknown", None, True, 7, 0.5])
@pytest.mark.parametrize("topic", [DOOR_ALARM, "Camera/Tamper", OPERATING])
async def test_a_state_that_says_nothing_raises_nothing(watch: Watch, topic: str, state: Any):
    assert await watch.told(topic, state) == []


async def test_the_contact_ends_what_a_terminal_never_ends(watch: Watch):
    await watch.told(DOOR_ALARM, "DoorForcedOpen")
    assert (await watch.told(CONTACT, "Open"))[0].active
    (alarm,) = await watch.told(CONTACT, "Closed")
    assert not alarm.active


async def test_what_a_recorder_tells_apart_does_not_end_each_other(watch: Watch):
    one, two = ({"event_type": "videoloss", "channel_id": number} for number in ("1", "2"))
    await watch.told("Camera/SignalLoss", "Active", values=one)
    (alarm,) = await watch.told("Camera/SignalLoss", "Active", values=two)
    assert (alarm.count, len(alarm.conditions)) == (2, 2)
    (alarm,) = await watch.told("Camera/SignalLoss", "Inactive", values=one)
    assert (alarm.active, alarm.cleared_ns) == (True, None)
    (alarm,) = await watch.told("Camera/SignalLoss", "Inactive", values=two)
    assert (alarm.active, alarm.cleared_ns) == (False, watch.rig.clock.wall_ns())


async def test_five_refusals_within_a_minute_are_one_too_many(watch: Watch):
    for _ in range(4):
        assert await watch.told(DENIED) == []
        watch.rig.clock.advance(14)
    (alarm,) = await watch.told(DENIED)
    assert (alarm.kind, alarm.source, alarm.count) == ("repeated_denials", FACE, 1)
    for _ in range(4):
        assert await watch.told(DENIED) == [alarm]
    assert (await watch.told(DENIED))[0].count == 2


async def test_refusals_that_are_far_apart_elsewhere_old_or_of_passers_by_are_not_counted_together(watch: Watch):
    for number in range(20):
        watch.rig.clock.advance(16)
        await watch.told(DENIED)
        await watch.told(DENIED, device=f"gate-1/face-{number + 10}")
        await watch.told(DENIED, reason="Stranger")
        await watch.told(DENIED, replayed=True)
    old = [watch.event(DENIED) for _ in range(10)]
    assert await watch.late(*old) == []


def test_the_interface_says_of_every_kind_how_much_it_matters():
    told = {}
    for line in (ROOT / "docs" / "api.md").read_text(encoding="utf-8").splitlines():
        match = re.match(r"\| (`[a-z_`, ]+`) \| ([1-4])(, fault)? \|", line)
        if match:
            told |= {name: Kind(int(match[2]), bool(match[3])) for name in re.findall("[a-z_]+", match[1])}
    assert told == KINDS
