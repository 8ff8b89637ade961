"""Alarms over their lives: folded, in hand, settled, opened again; old news; and the picture of all of it."""

from dataclasses import replace

import pytest

from aggregator.alarms import AlarmReader, State
from aggregator.alarms.alarm import CONDITIONS_MAX
from aggregator.readers import base
from tests.admission.box import Box
from tests.alarms.watch import (
    CONTACT,
    DENIED,
    DOOR_ALARM,
    DURESS,
    OPERATING,
    SILENCE,
    Watch,
    caught_up,
    picture,
    position_of,
)
from tests.readers.test_base import Killed
from wire.clock import NS_PER_S
from wire.records import Event
from wire.topics import CAMPUS_NODE


async def forced(watch: Watch, **fields: object) -> None:
    await watch.told(DOOR_ALARM, "DoorForcedOpen", **fields)


# --- one alarm for one trouble ------------------------------------------------------------------------


async def test_repeats_are_counted_and_make_no_second_alarm(watch: Watch):
    first_ns = watch.rig.clock.wall_ns()
    for _ in range(3):
        await forced(watch)
        watch.rig.clock.advance(10)
    (alarm,) = await watch.alarms()
    assert (alarm.count, alarm.first_ns, alarm.last_ns) == (3, first_ns, first_ns + 20 * NS_PER_S)
    assert await watch.steps(alarm) == ["opened"]


async def test_kinds_and_sources_are_kept_apart(watch: Watch):
    await forced(watch)
    await forced(watch, device="gate-1/face-2")
    await watch.told(DURESS)
    alarms = await watch.alarms()
    assert len({alarm.id for alarm in alarms}) == 3
    assert [(alarm.kind, alarm.source) for alarm in alarms] == [
        ("door_forced", "gate-1/face-1"),
        ("door_forced", "gate-1/face-2"),
        ("duress", "gate-1/face-1"),
    ]


async def test_ten_thousand_of_the_same_within_a_minute_are_one_alarm(watch: Watch):
    for _ in range(20):
        await watch.rig.deliver(watch.box, *(watch.event(DURESS) for _ in range(500)))
        watch.rig.clock.advance(3)
    (alarm,) = await watch.alarms()
    assert alarm.count == 10_000
    assert alarm.last_ns - alarm.first_ns == 57 * NS_PER_S
    assert await watch.steps(alarm) == ["opened"]


async def test_conditions_that_never_end_are_bounded(watch: Watch):
    for number in range(CONDITIONS_MAX + 5):
        await watch.told("Camera/Tamper", "Active", values={"channel_id": str(number)})
    (alarm,) = await watch.alarms()
    assert len(alarm.conditions) == CONDITIONS_MAX
    assert alarm.count == CONDITIONS_MAX + 5


# --- people -------------------------------------------------------------------------------------------


async def test_it_is_taken_in_hand_and_settled(watch: Watch):
    await forced(watch)
    (alarm,) = await watch.alarms()
    watch.rig.clock.advance(5)
    acked = await watch.step(alarm, State.ACKED)
    assert (acked.state, acked.acked_by, acked.acked_ns) == ("acked", "chen", watch.rig.clock.wall_ns())
    assert acked.active
    watch.rig.clock.advance(5)
    settled = await watch.step(alarm, State.RESOLVED, "wang", cause="false", note="a cat")
    assert (settled.state, settled.acked_by, settled.resolved_by) == ("resolved", "chen", "wang")
    assert (settled.cause, settled.note, settled.resolved_ns) == ("false", "a cat", watch.rig.clock.wall_ns())
    assert await watch.steps(settled) == ["opened", "acked", "resolved"]


async def test_the_second_who_takes_a_step_changes_nothing(watch: Watch):
    await forced(watch)
    (alarm,) = await watch.alarms()
    for state, first, second in ((State.ACKED, "chen", "wang"), (State.RESOLVED, "li", "chen")):
        before = await watch.step(alarm, state, first)
        assert await watch.step(alarm, state, second) == before
    assert await watch.step(alarm, State.ACKED, "wang") == before
    assert await watch.steps(alarm) == ["opened", "acked", "resolved"]


async def test_it_can_be_settled_at_once(watch: Watch):
    await forced(watch)
    (alarm,) = await watch.alarms()
    settled = await watch.step(alarm, State.RESOLVED, cause="drill")
    assert (settled.state, settled.acked_by, settled.resolved_by) == ("resolved", "", "chen")
    assert (await watch.step(alarm, State.ACKED, "wang")) == settled


async def test_a_repeat_leaves_it_in_hand(watch: Watch):
    await forced(watch)
    (alarm,) = await watch.alarms()
    await watch.step(alarm, State.ACKED)
    await forced(watch)
    (alarm,) = await watch.alarms()
    assert (alarm.state, alarm.acked_by, alarm.count) == ("acked", "chen", 2)


@pytest.mark.parametrize(("after_s", "again"), [(0, True), (600, True), (600.001, False), (5000, False)])
async def test_what_comes_again_within_ten_minutes_opens_the_same_alarm(watch: Watch, after_s: float, again: bool):
    await forced(watch)
    (alarm,) = await watch.alarms()
    await watch.step(alarm, State.ACKED)
    await watch.step(alarm, State.RESOLVED, cause="false", note="a cat")
    watch.rig.clock.advance(after_s)
    await forced(watch)
    *earlier, last = await watch.alarms()
    assert (last.id == alarm.id, last.state, last.acked_by, last.resolved_by) == (again, "new", "", "")
    assert (last.cause, last.note, last.resolved_ns) == ("", "", None)
    if again:
        assert (earlier, last.round, last.count) == ([], 1, 2)
        assert await watch.steps(last) == ["opened", "acked", "resolved", "reopened"]
    else:
        assert ([one.state for one in earlier], last.round, last.count) == (["resolved"], 0, 1)
        assert last.id == (await watch.alarms())[-1].id


async def test_each_opening_has_steps_of_its_own(watch: Watch):
    await forced(watch)
    for turn in range(3):
        (alarm,) = await watch.alarms()
        assert (alarm.state, alarm.round) == ("new", turn)
        await watch.step(alarm, State.ACKED)
        await watch.step(alarm, State.RESOLVED, cause="false")
        await forced(watch)
    (alarm,) = await watch.alarms()
    # A step of an opening that is over does nothing to this one.
    assert await watch.step(replace(alarm, round=1), State.ACKED, "late") == alarm
    assert await watch.steps(alarm) == ["opened", *["acked", "resolved", "reopened"] * 3]


async def test_a_box_takes_no_steps(watch: Watch):
    await forced(watch)
    (alarm,) = await watch.alarms()
    values = {"alarm": alarm.id, "round": 0, "state": "resolved", "operator": "chen"}
    assert await watch.told("Alarm/Transition", device="gate-1", values=values) == [alarm]


@pytest.mark.parametrize(
    "values", [{}, {"state": "new"}, {"state": "acked"}, {"round": "0", "state": "acked"}, {"alarm": "nobody"}]
)
async def test_a_step_that_is_none_is_passed_over(watch: Watch, values: dict[str, str]):
    await forced(watch)
    (alarm,) = await watch.alarms()
    assert await watch.said("Alarm/Transition", {"alarm": alarm.id} | values, 5) == [alarm]
    assert watch.reader.health.faults == 0


# --- old news -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fields", [{"initialized": True}, {"replayed": True}])
async def test_what_is_said_again_makes_an_alarm_that_does_not_ring(watch: Watch, fields: dict[str, bool]):
    await forced(watch, **fields)
    (alarm,) = await watch.alarms()
    assert (alarm.historical, alarm.state, alarm.active) == (True, "new", True)


async def test_what_comes_late_makes_an_alarm_that_does_not_ring_until_it_is_said_afresh(watch: Watch):
    then_ns = watch.rig.clock.wall_ns()
    (alarm,) = await watch.late(watch.event(DOOR_ALARM, "DoorForcedOpen"))
    assert (alarm.historical, alarm.first_ns) == (True, then_ns)
    await forced(watch)
    (alarm,) = await watch.alarms()
    assert (alarm.historical, alarm.count, alarm.first_ns) == (False, 2, then_ns)
    (alarm,) = await watch.late(watch.event(DOOR_ALARM, "DoorForcedOpen"))
    assert not alarm.historical


async def test_late_news_opens_a_settled_alarm_without_ringing(watch: Watch):
    await forced(watch)
    (alarm,) = await watch.alarms()
    await watch.step(alarm, State.RESOLVED)
    (alarm,) = await watch.late(watch.event(DOOR_ALARM, "DoorForcedOpen"))
    assert (alarm.state, alarm.historical, alarm.round) == ("new", True, 1)


async def test_a_state_said_again_after_a_restart_counts_nothing_and_opens_nothing(watch: Watch):
    await forced(watch)
    (alarm,) = await watch.alarms()
    await forced(watch, initialized=True)
    assert await watch.alarms() == [alarm]
    settled = await watch.step(alarm, State.RESOLVED)
    await forced(watch, initialized=True)
    assert await watch.alarms() == [settled]


async def test_a_restart_that_finds_all_well_ends_what_was_said_before_it(watch: Watch):
    await watch.told("Camera/SignalLoss", "Active")
    (alarm,) = await watch.told("Camera/SignalLoss", "Inactive", initialized=True)
    assert not alarm.active


# --- the picture --------------------------------------------------------------------------------------


async def a_busy_night(watch: Watch) -> None:
    """Everything there is, at three boxes, with people in between and things that come late."""
    clock, ledger = watch.rig.clock, watch.rig.ledger
    boxes = [Box(f"gate-{number}", seed=number, clock=clock) for number in (1, 2, 3)]
    reader = watch.reader
    for turn in range(12):
        for box in boxes:
            face = f"{box.edge}/face-1"
            late = [box.event(DOOR_ALARM, device=face, values={"state": "DoorForcedOpen"})] if turn % 5 == 4 else []
            clock.advance(40 if late else 1)
            state = ("DoorForcedOpen", "DoorOpenTooLong", "Normal")[turn % 3]
            await watch.rig.deliver(
                box,
                *late,
                box.event(DOOR_ALARM, device=face, values={"state": state}, initialized=turn == 6),
                box.event(OPERATING, device=face, values={"state": "DOWN" if turn % 2 else "UP"}),
                box.event(CONTACT, device=face, values={"state": "Closed"}),
                *(box.event(DENIED, device=face) for _ in range(turn % 4)),
                *([box.event(DURESS, device=face)] if turn % 4 == 3 else []),
            )
        fact = Event(
            id=f"{turn + 1:032x}",
            device=CAMPUS_NODE,
            stamp=clock.stamp(),
            topic=SILENCE,
            values={"edge": "gate-2", "state": "heard" if turn % 2 else "silent"},
        )
        await ledger.append_campus([fact], clock.stamp())
        for number, alarm in enumerate(await watch.alarms()):
            if alarm.state is not State.RESOLVED and (turn + number) % 3 == 0:
                await watch.step(alarm, State.RESOLVED if number % 2 else State.ACKED, cause="real", note="seen")
        clock.advance(400 if turn == 7 else 60)
    await caught_up(reader)


@pytest.mark.parametrize("batch_rows", [1, 2, 7, 500])
async def test_a_rebuild_comes_out_as_what_grew_step_by_step(
    watch: Watch, monkeypatch: pytest.MonkeyPatch, batch_rows: int
):
    await a_busy_night(watch)
    grown = await picture(watch.rig.views)
    assert len(grown["alarms"]) > 6
    assert {row[2] for row in grown["alarm_steps"]} == {"opened", "acked", "resolved", "reopened"}
    monkeypatch.setattr(base, "BATCH_ROWS", batch_rows)
    for _ in range(2):
        await AlarmReader(watch.rig.ledger, watch.rig.views).rebuild()
        assert await picture(watch.rig.views) == grown


class Dying(AlarmReader):
    """Ends at the nth transaction, after everything was written in it and before it is committed."""

    left = 0

    def apply(self, connection, rows) -> None:
        super().apply(connection, rows)
        self.left -= 1
        if self.left < 0:
            raise Killed


async def test_kills_between_any_two_records_change_nothing(watch: Watch, monkeypatch: pytest.MonkeyPatch):
    await a_busy_night(watch)
    grown = await picture(watch.rig.views)
    monkeypatch.setattr(base, "BATCH_ROWS", 3)
    await watch.rig.views.write(watch.reader.clear)
    await watch.rig.views.write(lambda connection: connection.execute("DELETE FROM positions"))
    for lives in range(10_000):
        reader = Dying(watch.rig.ledger, watch.rig.views)
        reader.left = lives % 4
        try:
            await caught_up(reader)
        except Killed:
            continue
        break
    assert lives > 20
    assert await picture(watch.rig.views) == grown


async def test_an_alarm_names_the_records_that_made_it(watch: Watch):
    events = [watch.event(DOOR_ALARM, "DoorForcedOpen"), watch.event(DOOR_ALARM, "Normal")]
    (alarm,) = await watch.hear(*events)
    assert alarm.opened == await position_of(watch.rig.ledger, events[0])
    assert alarm.changed == await position_of(watch.rig.ledger, events[1])


async def test_a_page_goes_through_all_of_them_once(watch: Watch):
    for number in range(25):
        await watch.told(DURESS, device=f"gate-1/face-{number}")
    seen, beyond = [], None
    while page := await watch.reader.page([State.NEW], beyond=beyond, limit=10):
        seen += page
        beyond = (page[-1].opened, page[-1].id)
    assert [alarm.source for alarm in seen] == [f"gate-1/face-{number}" for number in reversed(range(25))]
    assert await watch.reader.page([State.ACKED, State.RESOLVED]) == []
