"""What the page shows of doors, alarms and counters, and how time and silence change it."""

import pytest

from aggregator.live.shapes import DoorView, News
from aggregator.silence import EDGE_SILENT_S
from tests.live.page import DENIED, DOOR_ALARM, FACE, GRANTED, Page
from tests.support.clock import VirtualClock
from wire.clock import utc_text
from wire.delivery import LaneDepth
from wire.records import Credential, CredentialKind
from wire.topics import Lane

OPERATING = "Device/State/Operating"
# 2026-09-01 23:50 in Shanghai.
BEFORE_MIDNIGHT_S = 1_788_220_800 + 15 * 3600 + 50 * 60


async def door(page: Page, device: str = FACE) -> DoorView:
    return {one.device: one for one in (await page.snapshot()).doors}[device]


async def test_a_door_that_never_said_anything_is_shown_if_it_can_be_opened(page: Page):
    await page.told(page.described(), page.described("gate-1/punch-1", profile="zk-cm-pos"))
    (only,) = (await page.snapshot()).doors
    assert (only.device, only.can_open, only.contact, only.last, only.granted_today) == (FACE, True, None, None, 0)


async def test_a_door_that_cannot_be_opened_is_shown_when_it_speaks(page: Page):
    await page.told(page.event("Door/State/DoorPhysicalState", "Open", device="gate-1/contact-1"))
    shown = await door(page, "gate-1/contact-1")
    assert (shown.contact, shown.can_open, shown.name, shown.state) == ("Open", False, "gate-1/contact-1", "UNKNOWN")


async def test_unknown_is_not_a_state(page: Page):
    await page.told(page.event("Door/State/DoorPhysicalState", "Unknown"))
    assert (await door(page)).contact is None


async def test_a_silent_box_makes_its_doors_silent_and_says_since_when(page: Page):
    await page.told(page.described(), page.event(OPERATING, "UP"))
    heard_ns = page.clock.wall_ns()
    assert ((await door(page)).state, (await page.snapshot()).kpi.edges_live) == ("UP", 1)
    page.clock.advance(EDGE_SILENT_S)
    assert (await door(page)).state == "UP"
    page.clock.advance(1)
    shown, kpi = await door(page), (await page.snapshot()).kpi
    assert (shown.state, shown.state_since) == ("SILENT", utc_text(heard_ns))
    assert (kpi.edges_live, kpi.edges_total, kpi.devices_up, kpi.devices_total) == (0, 1, 0, 1)
    page.clock.advance(600)
    assert await door(page) == shown
    await page.rig.campus.admission.receive(*page.box.heartbeat())
    assert (await door(page)).state == "UP"


async def test_doors_of_a_box_that_was_not_heard_since_our_start_are_silent_since_its_last_record(page: Page):
    await page.told(page.described(), page.event(OPERATING, "UP"))
    last_ns = page.clock.wall_ns()
    page.rig.campus.restart()
    page.hub = page.new_hub()
    page.clock.advance(500)
    assert ((await door(page)).state, (await door(page)).state_since) == ("SILENT", utc_text(last_ns))


async def test_a_device_that_is_down_is_down_since_it_said_so(page: Page):
    await page.told(page.described(), page.event(OPERATING, "UP"))
    page.clock.advance(20)
    await page.told(page.event(OPERATING, "DOWN"))
    shown = await door(page)
    assert (shown.state, shown.state_since) == ("DOWN", utc_text(page.clock.wall_ns()))


@pytest.fixture
def evening(monkeypatch: pytest.MonkeyPatch) -> None:
    begin = VirtualClock.__init__
    monkeypatch.setattr(VirtualClock, "__init__", lambda self, **said: begin(self, wall_s=BEFORE_MIDNIGHT_S, **said))


async def test_today_begins_at_midnight_of_the_campus_and_a_backlog_counts_where_it_belongs(evening: None, page: Page):
    yesterday = [page.event(GRANTED), page.event(DENIED)]
    await page.told(page.event(GRANTED), page.event(GRANTED), page.event(DENIED))
    shown = await door(page)
    assert (shown.granted_today, shown.denied_today, sum(shown.spark)) == (2, 1, 2)
    page.clock.advance(11 * 60)
    await page.rig.campus.admission.receive(*page.box.heartbeat())
    await page.told(page.event(GRANTED))
    shown = await door(page)
    assert (shown.granted_today, shown.denied_today) == (1, 0)
    # Half an hour reaches back over midnight.
    assert (shown.spark[-1], shown.spark[-12], sum(shown.spark)) == (1, 2, 3)
    await page.told(*yesterday)
    shown = await door(page)
    assert (shown.granted_today, shown.denied_today, shown.spark[-12]) == (1, 0, 3)


async def test_the_spark_moves_on_with_the_minutes(page: Page):
    await page.told(page.described(), page.event(GRANTED))
    for minutes in range(32):
        shown = await door(page)
        assert len(shown.spark) == 30
        assert sum(shown.spark) == (1 if minutes < 30 else 0)
        assert minutes >= 30 or shown.spark[-1 - minutes] == 1
        assert shown.granted_today == 1
        page.clock.advance(60)


async def test_alarms_faults_and_what_is_in_hand_are_counted_apart(page: Page):
    await page.told(page.described(), page.event(DOOR_ALARM, "DoorForcedOpen"), page.event(OPERATING, "DOWN"))
    kpi = (await page.snapshot()).kpi
    assert (kpi.alarms_new, kpi.alarms_open, kpi.faults_open) == (1, 1, 1)


async def test_what_boxes_hold_back_is_counted_and_what_is_just_on_its_way_is_not(page: Page):
    await page.told(page.described())
    for age_s, expected in ((4, 0), (5, 40)):
        depth = LaneDepth(accepted=50, acknowledged=10, queued=40, oldest_age_s=age_s)
        await page.rig.campus.admission.receive(*page.box.heartbeat(lanes={Lane.D: depth}))
        assert (await page.snapshot()).kpi.catching_up == expected


async def test_people_are_shown_only_to_those_who_may_see_them(page: Page):
    card = Credential(kind=CredentialKind.CARD, ref="cd" * 16, tail="9876")
    await page.told(page.described(), page.event(GRANTED, credential=card), page.event(DENIED, credential=card))
    whole = await page.snapshot()
    reduced = whole.without_people()
    tails = [(one.doors[0].last.tail, one.exceptions[0].tail) for one in (whole, reduced) if one.doors[0].last]
    assert tails == [("9876", "9876"), (None, None)]
    assert reduced.doors[0].last is not None
    assert reduced.doors[0].last.method == "Card"


async def test_a_device_that_is_renamed_renames_its_door_and_its_alarms(page: Page):
    await page.told(page.event(DOOR_ALARM, "DoorForcedOpen"))
    (alarm,) = (await page.snapshot()).alarms
    assert (alarm.name, alarm.place) == (FACE, "")
    async with page.watching() as watcher:
        await page.told(page.described(name="北门"))
        await page.tick()
        news = await watcher.one()
    assert [(one["name"], one["place"]) for one in news["alarms"]] == [("北门", "south")]
    assert news["doors"][0]["name"] == "北门"


def test_news_that_says_nothing_says_so():
    assert not News(position=1, at="").says_something
