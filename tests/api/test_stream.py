"""The stream: from a position on, everything once and in order, whatever happens beside it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from aggregator.accounts import Role
from aggregator.accounts.roles import IDLE_S
from aggregator.api.guard import COOKIE
from aggregator.ledger import LedgerRow, MemoryLedger
from aggregator.live import Feed, feed
from aggregator.live.feed import Wanted
from tests.admission.box import ALARM, CAMPUS, Box
from tests.api.rig import CARD, HOLDER, TAIL, Rig, keys_of
from tests.api.watching import Watching, watching
from tests.support.clock import VirtualClock, seeded
from tests.support.waiting import until
from wire.records import Event
from wire.topics import CAMPUS_NODE

QUIET_S = 0.05


@asynccontextmanager
async def running(feed: Feed) -> AsyncIterator[Feed]:
    task = asyncio.create_task(feed.run())
    try:
        yield feed
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def live(rig: Rig) -> AsyncIterator[Rig]:
    async with running(rig.campus.feed):
        yield rig


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same code in smaller steps of time."""
    monkeypatch.setattr(feed, "TICK_S", 0.002)


async def test_a_stream_begins_with_where_the_campus_stands_and_then_says_what_is_new(live: Rig):
    await live.deliver(live.box.event())
    head = await live.ledger.head()
    async with watching(live.app, await live.token(Role.GUARD)) as watch:
        assert watch.status == 200
        assert watch.headers["content-type"].startswith("text/event-stream")
        assert watch.headers["cache-control"] == "no-store"
        hello = await watch.next()
        assert hello is not None
        assert (hello.name, hello.data, hello.id) == ("hello", {"campus": CAMPUS, "head": head}, "")
        await live.deliver(live.box.event(), live.box.event(ALARM))
        messages = await watch.until(head + 2)
    assert [position for message in messages for position in message.positions] == [head + 1, head + 2]
    assert all(int(message.id) == message.data["position"] for message in messages)


async def test_an_item_looks_as_it_does_on_a_page(live: Rig):
    async with await live.ask(Role.LEAD) as client, watching(live.app, await live.token(Role.LEAD), "after=0") as watch:
        await live.deliver(live.passage(), live.box.reading())
        head = await live.ledger.head()
        items = [item for message in await watch.until(head) if message.id for item in message.data["items"]]
        assert items == (await client.get("/api/v1/events?order=asc")).json()["items"]


@pytest.mark.parametrize("how", ["Last-Event-ID", "after", "both"])
async def test_a_reader_that_comes_back_misses_nothing_and_sees_nothing_twice(live: Rig, how: str):
    token, seen = await live.token(Role.GUARD), list[int]()
    total = 120

    async def arrive() -> None:
        for _ in range(total // 4):
            await live.deliver(*(live.box.event() for _ in range(4)))

    before = await live.ledger.head()
    last = before
    arriving = asyncio.create_task(arrive())
    while last < before + total:
        query = {"Last-Event-ID": "", "after": f"after={last}", "both": "after=0"}[how]
        headers = {} if how == "after" else {"Last-Event-ID": str(last)}
        async with watching(live.app, token, query, **headers) as watch:
            await watch.next()
            message = await watch.next()
            assert message is not None
            seen += message.positions
            last = int(message.id)
    await arriving
    extra = await live.ledger.head() - before - total  # The hello of the box may have said something, too.
    assert seen[:total] == list(range(before + 1, before + total + 1))
    assert extra >= 0


async def test_a_position_is_complete_even_where_the_feed_is_behind_the_ledger(rig: Rig):
    """What a page showed must not come again because the feed had not taken it yet."""
    await rig.deliver(*(rig.box.event() for _ in range(5)))
    async with running(rig.campus.feed):
        head = await rig.ledger.head()
        watch = rig.campus.feed.watch(head, Wanted(), people=False)
        first = asyncio.create_task(anext(watch))
        await asyncio.sleep(0)
        await rig.deliver(rig.box.event())
        async with asyncio.timeout(60):
            frame = await first
        await watch.aclose()
    assert frame.position == head + 1
    assert len(frame.items) == 1


async def test_a_reader_from_before_a_restored_backup_goes_on_from_its_head(live: Rig):
    await live.deliver(live.box.event())
    head = await live.ledger.head()
    async with watching(live.app, await live.token(Role.GUARD), **{"Last-Event-ID": "9" * 19}) as watch:
        await watch.next()
        await live.deliver(live.box.event())
        assert await watch.positions(head + 1) == [head + 1]


@pytest.mark.parametrize("last", ["", "-1", "x", "²", "1.5", "9" * 20, "9" * 5000])
async def test_an_id_that_we_did_not_make_is_refused(live: Rig, last: str):
    async with watching(live.app, await live.token(Role.GUARD), **{"Last-Event-ID": last}) as watch:
        assert watch.status == 422


@pytest.mark.parametrize("query", ["after=-1", "after=x", "lane=Z", f"topic={'x' * 129}"])
async def test_a_wish_that_makes_no_sense_is_refused(live: Rig, query: str):
    async with watching(live.app, await live.token(Role.GUARD), query) as watch:
        assert watch.status == 422


@pytest.mark.parametrize(
    ("query", "passes"),
    [
        ("topic=Door", lambda row: row.topic.startswith("Door/")),
        ("topic=Do", lambda row: False),
        (f"topic={ALARM}", lambda row: row.topic == ALARM),
        ("device=gate-1/face-2", lambda row: row.device_id == "gate-1/face-2"),
        ("lane=T", lambda row: row.lane == "T"),
        ("lane=A&device=gate-1/face-1", lambda row: row.lane == "A" and row.device_id == "gate-1/face-1"),
    ],
)
async def test_filters_and_still_the_position_moves(live: Rig, query: str, passes: Any):
    async with watching(live.app, await live.token(Role.GUARD), f"after=0&{query}") as watch:
        await live.deliver(
            live.box.event(),
            live.box.event(device="gate-1/face-2"),
            live.box.event(ALARM),
            live.box.event(ALARM, device="gate-1/face-2"),
            live.box.reading(),
        )
        rows = await live.ledger.read(0, 100)
        positions = await watch.positions(rows[-1].position)
    assert positions == [row.position for row in rows if passes(row)]


# --- the ring -----------------------------------------------------------------------------------------


class Reads(MemoryLedger):
    """Counts what is read, and fails when told to."""

    failing: Exception | None = None
    read_from: list[int]

    async def read(self, after: int, limit: int) -> list[LedgerRow]:
        if self.failing is not None:
            raise self.failing
        self.read_from.append(after)
        await asyncio.sleep(0)
        return await super().read(after, limit)


def campus_events(count: int) -> list[Event]:
    box = Box(CAMPUS_NODE)
    return [box.event(ALARM, device=CAMPUS_NODE) for _ in range(count)]


@pytest.fixture
def ledger() -> Reads:
    ledger = Reads(campus_id=CAMPUS, random=seeded(3))
    ledger.read_from = []
    return ledger


async def collect(feed: Feed, after: int, until: int, *, people: bool = True) -> list[int]:
    positions: list[int] = []
    count = 0
    watch = feed.watch(after, Wanted(), people=people)
    async with asyncio.timeout(60):
        async for frame in watch:
            count += len(frame.items)
            positions.append(frame.position)
            await asyncio.sleep(0)
            if frame.position >= until:
                break
    await watch.aclose()
    assert count == until - after
    assert positions == sorted(set(positions))
    return positions


async def test_who_fell_behind_the_ring_is_served_from_the_ledger(ledger: Reads, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed, "RING_ROWS", 20)
    monkeypatch.setattr(feed, "FRAME_ROWS", 8)
    clock, all_events = VirtualClock(), campus_events(300)
    async with running(Feed(ledger)) as one:
        readers = [asyncio.create_task(collect(one, after, 300)) for after in (0, 0, 0)]
        for start in range(0, 300, 10):
            await ledger.append_campus(all_events[start : start + 10], clock.stamp())
            await asyncio.sleep(0)
        late = [asyncio.create_task(collect(one, after, 300)) for after in (0, 7, 150, 280, 299)]
        async with asyncio.timeout(60):
            await asyncio.gather(*readers, *late)
        assert len(one._ring) == 20
        ledger.read_from.clear()
        await collect(one, 285, 300)
        assert ledger.read_from == []  # What the ring holds costs the ledger nothing.
        await collect(one, 270, 300)
        assert ledger.read_from == [270, 278]  # Then the ring again.


async def test_rows_are_encoded_once_for_all_who_watch(ledger: Reads, monkeypatch: pytest.MonkeyPatch):
    encoded: list[int] = []
    encode_row = feed.encode_row

    def counting(row: LedgerRow, **sight: bool) -> bytes:
        encoded.append(row.position)
        return encode_row(row, **sight)

    monkeypatch.setattr(feed, "encode_row", counting)
    async with running(Feed(ledger)) as one:
        watchers = [asyncio.create_task(collect(one, 0, 5, people=number < 10)) for number in range(20)]
        await asyncio.sleep(0.01)
        await ledger.append_campus(campus_events(5), VirtualClock().stamp())
        async with asyncio.timeout(60):
            await asyncio.gather(*watchers)
    assert sorted(encoded) == sorted([1, 2, 3, 4, 5] * 2)  # Once with people, once without.


async def test_a_quiet_stream_says_so(ledger: Reads, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed, "QUIET_S", QUIET_S)
    async with running(Feed(ledger)) as one:
        watch = one.watch(0, Wanted(), people=False)
        assert [await anext(watch) for _ in range(3)] == [(0, [])] * 3
        await watch.aclose()


async def test_quiet_is_a_comment_to_a_browser(live: Rig, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(feed, "QUIET_S", QUIET_S)
    async with watching(live.app, await live.token(Role.GUARD)) as watch:
        await watch.next()
        message = await watch.next()
    assert message is not None
    assert (message.comment, message.id, message.data) == ("quiet", "", None)


async def test_an_outage_of_the_ledger_ends_neither_the_feed_nor_the_service(
    ledger: Reads, caplog: pytest.LogCaptureFixture
):
    caplog.set_level("INFO", "aggregator.live.feed")
    async with running(Feed(ledger)) as one:
        watch = asyncio.create_task(collect(one, 0, 3))
        await asyncio.sleep(0.01)
        outages = [sqlite3.OperationalError("disk I/O error"), OSError("no such device")]
        for failing, event in zip(outages, campus_events(3), strict=False):
            ledger.failing = failing
            await ledger.append_campus([event], VirtualClock().stamp())
            await until(lambda: caplog.messages and caplog.messages[-1] == "feed down")
            await asyncio.sleep(0.02)
            ledger.failing = None
            await until(lambda: caplog.messages[-1] == "feed up")
        await ledger.append_campus(campus_events(3), VirtualClock().stamp())
        async with asyncio.timeout(60):
            await watch
    assert caplog.messages == ["feed down", "feed up"] * 2


# --- endings ------------------------------------------------------------------------------------------


async def test_close_ends_all_streams(live: Rig):
    token = await live.token(Role.GUARD)
    async with watching(live.app, token) as one, watching(live.app, token) as other:
        for watch in (one, other):
            await watch.next()
        await until(lambda: live.campus.feed.watchers == 2)
        live.campus.feed.close()
        assert await one.to_end() == await other.to_end() == []
    assert live.campus.feed.watchers == 0
    async with watching(live.app, token) as late:
        assert [message.name for message in await late.to_end()] == ["hello"]


async def test_a_reader_that_hangs_up_is_no_longer_counted(live: Rig):
    async with watching(live.app, await live.token(Role.GUARD)) as watch:
        await watch.next()
        await until(lambda: live.campus.feed.watchers == 1)
    await until(lambda: live.campus.feed.watchers == 0)


async def ended_without_another_row(rig: Rig, watch: Watching) -> None:
    rig.clock.advance(2)
    await rig.deliver(rig.passage())
    assert await watch.to_end() == []


async def test_a_revoked_token_sees_nothing_more(live: Rig):
    token = await live.token(Role.GUARD)
    (entry,) = await live.office.tokens()
    async with watching(live.app, token) as watch:
        await watch.next()
        await live.office.revoke_token(entry["id"])
        await ended_without_another_row(live, watch)


async def test_signing_out_ends_the_streams_of_that_session(live: Rig):
    async with (
        live.signed_in("chen", Role.GUARD) as client,
        watching(live.app, Cookie=f"{COOKIE}={client.cookies[COOKIE]}") as watch,
    ):
        await watch.next()
        await client.delete("/api/v1/session")
        await ended_without_another_row(live, watch)


async def test_an_open_stream_does_not_keep_a_session_alive_by_itself(live: Rig):
    async with live.signed_in("chen", Role.ADMIN) as client:
        async with watching(live.app, Cookie=f"{COOKIE}={client.cookies[COOKIE]}") as watch:
            await watch.next()
            for _ in range(3):
                live.clock.advance(IDLE_S[Role.ADMIN] / 4)
                await live.deliver(live.box.event())
                await watch.until(await live.ledger.head())
            live.clock.advance(IDLE_S[Role.ADMIN] / 4)
            await ended_without_another_row(live, watch)
        assert (await client.get("/api/v1/me")).status_code == 401


# --- who sees what ------------------------------------------------------------------------------------

SEE_PEOPLE = {Role.GUARD, Role.LEAD, Role.ADMIN}
SEE_BOOK = {Role.LEAD, Role.ADMIN}


@pytest.mark.parametrize("role", [role for role in Role if role not in {Role.TEACHER, Role.ATTENDANCE}])
@pytest.mark.parametrize("way", ["ring", "ledger"])
async def test_the_stream_shows_no_role_more_than_a_page_does(rig: Rig, role: Role, way: str):
    async with rig.signed_in("zhao-liu"):
        pass
    token = await rig.token(role)
    if way == "ledger":
        await rig.deliver(rig.passage())
    async with running(rig.campus.feed), watching(rig.app, token, "after=0") as watch:
        await watch.next()
        if way == "ring":
            await rig.deliver(rig.passage())
            await rig.office.record("zhao-liu", "look", "somebody", "done", "")
        messages = await watch.until(await rig.ledger.head())
    shown, text = set[str](), ""
    for message in messages:
        if message.id:
            shown |= keys_of(message.data)
            text += str(message.data)
    assert ({"holder_ref", "credential"} <= shown) is (role in SEE_PEOPLE)
    assert any(secret in text for secret in (HOLDER, CARD, TAIL)) is (role in SEE_PEOPLE)
    assert ("zhao-liu" in text) is (role in SEE_BOOK)
