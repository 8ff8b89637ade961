"""What is committed together, what when it cannot be, and how much may be on its way."""

import asyncio
import sqlite3

import pytest

from aggregator.admission import GroupLimits
from tests.admission.box import ALARM, Box, ack
from tests.admission.campus import Backup, Campus
from tests.admission.greeted import connected
from tests.support.clock import VirtualClock
from wire.delivery import BATCH_RECORDS_MAX
from wire.topics import LANES, Down, Lane

# --- group commit


async def test_boxes_that_send_together_share_one_transaction(campus: Campus) -> None:
    campus.limits = GroupLimits(linger_s=30, due_records=6)
    campus.restart()
    boxes = [await connected(campus, Box(f"gate-{n}", seed=n)) for n in range(1, 4)]
    for box in boxes:
        box.put(box.event(), box.event())
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(campus.admission.receive(*box.batch(Lane.D, 0))) for box in boxes]
    assert [ack(task.result()).through for task in tasks] == [2, 2, 2]
    assert [[run.edge for run in group.runs] for group in campus.ledger.groups] == [["gate-1", "gate-2", "gate-3"]]


async def test_an_alarm_does_not_wait_for_company(campus: Campus) -> None:
    campus.limits = GroupLimits(linger_s=30)
    campus.restart()
    box = await connected(campus, Box())
    box.put(box.event(), box.event(ALARM))
    door = asyncio.create_task(campus.admission.receive(*box.batch(Lane.D, 0)))
    await asyncio.sleep(0)
    assert not campus.ledger.groups
    async with asyncio.timeout(45):
        assert ack(await campus.admission.receive(*box.batch(Lane.A, 0))).through == 1
        assert ack(await door).through == 1
    assert len(campus.ledger.groups) == 1


async def test_a_group_is_bounded(campus: Campus) -> None:
    campus.limits = GroupLimits(linger_s=30, due_records=10, group_records=4)
    campus.restart()
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(10)])
    async with asyncio.TaskGroup() as group:
        for after in range(0, 10, 2):
            group.create_task(campus.admission.receive(*box.batch(Lane.D, after, 2)))
    assert [len(group.runs) for group in campus.ledger.groups] == [2, 2, 1]
    assert (await campus.ledger.watermarks("gate-1", box.epoch))[Lane.D].through == 10


async def test_a_run_that_cannot_be_committed_harms_only_itself(
    campus: Campus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    campus.limits = GroupLimits(linger_s=30, due_records=2)
    campus.restart()
    good, bad = await connected(campus, Box("gate-1")), await connected(campus, Box("gate-2", seed=2))
    good.put(good.event())
    bad.put(bad.event(reason="Other"))
    inner = campus.ledger._ledger.commit

    async def commit(group):
        if any(run.edge == "gate-2" for run in group.runs):
            raise KeyError("a fault of ours")
        return await inner(group)

    monkeypatch.setattr(campus.ledger._ledger, "commit", commit)
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(campus.admission.receive(*box.batch(Lane.D, 0))) for box in (good, bad)]
    assert ack(tasks[0].result()).through == 1
    assert tasks[1].result() == []
    assert [record.message for record in caplog.records] == ["a run cannot be committed"]


# --- failures and kills


async def test_no_ack_without_a_commit_and_one_outage_is_two_lines(
    campus: Campus, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(4)])
    campus.ledger.fail_before = sqlite3.OperationalError("database or disk is full")
    for _ in range(3):
        assert await campus.admission.receive(*box.batch(Lane.D, 0, 2)) == []
    assert campus.admission.ledger_failing
    campus.ledger.fail_before = None
    campus.clock.advance(7)
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 0, 2))).through == 2
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 2, 2))).through == 4
    assert [record.message for record in caplog.records] == ["ledger cannot be written", "ledger can be written again"]
    assert (caplog.records[1].attempts, caplog.records[1].down_for_s) == (3, 7)
    await campus.check_lanes(box)


async def test_a_commit_of_which_nobody_heard_is_found_in_the_ledger(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(4)])
    campus.ledger.fail_after = sqlite3.OperationalError("disk I/O error")
    assert await campus.admission.receive(*box.batch(Lane.D, 0, 2)) == []
    campus.ledger.fail_after = None
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 0, 2))).through == 2
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 2, 2))).through == 4
    assert len(await campus.rows("gate-1")) == 4


async def test_a_kill_between_commit_and_ack_doubles_nothing(campus: Campus) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(6)])
    for after in (0, 2, 4):
        await campus.admission.receive(*box.batch(Lane.D, after, 2))  # the ack dies with the process
        campus.restart()
        assert (await campus.greet(box)).lanes[Lane.D].through == after + 2
    assert [row.seq for row in await campus.rows("gate-1")] == [1, 2, 3, 4, 5, 6]


async def test_a_cancelled_caller_leaves_the_others_their_answer(campus: Campus) -> None:
    campus.limits = GroupLimits(linger_s=0.05)
    campus.restart()
    boxes = [await connected(campus, Box(f"gate-{n}", seed=n)) for n in (1, 2)]
    for box in boxes:
        box.put(box.event())
    leader = asyncio.create_task(campus.admission.receive(*boxes[0].batch(Lane.D, 0)))
    other = asyncio.create_task(campus.admission.receive(*boxes[1].batch(Lane.D, 0)))
    await asyncio.sleep(0)
    leader.cancel()
    async with asyncio.timeout(45):
        assert ack(await other).through == 1
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert ack(await campus.admission.receive(*boxes[0].batch(Lane.D, 0))).through == 1
    assert len(await campus.rows("gate-1")) == 1


async def test_an_older_backup_is_filled_up_by_the_boxes(campus: Campus, backup: Backup) -> None:
    box = await connected(campus, Box())
    box.put(*[box.event(record_no=n) for n in range(4)], box.event(ALARM))
    for lane in (Lane.D, Lane.A):
        await campus.admission.receive(*box.batch(lane, 0, 2))
    yesterday = await backup()
    await campus.admission.receive(*box.batch(Lane.D, 2))
    campus.restart(yesterday)
    marks = (await campus.greet(box)).lanes
    assert {lane: marks[lane].through for lane in LANES} == {"A": 1, "M": 0, "D": 2, "S": 0, "T": 0}
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 2))).through == 4
    assert [row.source_no for row in await campus.rows("gate-1") if row.lane is Lane.D] == [0, 1, 2, 3]
    await campus.check_lanes(box)


# --- credit


async def test_credit_is_shared_and_at_least_a_batch(campus: Campus) -> None:
    campus.limits = GroupLimits(pending_records=4_000)
    campus.restart()
    given = []
    for number in range(1, 12):
        box = Box(f"gate-{number}", seed=number)
        campus.enrol(box)
        given.append((await campus.greet(box)).credit)
    assert given[0] == 4_000
    assert given[3] == 1_000
    assert given[-1] == BATCH_RECORDS_MAX


async def test_a_writer_that_is_behind_holds_the_boxes_and_a_heartbeat_lifts_the_hold(campus: Campus) -> None:
    campus.limits = GroupLimits(linger_s=30, due_records=1000, pending_records=80)
    campus.restart()
    box = await connected(campus, Box())
    box.put(*[box.event() for _ in range(75)], *[box.reading() for _ in range(10)], box.event(ALARM))
    waiting = asyncio.create_task(campus.admission.receive(*box.batch(Lane.D, 0)))
    await asyncio.sleep(0)
    # No room for ten more: not taken, and told to hold.
    held = ack(await campus.admission.receive(*box.batch(Lane.T, 0)))
    assert (held.through, held.credit) == (0, 0)
    assert await campus.admission.receive(*box.heartbeat()) == []
    async with asyncio.timeout(45):
        await campus.admission.receive(*box.batch(Lane.A, 0))
        await waiting
    campus.admission._edges["gate-1"].session.held = True
    [(leaf, _)] = lifted = await campus.admission.receive(*box.heartbeat())
    assert leaf is Down.ACK
    assert ack(lifted).credit > 0
    assert await campus.admission.receive(*box.heartbeat()) == []


async def test_a_failing_ledger_holds_the_boxes(campus: Campus, clock: VirtualClock) -> None:
    box = await connected(campus, Box())
    box.put(box.event(), box.event())
    campus.ledger.fail_before = OSError("gone")
    await campus.admission.receive(*box.batch(Lane.D, 0))
    assert ack(await campus.admission.receive(*box.batch(Lane.D, 1))).credit == 0
