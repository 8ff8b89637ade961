"""Frames: deltas, once for all who see the same, from any position on without a hole, never dearer than the ring."""

import asyncio
import gc
import random
import sqlite3
from contextlib import suppress
from typing import Any

import pytest

from aggregator.alarms import AlarmReader, State
from aggregator.alarms.facts import transition
from aggregator.ledger import LedgerRow
from aggregator.live import Unreadable, board, hub, tables
from aggregator.live.hub import BEAT_TICKS, RING_FRAMES, Frame
from aggregator.live.shapes import News, encode
from tests.live.page import DENIED, DOOR_ALARM, FACE, GRANTED, Page
from tests.support.waiting import until

DURESS = "AccessControl/Duress"


async def denied_positions(page: Page) -> list[int]:
    rows = await page.ledger.read(0, 100_000)
    return [row.position for row in rows if row.topic.startswith("AccessControl/Denied/")]


def positions(news: dict[str, Any]) -> list[int]:
    return [one["position"] for one in news["exceptions"]]


# --- frames -------------------------------------------------------------------------------------------


async def test_a_frame_says_what_changed_and_nothing_else(page: Page):
    await page.told(page.described(), page.described("gate-1/face-2"), page.event(GRANTED))
    async with page.watching() as watcher:
        await page.told(page.event(DENIED, device="gate-1/face-2"))
        await page.tick()
        news = await watcher.one()
        assert [door["device"] for door in news["doors"]] == ["gate-1/face-2"]
        assert positions(news) == [await page.ledger.head()]
        assert (news["alarms"], news["kpi"]["denied_today"], news["position"]) == ([], 1, await page.ledger.head())
        await page.told(page.event("Door/State/DoorPhysicalState", "Open"))
        await page.tick()
        news = await watcher.one()
        assert [(door["device"], door["contact"]) for door in news["doors"]] == [(FACE, "Open")]
        assert (news["exceptions"], "kpi" in news) == ([], False)


async def test_a_frame_comes_at_least_every_second_and_then_says_nothing_but_its_time(page: Page):
    await page.told(page.event(GRANTED))
    async with page.watching() as watcher:
        for _ in range(3):
            before = page.hub._next
            for _ in range(BEAT_TICKS):
                await page.tick()
            assert page.hub._next == before + 1
            news = await watcher.one()
            assert (news["doors"], news["alarms"], news["exceptions"], "kpi" in news) == ([], [], [], False)
            assert news["position"] == await page.ledger.head()
    assert BEAT_TICKS * hub.TICK_S <= 1


async def test_a_frame_is_encoded_once_for_all_who_see_the_same(page: Page, monkeypatch: pytest.MonkeyPatch):
    encoded: list[bool] = []

    def counting(news: News, *, people: bool) -> bytes:
        encoded.append(people)
        return encode(news, people=people)

    monkeypatch.setattr(hub, "encode", counting)
    await page.told(page.described())
    watches = [page.hub.watch(None, people=number < 30) for number in range(50)]
    waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await until(lambda: page.hub.watchers == 50)
    await asyncio.sleep(0.05)
    await page.told(page.event(GRANTED))
    await page.tick()
    async with asyncio.timeout(60):
        frames = await asyncio.gather(*waiting)
    assert sorted(encoded) == [False, True]
    assert len(set(map(id, frames))) <= 4
    for watch in watches:
        await watch.aclose()
    assert page.hub.watchers == 0


async def test_while_nobody_watches_nothing_is_read(page: Page, monkeypatch: pytest.MonkeyPatch):
    reads = 0
    read_tables = hub.read_tables

    async def counting(*args: Any) -> tables.Tables:
        nonlocal reads
        reads += 1
        return await read_tables(*args)

    monkeypatch.setattr(hub, "read_tables", counting)
    monkeypatch.setattr(hub, "TICK_S", 0.002)
    running = asyncio.create_task(page.hub.run())
    try:
        await page.told(page.event(GRANTED))
        await asyncio.sleep(0.1)
        assert reads == 0
        async with page.watching():
            await until(lambda: reads == 1)
            # And while nothing happens, no table is looked at either.
            await asyncio.sleep(0.1)
            assert reads == 1
        await page.told(page.event(GRANTED))
        await asyncio.sleep(0.1)
        assert reads == 1
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_more_exceptions_than_a_frame_takes_come_in_the_next_ones(page: Page, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(hub, "DENIED_AT_ONCE", 7)
    await page.told(page.event(DENIED))
    async with page.watching() as watcher:
        await page.told(*(page.event(DENIED, device=f"gate-1/face-{number % 5}") for number in range(30)))
        seen: list[int] = []
        for _ in range(5):
            await page.tick()
            news = await watcher.one()
            assert len(news["exceptions"]) <= 7
            assert news["exceptions"] == [] or news["position"] >= positions(news)[-1]
            seen += positions(news)
    assert seen == (await denied_positions(page))[1:]


async def test_more_alarms_than_one_look_takes_come_with_the_next(page: Page, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(tables, "ALARMS_AT_ONCE", 4)
    await page.told(page.described())
    async with page.watching() as watcher:
        await page.told(*(page.event(DURESS, device=f"gate-1/face-{number}") for number in range(10)))
        seen: list[str] = []
        while len(seen) < 10:
            await page.tick()
            seen += [alarm["source"] for alarm in (await watcher.one())["alarms"]]
    assert seen == [f"gate-1/face-{number}" for number in range(10)]


# --- coming back --------------------------------------------------------------------------------------


async def test_a_thousand_forced_disconnects_lose_and_double_nothing(page: Page):
    chance = random.Random(4)
    await page.told(page.described(), page.event(DENIED))
    snapshot = await page.snapshot()
    known, seen = snapshot.position, [one.position for one in snapshot.exceptions]
    doors = {door.device: door.granted_today for door in snapshot.doors}
    for cut in range(1000):
        async with page.watching(known) as watcher:
            for frame in range(chance.randint(1, 3)):
                if chance.random() < 0.3:
                    topics = [chance.choice([DENIED, GRANTED, DENIED]) for _ in range(chance.randint(1, 4))]
                    await page.told(*map(page.event, topics))
                if frame:
                    for _ in range(BEAT_TICKS):
                        await page.tick()
                for news in await watcher.next():
                    assert news is not None
                    assert news["position"] >= known
                    seen += positions(news)
                    known = news["position"]
                    doors |= {door["device"]: door["granted_today"] for door in news["doors"]}
        if cut % 100 == 99:
            # The campus itself restarts, too.
            page.hub = page.new_hub()
    async with page.watching(known) as watcher:
        (news,) = await watcher.next()
        assert news is not None
        seen += positions(news)
        doors |= {door["device"]: door["granted_today"] for door in news["doors"]}
    final = await page.snapshot()
    assert seen == await denied_positions(page)
    assert len(seen) > 1000
    assert doors == {door.device: door.granted_today for door in final.doors}


async def test_who_comes_back_is_told_what_changed_without_the_ledger_moving(page: Page):
    await page.told(page.described(), page.event("Device/State/Operating", "UP"))
    known = (await page.snapshot()).position
    page.clock.advance(60)
    async with page.watching(known) as watcher:
        news = await watcher.one()
    assert (news["position"], news["doors"][0]["state"]) == (known, "SILENT")


async def test_who_comes_back_is_told_what_became_of_alarms_that_are_settled(page: Page):
    await page.told(page.event(DOOR_ALARM, "DoorForcedOpen"))
    snapshot = await page.snapshot()
    reader = page.readers[0]
    assert isinstance(reader, AlarmReader)
    alarm = await reader.alarm(snapshot.alarms[0].id)
    assert alarm is not None
    stamp = page.clock.stamp()
    await page.ledger.append_campus([transition(alarm, State.RESOLVED, "chen", stamp, cause="real")], stamp)
    await page.read()
    for fresh in (False, True):
        if fresh:
            page.hub = page.new_hub()
        async with page.watching(snapshot.position) as watcher:
            (shown,) = (await watcher.one())["alarms"]
        assert (shown["id"], shown["state"], shown["resolved_by"]) == (alarm.id, "resolved", "chen")


@pytest.mark.parametrize("fresh", [False, True])
async def test_what_is_no_longer_remembered_is_a_gap(page: Page, monkeypatch: pytest.MonkeyPatch, fresh: bool):
    monkeypatch.setattr(board, "EXCEPTIONS_KEPT", 10)
    monkeypatch.setattr(hub, "EXCEPTIONS_KEPT", 10)
    page.hub = page.new_hub()
    await page.told(page.described())
    early = (await page.snapshot()).position
    await page.told(*(page.event(DENIED) for _ in range(12)))
    if fresh:
        page.hub = page.new_hub()
    denied = await denied_positions(page)
    for known, gap in ((early, True), (denied[1], True), (denied[2], False), (denied[-1], False)):
        async with page.watching(known) as watcher:
            (news,) = await watcher.next()
        assert (news is None) is gap
        if news is not None:
            assert positions(news) == [position for position in denied if position > known]


async def test_a_position_that_we_never_gave_is_a_gap(page: Page):
    await page.told(page.event(DENIED))
    async with page.watching(await page.ledger.head() + 1) as watcher:
        assert await watcher.next() == [None]


async def test_when_a_reader_started_over_the_page_begins_anew_too(page: Page):
    await page.told(page.described(), page.event(DENIED))
    async with page.watching() as watcher:
        doors = page.readers[1]
        await page.rig.views.write(doors.clear)
        await page.rig.views.write(
            lambda connection: connection.execute("UPDATE positions SET position = 0 WHERE reader = 'doors'")
        )
        doors.health.position = 0
        await page.tick()
        assert await watcher.next() == [None]
        assert (await page.snapshot()).position == 0
        await page.read()
        await page.tick()
        news = await watcher.one()
    assert (news["position"], news["doors"][0]["denied_today"]) == (await page.ledger.head(), 1)


# --- slow ones ----------------------------------------------------------------------------------------


def frames_alive() -> int:
    gc.collect()
    return sum(isinstance(one, Frame) for one in gc.get_objects())


async def test_one_that_never_reads_costs_nothing_and_is_told_of_its_gap(page: Page):
    await page.told(page.described())
    before = frames_alive()
    slow = [page.hub.watch(None, people=number % 2 == 0) for number in range(50)]
    first = [asyncio.ensure_future(anext(watch)) for watch in slow]
    await until(lambda: page.hub.watchers == 50)
    await asyncio.sleep(0.05)
    for number in range(3 * RING_FRAMES):
        if number % 30 == 0:
            await page.told(page.event(DENIED))
        for _ in range(BEAT_TICKS):
            await page.tick(0.01)
    async with asyncio.timeout(60):
        await asyncio.gather(*first)
    assert len(page.hub._ring) == RING_FRAMES
    assert frames_alive() - before <= RING_FRAMES + 5
    for watch in slow:
        assert await anext(watch) == hub.GAP
        await watch.aclose()


# --- when something fails -----------------------------------------------------------------------------


async def test_while_a_reader_fails_there_are_no_frames_and_no_page(page: Page):
    await page.told(page.event(DENIED))
    async with page.watching() as watcher:
        page.readers[1].health.failing = True
        for _ in range(2 * BEAT_TICKS):
            with pytest.raises(Unreadable):
                await page.tick()
        with pytest.raises(Unreadable):
            await page.snapshot()
        assert watcher.waiting is not None
        assert not watcher.waiting.done()
        page.readers[1].health.failing = False
        await page.told(page.event(DENIED))
        await page.tick()
        assert await watcher.next()


async def test_an_outage_is_told_once_loses_nothing_and_ends(
    page: Page, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", "aggregator.live.hub")
    monkeypatch.setattr(hub, "TICK_S", 0.005)
    failing = False
    ledger_page = page.ledger.page

    async def shaky(*args: Any, **said: Any) -> list[LedgerRow]:
        if failing:
            raise sqlite3.OperationalError("disk I/O error")
        return await ledger_page(*args, **said)

    monkeypatch.setattr(page.ledger, "page", shaky)
    running = asyncio.create_task(page.hub.run())
    try:
        await page.told(page.event(DENIED))
        async with page.watching() as watcher:
            failing = True
            await page.told(page.event(DENIED))
            await until(lambda: "live page down" in caplog.messages)
            await asyncio.sleep(0.05)
            failing = False
            while not (news := await watcher.one())["exceptions"]:
                pass
        assert positions(news) == (await denied_positions(page))[1:]
        await until(lambda: caplog.messages == ["live page down", "live page up"])
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running


async def test_closing_ends_every_watch(page: Page):
    await page.told(page.event(DENIED))
    watches = [page.hub.watch(None, people=True) for _ in range(5)]
    waiting = [asyncio.ensure_future(anext(watch)) for watch in watches]
    await until(lambda: page.hub.watchers == 5)
    page.hub.close()
    async with asyncio.timeout(60):
        ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(end, StopAsyncIteration) for end in ends)
    assert page.hub.watchers == 0
