"""What both ledgers promise: one row per record, gap-free positions, chains, blanking, epochs."""

import asyncio

import msgspec
import pytest

from aggregator.ledger import (
    START,
    Fate,
    Ledger,
    Mark,
    OpenEpoch,
    Run,
    Standing,
)
from aggregator.ledger.plan import SERIES_SLOT_NS
from tests.admission.box import ALARM, CAMPUS, DENIED, Box
from tests.ledger.runs import deliver, run_of
from tests.support.clock import VirtualClock
from wire.errors import Malformed, UnknownTopic
from wire.identity import SourceKey, derived_id, record_hash
from wire.records import DeviceTime, Event, decode_record
from wire.topics import CAMPUS_NODE, LANES, Lane

# --- taking runs


async def test_a_row_holds_what_the_record_and_its_batch_say(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box(clock=clock)
    event = box.event(record_no=7, source_epoch=2, device_time=DeviceTime(raw="2026-09-01 08:00:00", wall_ns=123_456))
    [stored] = box.put(event)
    clock.advance(2)
    result = await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert result.head == 1
    [row] = await ledger.read(0, 10)
    assert (row.position, row.campus_id, row.edge, row.epoch) == (1, CAMPUS, "gate-1", box.epoch)
    assert (row.lane, row.seq, row.through, row.event_id) == (Lane.D, 1, 1, event.id)
    assert (row.device_id, row.kind, row.topic) == ("gate-1/face-1", "event", DENIED)
    assert (row.source_epoch, row.source_no) == (2, 7)
    assert (row.occurred_ns, row.stamp_ns, row.received_ns) == (123_456, event.stamp.wall_ns, clock.wall_ns())
    assert (row.mono_ns, row.boot_id, row.clock) == (event.stamp.mono_ns, clock.boot_id, event.stamp.clock)
    assert (row.age_ns, row.historical, row.series_time_ns) == (2_000_000_000, False, 123_456)
    assert (row.hash, row.chain, row.body) == (record_hash(stored.body), stored.chain, stored.body)
    assert row == await ledger.event(event.id)


async def test_positions_are_gap_free_over_edges_lanes_and_commits(ledger: Ledger, clock: VirtualClock) -> None:
    boxes = [Box("gate-1", seed=1), Box("gate-2", seed=2)]
    for number in range(3):
        for box in boxes:
            box.put(box.event(), box.event(ALARM), box.reading(number))
        runs = [run_of(box, lane, number) for box in boxes for lane in (Lane.D, Lane.A, Lane.T)]
        await deliver(ledger, *runs, clock=clock)
    rows = await ledger.read(0, 1000)
    assert [row.position for row in rows] == list(range(1, 19))
    assert await ledger.head() == 18
    assert [row.seq for row in rows if row.edge == "gate-2" and row.lane is Lane.A] == [1, 2, 3]


async def test_a_commit_that_fails_uses_no_position(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(box.event())
    good = run_of(box, Lane.D)
    # No decoder gives an empty run; it stands for a fault of our own in the middle of a group.
    with pytest.raises(IndexError):
        await deliver(ledger, good, Run(box.edge, box.epoch, Lane.A, 1, bytes(16), []), clock=clock)
    assert await ledger.head() == 0
    assert (await ledger.watermarks(box.edge, box.epoch))[Lane.D] == START
    await deliver(ledger, good, clock=clock)
    assert [row.position for row in await ledger.read(0, 10)] == [1]


async def test_a_run_must_begin_at_the_next_number(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(*[box.event() for _ in range(6)])
    first, overlapping, ahead = run_of(box, Lane.D, 0, 3), run_of(box, Lane.D, 1, 5), run_of(box, Lane.D, 4, 2)
    result = await deliver(ledger, ahead, first, overlapping, first, clock=clock)
    assert [run.fate for run in result.runs] == [Fate.IGNORED, Fate.TAKEN, Fate.IGNORED, Fate.IGNORED]
    assert result.runs[0].mark == START
    assert {run.mark for run in result.runs[1:]} == {Mark(3, box.lanes[Lane.D][2].chain)}
    assert (await ledger.watermarks("gate-1", box.epoch))[Lane.D].through == 3
    assert len(await ledger.read(0, 100)) == 3


async def test_two_runs_of_one_lane_in_one_group_follow_each_other(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(*[box.event() for _ in range(6)])
    result = await deliver(ledger, run_of(box, Lane.D, 0, 3), run_of(box, Lane.D, 3, 3), clock=clock)
    assert [run.mark.through for run in result.runs] == [3, 6]


async def test_a_run_on_another_history_is_not_taken(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(box.event(), box.event())
    other = box.copy()
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    other.lanes[Lane.D].pop()
    other.put(other.event(), other.event())
    result = await deliver(ledger, run_of(other, Lane.D, 2), clock=clock)
    assert result.runs[0] == (Fate.FORKED, Mark(2, box.end(Lane.D)[1]))
    assert len(await ledger.read(0, 100)) == 2


# --- chains and blanking


async def test_a_blanked_body_is_gone_and_its_chain_still_holds(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(*[box.event() for _ in range(5)])
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    before = await ledger.read(0, 100)
    assert await ledger.blank([2, 4, 99]) == 2
    assert await ledger.blank([2]) == 0
    after = await ledger.read(0, 100)
    assert [row.body is None for row in after] == [False, True, False, True, False]
    assert [(r.position, r.event_id, r.hash, r.chain) for r in after] == [
        (r.position, r.event_id, r.hash, r.chain) for r in before
    ]
    assert (await ledger.verify_chain("gate-1", box.epoch, Lane.D)) == (5, "")


async def test_a_blanked_record_is_still_known(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(box.event(record_no=3))
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    await ledger.blank([1])
    box.fork()
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert len(await ledger.read(0, 100)) == 1
    assert await ledger.quarantined(10) == []


async def test_an_unknown_lane_has_an_empty_chain(ledger: Ledger) -> None:
    assert await ledger.verify_chain("gate-9", "00" * 16, Lane.D) == (0, "")


# --- series times


async def test_records_of_one_device_never_share_a_series_time(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box(clock=clock)
    at = DeviceTime(raw="08:00:00", wall_ns=1_000_000_000)
    box.put(*[box.event(device_time=at, device=f"gate-1/face-{n % 2 + 1}") for n in range(6)])
    await deliver(ledger, run_of(box, Lane.D, 0, 4), clock=clock)
    await deliver(ledger, run_of(box, Lane.D, 4), clock=clock)
    rows = await ledger.read(0, 100)
    assert [row.series_time_ns - at.wall_ns for row in rows] == [0, 0, 1, 1, 2, 2]
    assert {row.occurred_ns for row in rows} == {at.wall_ns}


async def test_a_series_time_below_a_taken_one_keeps_clear_of_it(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    end_of_slot = 5 * SERIES_SLOT_NS - 1
    for wall_ns in (end_of_slot, end_of_slot - 1, end_of_slot):
        box.put(box.event(device_time=DeviceTime(raw="?", wall_ns=wall_ns)))
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert [row.series_time_ns for row in await ledger.read(0, 9)] == [end_of_slot, end_of_slot + 1, end_of_slot + 2]


async def test_only_what_has_a_point_has_a_series_time(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(box.reading(), box.reading())
    box.thin(Lane.T, 1, 1)
    await deliver(ledger, run_of(box, Lane.T), clock=clock)
    assert [row.series_time_ns is None for row in await ledger.read(0, 9)] == [True, False]


# --- facts of the campus


def campus_event(clock: VirtualClock, number: int, topic: str = "Alarm/Transition") -> Event:
    return Event(id=derived_id("test", number), device=CAMPUS_NODE, stamp=clock.stamp(), topic=topic)


async def test_campus_facts_are_numbered_and_chained_like_any_other(ledger: Ledger, clock: VirtualClock) -> None:
    facts = [campus_event(clock, n) for n in range(3)]
    assert await ledger.append_campus(facts[:2], clock.stamp()) == [1, 2]
    assert await ledger.append_campus([facts[1], facts[2]], clock.stamp()) == [2, 3]
    rows = await ledger.read(0, 100)
    assert [(row.edge, row.lane, row.seq) for row in rows] == [(CAMPUS_NODE, Lane.A, n) for n in (1, 2, 3)]
    [epoch] = {row.epoch for row in rows}
    assert (await ledger.verify_chain(CAMPUS_NODE, epoch, Lane.A)) == (3, "")


async def test_one_bad_campus_fact_writes_none_of_them(ledger: Ledger, clock: VirtualClock) -> None:
    with pytest.raises(UnknownTopic):
        await ledger.append_campus([campus_event(clock, 1), campus_event(clock, 2, "No/Such")], clock.stamp())
    long = msgspec.structs.replace(campus_event(clock, 3), reason="x" * 100)
    with pytest.raises(Malformed):
        await ledger.append_campus([campus_event(clock, 1), long], clock.stamp())
    assert await ledger.head() == 0


# --- epochs


async def test_the_first_epoch_of_an_edge_is_noted_without_alarm(ledger: Ledger, clock: VirtualClock) -> None:
    opening = await ledger.open_epoch(OpenEpoch(edge="gate-1", epoch="a1" * 16), clock.stamp())
    assert (opening.standing, opening.marks) == (Standing.FIRST, dict.fromkeys(LANES, START))
    again = await ledger.open_epoch(OpenEpoch(edge="gate-1", epoch="a1" * 16), clock.stamp())
    assert again.standing is Standing.CURRENT
    assert [row.topic for row in await ledger.read(0, 10)] == ["Audit/Entry"]


async def test_a_second_epoch_is_an_alarm_and_so_is_the_return_of_the_first(
    ledger: Ledger, clock: VirtualClock
) -> None:
    one, two = "a1" * 16, "b2" * 16
    request = OpenEpoch(edge="gate-1", epoch=two, previous=one, reason="chain")
    await ledger.open_epoch(OpenEpoch(edge="gate-1", epoch=one), clock.stamp())
    clock.advance(1)
    assert (await ledger.open_epoch(request, clock.stamp())).standing is Standing.NEW
    assert (await ledger.open_epoch(request, clock.stamp())).standing is Standing.CURRENT
    clock.advance(1)
    back = await ledger.open_epoch(OpenEpoch(edge="gate-1", epoch=one), clock.stamp())
    assert back.standing is Standing.RETURNED
    rows = await ledger.read(0, 10)
    assert [row.topic for row in rows] == ["Audit/Entry", "Delivery/EpochForked", "Delivery/EpochForked"]
    alarm = decode_record(rows[1].body)
    assert (rows[1].lane, alarm.reason) == (Lane.A, "chain")
    assert alarm.values == {"edge": "gate-1", "epoch": two, "earlier_epoch": one, "standing": "new"}
    assert [(e.epoch, e.previous, e.reason, e.current) for e in await ledger.epochs("gate-1")] == [
        (one, None, "", True),
        (two, one, "chain", False),
    ]


async def test_an_opening_tells_marks_and_the_chains_asked_for(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(*[box.reading(n) for n in range(9)])
    box.thin(Lane.T, 3, 5)
    box.put(box.event())
    await deliver(ledger, run_of(box, Lane.T), run_of(box, Lane.D), clock=clock)
    for number, known in ((2, True), (3, False), (5, True), (9, True), (10, False)):
        request = OpenEpoch(edge="gate-1", epoch=box.epoch, numbers={Lane.T: number})
        opening = await ledger.open_epoch(request, clock.stamp())
        ours = {row.through: row.chain for row in box.lanes[Lane.T]}
        assert opening.chains == ({Lane.T: ours[number]} if known else {})
        assert opening.marks[Lane.T] == box.end(Lane.T)
        assert opening.marks[Lane.D] == box.end(Lane.D)


# --- reading


async def test_reading_goes_by_position(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(*[box.event() for _ in range(5)])
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert [row.position for row in await ledger.read(0, 2)] == [1, 2]
    assert [row.position for row in await ledger.read(3, 10)] == [4, 5]
    assert await ledger.read(5, 10) == []
    assert await ledger.event("ff" * 16) is None


async def test_who_waits_for_growth_is_woken(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(box.event())
    waiting = asyncio.create_task(ledger.wait_beyond(0, 30))
    await asyncio.sleep(0)
    assert not waiting.done()
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert await asyncio.wait_for(waiting, 5) == 1
    assert await ledger.wait_beyond(0, 0) == 1


async def test_who_waits_in_vain_hears_where_the_ledger_stands(ledger: Ledger) -> None:
    assert await ledger.wait_beyond(0, 0.01) == 0


async def test_device_keys_belong_to_events_and_readings(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(box.reading(1.0, source=SourceKey(record_no=1)), box.reading(1.0, source=SourceKey(record_no=1)))
    await deliver(ledger, run_of(box, Lane.T), clock=clock)
    assert [(row.source_no, row.source_epoch) for row in await ledger.read(0, 10)] == [(1, 0)]
