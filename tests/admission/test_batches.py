"""Batches and acks: once each, in order, whatever is lost, repeated or reordered."""

import asyncio

import pytest

from aggregator.admission import GroupLimits
from aggregator.ledger import Filter
from tests.admission.box import ALARM, Box, ack, welcome
from tests.admission.campus import Campus
from tests.admission.greeted import connected
from wire.clock import ClockState, Stamp
from wire.records import decode_record
from wire.topics import CAMPUS_NODE, Lane

# --- one batch after the other


async def test_an_ack_names_what_is_committed(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(5)])
    said = ack(await campus.admission.receive(*box.batch(Lane.D, 0, 3)))
    assert (said.session, said.epoch, said.lane, said.through) == (box.nonce, box.epoch, Lane.D, 3)
    assert (said.chain, said.time_ns) == (box.lanes[Lane.D][2].chain.hex(), campus.clock.wall_ns())
    assert [row.seq for row in await campus.rows("gate-1")] == [1, 2, 3]


async def test_batches_of_a_lane_may_overlap_in_flight(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(9)])
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(campus.admission.receive(*box.batch(Lane.D, after, 3))) for after in (0, 3, 6)]
    assert [ack(task.result()).through for task in tasks] == [3, 6, 9]
    assert len(campus.ledger.groups) == 1


async def test_a_repeated_batch_is_acked_again_and_not_stored_again(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(3)])
    frame = box.batch(Lane.D, 0)
    assert [ack(await campus.admission.receive(*frame)).through for _ in range(3)] == [3, 3, 3]
    assert len(await campus.rows("gate-1")) == 3
    assert len(campus.ledger.groups) == 1


async def test_a_batch_after_a_lost_one_is_answered_with_where_the_lane_stands(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(6)])
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 3))).through == 0
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 0, 3))).through == 3
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 3))).through == 6
    await campus.check_lanes(box)


async def test_lanes_do_not_wait_for_each_other(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(6)], box.event(ALARM), box.reading())
    assert ack(await campus.admission.receive(*box.batch(Lane.A, 0))).through == 1
    assert ack(await campus.admission.receive(*box.batch(Lane.T, 0))).through == 1
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 3))).through == 0


# --- sessions


async def test_a_campus_that_restarted_asks_for_hello_once_a_second(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(6)])
    campus.restart()
    said = welcome(await campus.admission.receive(*box.batch(Lane.D, 0, 3)))
    assert (said.verdict, said.session) == ("hello", box.nonce)
    assert await campus.admission.receive(*box.batch(Lane.D, 3)) == []
    assert await campus.admission.receive(*box.heartbeat()) == []
    campus.clock.advance(1)
    assert welcome(await campus.admission.receive(*box.heartbeat())).verdict == "hello"
    assert await campus.rows("gate-1") == []


async def test_a_batch_of_an_earlier_session_is_not_taken(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(box.event())
    late = box.batch(Lane.D, 0)
    await campus.greet(box)
    assert welcome(await campus.admission.receive(*late)).verdict == "hello"
    assert await campus.rows("gate-1") == []


async def test_a_batch_of_an_earlier_epoch_is_not_taken(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(box.event())
    assert welcome(await campus.admission.receive(*box.batch(Lane.D, 0, epoch="ab" * 16))).verdict == "hello"


async def test_heartbeats_are_heard_and_not_stored(campus: Campus) -> None:
    box = await connected(campus, Box())
    before = await campus.ledger.head()
    campus.clock.advance(2)
    assert await campus.admission.receive(*box.heartbeat()) == []
    live = campus.admission.liveness["gate-1"]
    assert (live.session, live.epoch, live.heard_ns) == (box.nonce, box.epoch, campus.clock.mono_ns())
    assert live.heartbeat.session == box.nonce
    assert campus.heard == [("gate-1", "hello"), ("gate-1", "heartbeat")]
    assert await campus.ledger.head() == before


async def test_a_hello_that_overtakes_a_commit_doubles_nothing(campus: Campus) -> None:
    campus.limits = GroupLimits(linger_s=30)
    campus.restart()
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(4)], box.event(ALARM), box.event(ALARM))
    on_its_way = asyncio.create_task(campus.admission.receive(*box.batch(Lane.D, 0, 2)))
    await asyncio.sleep(0)
    assert (await campus.greet(box)).lanes[Lane.D].through == 0
    async with asyncio.timeout(45):
        again = asyncio.create_task(campus.admission.receive(*box.batch(Lane.D, 0, 3)))
        await asyncio.sleep(0)
        await campus.admission.receive(*box.batch(Lane.A, 0, 1))
        await on_its_way
        assert ack(await again).through == 2
        later = asyncio.create_task(campus.admission.receive(*box.batch(Lane.D, 2, 2)))
        await asyncio.sleep(0)
        await campus.admission.receive(*box.batch(Lane.A, 1, 1))
        assert ack(await later).through == 4
    assert [row.seq for row in await campus.rows("gate-1") if row.lane is Lane.D] == [1, 2, 3, 4]


# --- records that are not what they should be


async def test_a_poison_record_in_the_middle_does_not_stop_the_lane(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(box.event())
    box.put_bytes(Lane.D, b'{"kind":"event","topic":"\xff"}')
    box.put(box.event())
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 0))).through == 3
    assert [row.seq for row in await campus.rows("gate-1")] == [1, 3]
    [kept] = await campus.ledger.quarantined(10)
    assert kept.raw == box.lanes[Lane.D][1].body
    await campus.check_lanes(box)


async def test_a_box_cannot_speak_for_another(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(box.event(device="gate-2/face-1"), box.event(device=CAMPUS_NODE), box.event())
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 0))).through == 3
    assert [row.seq for row in await campus.rows("gate-1")] == [3]


async def test_a_batch_on_the_topic_of_another_lane_is_dropped(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(box.event())
    _, frame = box.batch(Lane.D, 0)
    assert await campus.admission.receive(box.topic(Lane.A), frame) == []
    assert campus.admission.counters["malformed"] == 1


@pytest.mark.parametrize("header", [{"through": 4}, {"through": 2}, {"through": 2**63}])
async def test_a_batch_that_does_not_add_up_ends_in_a_fork(campus: Campus, header: dict[str, int]) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(3)])
    said = welcome(await campus.admission.receive(*box.batch(Lane.D, 0, **header)))
    assert (said.verdict, said.reason) == ("fork", "numbering")
    box.fork()
    campus.clock.advance(2)
    await connected(campus, box)
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 0))).through == 3


async def test_an_undecodable_gap_is_overcome_by_a_fork(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.reading(n) for n in range(6)])
    gap = box.thin(Lane.T, 2, 4)
    broken = type(gap)(gap.seq, gap.through, gap.body[:-9], gap.chain)
    box.lanes[Lane.T][1] = broken
    assert welcome(await campus.admission.receive(*box.batch(Lane.T, 0))).verdict == "fork"
    box.fork()
    campus.clock.advance(2)
    await connected(campus, box)
    assert ack(await campus.admission.receive(*box.batch(Lane.T, 0))).through == 3
    await campus.check_lanes(box)


async def test_a_conflict_is_set_aside_and_told(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(box.event(record_no=8, reason="Other"), box.event(record_no=8), box.event(record_no=9))
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 0))).through == 3
    assert [row.seq for row in await campus.rows("gate-1")] == [1, 3]
    assert [alarm.topic for alarm in await campus.alarms()] == ["Delivery/Conflict"]
    await campus.check_lanes(box)


async def test_a_device_record_sent_again_after_an_outbox_was_lost_is_not_doubled(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event(record_no=n, values={"n": n}) for n in range(4)])
    await campus.admission.receive(*box.batch(Lane.D, 0))
    # A fresh file after damage: new epoch, device epochs far ahead, and the terminal flushes its log again.
    fresh = Box(seed=3)
    fresh.key = box.key
    fresh.put(*[fresh.event(record_no=n, source_epoch=29_803_680, values={"n": n}) for n in range(6)])
    campus.clock.advance(2)
    await connected(campus, fresh)
    assert ack(await campus.admission.receive(*fresh.batch(Lane.D, 0))).through == 6
    assert [row.source_no for row in await campus.rows("gate-1")] == [0, 1, 2, 3, 4, 5]
    await campus.check_lanes(box, fresh)


async def test_a_gap_that_reaches_below_the_batch_is_taken(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.reading(n) for n in range(8)])
    said = ack(await campus.admission.receive(*box.batch(Lane.T, 0, 4)))
    box.thin(Lane.T, 2, 6)
    assert ack(await campus.admission.receive(*box.batch(Lane.T, 4, before=said.chain))).through == 8
    gaps = await campus.ledger.page(Filter(kind="gap"))
    assert [(row.seq, row.through, decode_record(row.body).from_seq) for row in gaps] == [(5, 6, 2)]
    await campus.check_lanes(box)


async def test_blanked_rows_do_not_disturb_delivery(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event(record_no=n) for n in range(4)])
    await campus.admission.receive(*box.batch(Lane.D, 0, 2))
    await campus.ledger.blank([row.position for row in await campus.rows("gate-1")])
    campus.restart()
    said = await campus.greet(box)
    assert said.lanes[Lane.D].through == 2
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 2))).through == 4
    await campus.check_lanes(box)


# --- historical


@pytest.mark.parametrize(
    ("age_s", "same_boot", "historical"), [(0, True, False), (30, True, False), (30.1, True, True), (0, False, True)]
)
async def test_old_news_is_marked_by_its_age_when_it_was_sent(
    campus: Campus, age_s: float, same_boot: bool, historical: bool
) -> None:
    box = await connected(campus, Box())
    box.put(box.event())
    box.clock.step_wall(-900_000)
    box.clock.advance(age_s)
    if not same_boot:
        box.clock.boot_id = "ee" * 16
    # Time on the way does not make a record old.
    frame = box.batch(Lane.D, 0)
    campus.clock.advance(120)
    await campus.admission.receive(*frame)
    [row] = await campus.rows("gate-1")
    assert row.historical is historical
    assert row.age_ns == (round(age_s * 10**9) if same_boot else None)


async def test_a_record_stamped_after_its_sending_is_not_old(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(box.event())
    now = box.clock.stamp()
    sent = Stamp(wall_ns=0, mono_ns=0, boot_id=now.boot_id, clock=ClockState.UNSYNCED, error_ms=0)
    await campus.admission.receive(*box.batch(Lane.D, 0, sent=sent))
    assert [row.historical for row in await campus.rows("gate-1")] == [False]
