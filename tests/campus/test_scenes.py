"""Written courses of events: what the storms may pass by, or what has one right ending that can be named."""

import asyncio
from dataclasses import replace

from edge_agent.outbox import OutboxLimits
from tests.campus import invariants
from tests.campus.world import Plan, World, run_scene
from wire.records import Event, Gap, decode_record
from wire.topics import Lane

QUIET = Plan("scene", boxes=1, terminals=2, record_s=2.0, poll_s=1e9)


async def live(world: World, seconds: float) -> None:
    """Terminals work for a while, then everything is delivered."""
    if not hasattr(world, "at_work"):
        world.at_work = [asyncio.get_running_loop().create_task(terminal.run()) for terminal in world.terminals]
    for terminal in world.terminals:
        terminal.producing = True
    await asyncio.sleep(seconds)
    for terminal in world.terminals:
        terminal.producing = False
    await world._drain()


def test_a_campus_restored_beyond_retention_names_exactly_what_is_missing() -> None:
    """The box keeps acknowledged records for a minute; the backup is five minutes old."""
    limits = OutboxLimits(retention_s=60, pressed_s=60, mark_interval_s=10)

    async def play(world: World) -> None:
        await live(world, 60)
        (box,) = world.boxes
        backup = world.office.backup()
        stood = set(world.truth.in_ledger)
        await live(world, 200)
        await asyncio.sleep(100)
        delivered = set(world.truth.in_ledger)
        assert box.store is not None
        base = {lane: state.first - 1 for lane, state in box.store.lane_states().items()}
        assert base[Lane.D] > 20
        world.office.kill()
        world.office.restore(backup)
        await world.office.start()
        await live(world, 30)

        gaps = [record for row in world.office.rows if isinstance(record := decode_record(row.body or b""), Gap)]
        assert {gap.reason for gap in gaps} == {"retention"}
        assert {gap.lane: gap.to_seq for gap in gaps} == {
            lane: seq for lane, seq in base.items() if seq and lane in seen(gaps)
        }
        missing = delivered - stood - set(world.truth.in_ledger)
        assert missing
        in_lanes = {lane: sum(world.truth.made[serial].lane is lane for serial in missing) for lane in seen(gaps)}
        own = {gap.lane: gap.count - in_lanes[gap.lane] for gap in gaps}
        # Besides the terminals' records only the box's own states (birth, clock) have numbers.
        assert {lane for lane, count in own.items() if count} <= {Lane.S}
        told = [
            record.values
            for row in world.office.rows
            if isinstance(record := decode_record(row.body or b""), Event) and record.topic == "Delivery/Incident"
        ]
        assert {(v["lane"], v["from_seq"], v["to_seq"]) for v in told} == {(g.lane, g.from_seq, g.to_seq) for g in gaps}
        holes, _ = await invariants.lanes_without_unexplained_holes(
            await world.office.store.open(), world.office, ["gate-1"]
        )
        assert holes == []
        assert box.forks == 0

    run_scene(replace(QUIET, limits=limits), play)


def seen(gaps: list[Gap]) -> set[Lane]:
    return {gap.lane for gap in gaps}


def test_a_campus_restored_within_retention_misses_nothing_and_forks_nobody() -> None:
    async def play(world: World) -> None:
        await live(world, 30)
        backup = world.office.backup()
        await live(world, 120)
        before = dict(world.truth.in_ledger)
        world.office.kill()
        world.office.restore(backup)
        await world.office.start()
        await live(world, 10)
        assert set(before) <= set(world.truth.in_ledger)
        assert not list(invariants.nothing_doubled(world.truth, world.office))
        assert world.boxes[0].forks == 0

    run_scene(QUIET, play)


def test_a_card_rolled_back_a_moment_after_delivery_is_noticed_at_the_next_hello() -> None:
    async def play(world: World) -> None:
        await live(world, 20)
        (box,) = world.boxes
        image, serials = box.card.image(), set(world.truth.on_card[box.place])
        await live(world, 20)
        box.roll_back(image, serials, back_after_s=1)
        await live(world, 20)
        assert box.forks == 1
        assert [edge for edge, _ in world.truth.forked] == [box.edge]
        assert world.truth.missing() == []
        assert not list(invariants.nothing_doubled(world.truth, world.office))

    run_scene(QUIET, play)


def test_a_card_rolled_back_to_what_it_still_is_raises_no_alarm() -> None:
    async def play(world: World) -> None:
        await live(world, 20)
        (box,) = world.boxes
        box.roll_back(box.card.image(), set(world.truth.on_card[box.place]), back_after_s=1)
        await live(world, 20)
        assert box.forks == 0
        assert world.truth.forked == []

    run_scene(QUIET, play)


def test_a_box_that_is_not_enrolled_keeps_everything_until_it_is() -> None:
    async def play(world: World) -> None:
        enrolled = world.office._enrolled.pop("gate-1")
        task = asyncio.get_running_loop().create_task(live(world, 200))
        await asyncio.sleep(150)
        assert world.truth.in_ledger == {}
        assert len(world.truth.promised) > 50
        world.office._enrolled["gate-1"] = enrolled
        await task
        assert world.truth.missing() == []

    run_scene(QUIET, play)


def test_a_night_without_a_line_costs_no_record() -> None:
    async def play(world: World) -> None:
        world.broker.unreachable.add("gate-1")
        task = asyncio.get_running_loop().create_task(live(world, 28_800))
        await asyncio.sleep(28_700)
        world.broker.unreachable.clear()
        await task
        assert world.truth.missing() == []
        assert len(world.truth.in_ledger) > 200

    run_scene(replace(QUIET, terminals=1, record_s=120.0), play)
