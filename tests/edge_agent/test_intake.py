"""The one append point: who shares a commit, who waits, and what happens when the disk fails."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.intake import EPOCH_BYTES, GROUP_LINGER_S, GROUP_RECORDS, WAITING_MAX, Intake, IntakeClosedError
from edge_agent.outbox import Appended, Entry, Fate, InlineHop, Outbox, OutboxGone
from tests.campus.virtual_loop import virtual
from tests.outbox.making import Box
from tests.support.clock import VirtualClock, seeded
from wire.errors import Malformed, UnknownTopic
from wire.identity import SourceKey
from wire.records import RECORD_BYTES_MAX, DeviceTime, Event, decode_record, encode_record
from wire.topics import Lane, lane_of

DOOR = "AccessControl/AccessGranted/Credential"
ALARM = "Door/State/DoorAlarm"
SALE = "Payment/Sale"


def draft(topic: str = DOOR, device: str = "gate-1/face-1", **fields: object) -> Draft:
    return Draft(Event(id=NO_ID, stamp=NO_STAMP, device=device, topic=topic, **fields))


class Disk:
    """Stands where the outbox is: takes its time, remembers the groups, fails or answers as told."""

    def __init__(self, takes_s: float = 0.0) -> None:
        self.takes_s = takes_s
        self.groups: list[list[Entry]] = []
        self.started_s: list[float] = []
        self.fails: Exception | None = None
        self.fates: dict[str, Fate] = {}
        self.held = asyncio.Event()
        self.held.set()

    async def append(self, entries: Sequence[Entry]) -> list[Appended]:
        self.started_s.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.takes_s)
        await self.held.wait()
        if self.fails is not None:
            raise self.fails
        self.groups.append(list(entries))
        return [self._answer(entry, seq) for seq, entry in enumerate(entries, 1)]

    def _answer(self, entry: Entry, seq: int) -> Appended:
        assert isinstance(entry.record, Event)
        fate = self.fates.get(entry.record.access_point, Fate.STORED)
        return Appended(fate, lane_of(entry.record.topic), seq if fate is Fate.STORED else 0, entry.record.id)


class Desk:
    """An intake that runs."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.clock = VirtualClock()
        self.grown: list[set[Lane]] = []
        self.intake = Intake(disk, edge="gate-1", clock=self.clock, random=seeded(1), appended=self.grown.append)
        self.running = asyncio.create_task(self.intake.run())


def now() -> float:
    return asyncio.get_running_loop().time()


@virtual
async def test_several_are_taken_in_one_wait_each_by_itself() -> None:
    desk = Desk(Disk())
    early = desk.clock.stamp()
    desk.clock.advance(3)
    too_long = draft(values={f"value_{number}": "x" * 256 for number in range(33)})
    answers = await desk.intake.accept_each(
        [([draft(access_point="one"), draft()], None), ([], None), ([draft(), too_long], None), ([draft(ALARM)], early)]
    )
    first, nothing, bad, last = answers
    assert [isinstance(answer, list) and len(answer) for answer in (first, nothing, last)] == [2, 0, 1]
    assert isinstance(bad, Malformed)
    (group,) = desk.disk.groups
    assert [entry.record.stamp for entry in group] == [desk.clock.stamp(), desk.clock.stamp(), early]


@virtual
async def test_who_is_cancelled_while_he_waits_stops_no_commit() -> None:
    desk = Desk(Disk())
    desk.disk.held.clear()
    waiting = asyncio.create_task(desk.intake.accept([draft(access_point="left")]))
    other = asyncio.create_task(desk.intake.accept([draft()]))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.sleep(0)
    desk.disk.held.set()
    assert [answer.fate for answer in await other] == [Fate.STORED]
    assert [entry.record.access_point for entry in desk.disk.groups[0]] == ["left", ""]
    assert desk.intake.waiting == 0


@virtual
async def test_drafts_of_several_channels_share_one_commit_within_twenty_milliseconds() -> None:
    desk = Desk(Disk())

    async def later(seconds: float) -> float:
        await asyncio.sleep(seconds)
        await desk.intake.accept([draft()])
        return now()

    ended = await asyncio.gather(later(0.0), later(0.01), later(0.019))
    assert [len(group) for group in desk.disk.groups] == [3]
    assert desk.disk.started_s == [pytest.approx(GROUP_LINGER_S)]
    assert all(time_s == pytest.approx(GROUP_LINGER_S) for time_s in ended)


@virtual
async def test_sixty_four_records_do_not_wait_for_company() -> None:
    desk = Desk(Disk())
    await asyncio.gather(*(desk.intake.accept([draft()]) for _ in range(GROUP_RECORDS)))
    assert desk.disk.started_s == [0.0]
    assert desk.intake.committed_groups == 1


@pytest.mark.parametrize("topic", [ALARM, SALE, "Fire/Alarm"])
def test_alarms_and_money_take_everyone_with_them_at_once(topic: str) -> None:
    @virtual
    async def run() -> None:
        desk = Desk(Disk())
        door = asyncio.create_task(desk.intake.accept([draft()]))
        await asyncio.sleep(0.005)
        await desk.intake.accept([draft(topic)])
        await door
        assert desk.disk.started_s == [pytest.approx(0.005)]
        assert desk.grown == [{Lane.D, lane_of(topic)}]

    run()


@virtual
async def test_after_an_alarm_the_next_door_waits_for_company_again() -> None:
    desk = Desk(Disk())
    await desk.intake.accept([draft(ALARM)])
    await desk.intake.accept([draft()])
    assert desk.disk.started_s == [0.0, pytest.approx(GROUP_LINGER_S)]


@virtual
async def test_what_comes_during_a_commit_shares_the_next() -> None:
    desk = Desk(Disk(takes_s=0.5))
    first = asyncio.create_task(desk.intake.accept([draft(ALARM)]))
    await asyncio.sleep(0.1)
    rest = [asyncio.create_task(desk.intake.accept([draft()])) for _ in range(5)]
    await asyncio.gather(first, *rest)
    assert [len(group) for group in desk.disk.groups] == [1, 5]


@virtual
async def test_what_came_during_a_commit_has_waited_for_company_already() -> None:
    desk = Desk(Disk(takes_s=GROUP_LINGER_S))
    first = asyncio.create_task(desk.intake.accept([draft(ALARM)]))
    await asyncio.sleep(GROUP_LINGER_S / 4)
    during = asyncio.create_task(desk.intake.accept([draft()]))
    await asyncio.sleep(GROUP_LINGER_S * 7 / 8)
    after = asyncio.create_task(desk.intake.accept([draft()]))
    await asyncio.gather(first, during, after)
    assert desk.disk.started_s == [0.0, pytest.approx(GROUP_LINGER_S * 5 / 4)]
    assert [len(group) for group in desk.disk.groups] == [1, 2]


@virtual
async def test_accept_returns_after_the_commit_and_not_before() -> None:
    desk = Desk(Disk())
    desk.disk.held.clear()
    task = asyncio.create_task(desk.intake.accept([draft(ALARM)]))
    await asyncio.sleep(100)
    assert not task.done()
    assert desk.intake.waiting == 1
    desk.disk.held.set()
    (result,) = await task
    assert (result.fate, result.lane, result.seq) == (Fate.STORED, Lane.A, 1)
    assert desk.intake.waiting == 0


@virtual
async def test_each_waiter_gets_the_answers_to_its_own_drafts_in_order() -> None:
    desk = Desk(Disk())
    desk.disk.fates = {"taken": Fate.REPEAT, "full": Fate.REFUSED}
    one, two, none = await asyncio.gather(
        desk.intake.accept([draft(access_point="taken"), draft()]),
        desk.intake.accept([draft(access_point="full")]),
        desk.intake.accept([]),
    )
    assert [result.fate for result in one] == [Fate.REPEAT, Fate.STORED]
    assert [result.fate for result in two] == [Fate.REFUSED]
    assert none == []
    assert desk.intake.refused_records == 1


@virtual
async def test_a_record_gets_its_id_and_the_moment_it_was_accepted() -> None:
    desk = Desk(Disk())
    received = desk.clock.stamp()
    desk.clock.advance(3)
    await asyncio.gather(desk.intake.accept([draft(), draft()]), desk.intake.accept([draft()], received))
    records = [decode_record(entry.body) for entry in desk.disk.groups[0]]
    assert records == [entry.record for entry in desk.disk.groups[0]]
    assert len({record.id for record in records}) == 3
    assert NO_ID not in {record.id for record in records}
    assert [record.stamp for record in records] == [desk.clock.stamp(), desk.clock.stamp(), received]


@virtual
async def test_the_uplink_hears_which_lanes_grew_and_nothing_when_none_did() -> None:
    desk = Desk(Disk())
    desk.disk.fates = {"taken": Fate.REPEAT, "full": Fate.REFUSED}
    await desk.intake.accept([draft(access_point="taken"), draft(access_point="full")])
    assert desk.grown == []
    await desk.intake.accept([draft(), draft(SALE)])
    assert desk.grown == [{Lane.D, Lane.M}]


@virtual
async def test_the_alarm_that_a_conflict_leaves_on_lane_a_is_announced() -> None:
    desk = Desk(Disk())
    desk.disk.fates = {"clash": Fate.CONFLICT}
    await desk.intake.accept([draft(access_point="clash")])
    assert desk.grown == [{Lane.A}]


@pytest.mark.parametrize(
    ("bad", "error"),
    [
        (draft(device="gate-2/face-1"), Malformed),
        (draft(device="gate-1/Face 1"), Malformed),
        (draft("Door/Opened"), UnknownTopic),
        (draft(reason="x" * 65), Malformed),
        (draft(values={f"note_{n}": "x" * 257 for n in range(3)}), Malformed),
    ],
    ids=["another box's device", "a bad name", "an unknown topic", "a text too long", "a value too long"],
)
def test_a_draft_that_breaks_a_limit_is_refused_before_anything_is_stored(bad: Draft, error: type[Exception]) -> None:
    @virtual
    async def run() -> None:
        desk = Desk(Disk())
        with pytest.raises(error):
            await desk.intake.accept([draft(), bad])
        await asyncio.sleep(1)
        assert desk.disk.groups == []
        assert desk.intake.waiting == 0
        await desk.intake.accept([draft()])

    run()


@virtual
async def test_beyond_its_bound_intake_lets_channels_wait_and_loses_nothing() -> None:
    desk = Desk(Disk())
    desk.disk.held.clear()
    tasks = [asyncio.create_task(desk.intake.accept([draft()])) for _ in range(WAITING_MAX + 200)]
    await asyncio.sleep(60)
    assert desk.intake.waiting == WAITING_MAX
    desk.disk.held.set()
    await asyncio.gather(*tasks)
    assert sum(len(group) for group in desk.disk.groups) == WAITING_MAX + 200
    assert desk.intake.waiting == 0


@virtual
async def test_a_channel_that_gives_up_waiting_does_not_undo_the_commit() -> None:
    desk = Desk(Disk(takes_s=1.0))
    task = asyncio.create_task(desk.intake.accept([draft(ALARM)]))
    await asyncio.sleep(0.5)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await desk.intake.accept([draft()])
    assert [len(group) for group in desk.disk.groups] == [1, 1]
    assert desk.grown == [{Lane.A}, {Lane.D}]


@virtual
async def test_a_failed_disk_fails_everyone_who_waits_and_ends_the_run() -> None:
    desk = Desk(Disk(takes_s=0.1))
    desk.disk.fails = OutboxGone("disk I/O error")
    first = asyncio.create_task(desk.intake.accept([draft(ALARM)]))
    await asyncio.sleep(0.05)
    second = asyncio.create_task(desk.intake.accept([draft()]))
    results = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(result) for result in results] == [IntakeClosedError, IntakeClosedError]
    with pytest.raises(OutboxGone):
        await desk.running
    with pytest.raises(IntakeClosedError):
        await desk.intake.accept([draft()])
    assert desk.grown == []


@virtual
async def test_who_waits_for_room_hears_of_the_failure_too() -> None:
    desk = Desk(Disk())
    desk.disk.held.clear()
    tasks = [asyncio.create_task(desk.intake.accept([draft()])) for _ in range(WAITING_MAX + 5)]
    await asyncio.sleep(1)
    desk.disk.fails = OutboxGone("disk I/O error")
    desk.disk.held.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert {type(result) for result in results} == {IntakeClosedError}
    with pytest.raises(OutboxGone):
        await desk.running


@virtual
async def test_a_box_that_stops_commits_what_it_holds_and_takes_nothing_more() -> None:
    desk = Desk(Disk())
    waiting = asyncio.create_task(desk.intake.accept([draft()]))
    await asyncio.sleep(GROUP_LINGER_S / 2)
    desk.running.cancel()
    await asyncio.wait([desk.running])
    await desk.intake.finish()
    (result,) = await waiting
    assert result.fate is Fate.STORED
    assert [len(group) for group in desk.disk.groups] == [1]
    with pytest.raises(IntakeClosedError):
        await desk.intake.accept([draft()])


@virtual
async def test_a_disk_that_fails_while_the_box_stops_fails_who_waits() -> None:
    desk = Desk(Disk())
    waiting = asyncio.create_task(desk.intake.accept([draft()]))
    await asyncio.sleep(GROUP_LINGER_S / 2)
    desk.running.cancel()
    await asyncio.wait([desk.running])
    desk.disk.fails = OutboxGone("disk I/O error")
    with pytest.raises(OutboxGone):
        await desk.intake.finish()
    with pytest.raises(IntakeClosedError):
        await waiting


def numbered(number: int, at_s: int, size: int = 0) -> Draft:
    """A record that its device numbers and dates; size: what it is made long to, in bytes."""
    time = DeviceTime(raw=str(at_s), wall_ns=at_s * 1_000_000_000)
    values: dict[str, str] = {f"long{n:02}": "长" * 250 for n in range(20)} if size else {}
    plain = draft(source=SourceKey(record_no=number), device_time=time, values=values)
    if size:
        left = size - len(encode_record(plain.stamped("0" * 32, VirtualClock().stamp())))
        for n in range(8):
            name, share = f"pad{n}", left // (8 - n)
            values[name] = "v" * (share - len(f',"{name}":""'))
            left -= share
    return draft(source=SourceKey(record_no=number), device_time=time, values=values)


def test_a_record_that_grows_when_its_device_counts_anew_does_not_end_the_box(tmp_path: Path) -> None:
    box = Box(tmp_path / "outbox.sqlite")

    @virtual
    async def run() -> None:
        intake = Intake(
            Outbox(box.store, InlineHop()), edge="gate-1", clock=box.clock, random=seeded(1), appended=lambda _: None
        )
        running = asyncio.create_task(intake.run())
        await intake.accept([numbered(5, at_s=100)])
        with pytest.raises(Malformed, match="with a number"):
            await intake.accept([numbered(1, at_s=200, size=RECORD_BYTES_MAX)])
        (result,) = await intake.accept([numbered(1, at_s=200, size=RECORD_BYTES_MAX - EPOCH_BYTES)])
        assert result.fate is Fate.STORED
        assert not running.done()

    run()
    assert '"epoch":1' in box.rows(Lane.D)[-1].body.decode()
    box.store.close()
