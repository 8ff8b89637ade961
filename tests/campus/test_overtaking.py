"""Alarms pass a backlog on a thin line, and the backlog still moves."""

import asyncio
import functools
from dataclasses import replace
from unittest import mock

from edge_agent.draft import Draft
from edge_agent.outbox import Entry
from edge_agent.uplink.turns import BUDGET_BYTES_MAX, Goodput
from tests.campus.network import CALM
from tests.campus.virtual_loop import until
from tests.campus.world import Plan, World, run_scene
from wire.delivery import BATCH_RECORDS_MAX
from wire.records import Event, encode_record
from wire.topics import Lane

# A quarter of a megabit per second, and 50 ms each way.
THIN = replace(CALM, delay_s=(0.05, 0.05), bytes_per_s=32_000)
BACKLOG = 2_000
ALARMS = 10
PLAN = Plan("overtaking", boxes=1, terminals=0, poll_s=1e9, batch_records=BATCH_RECORDS_MAX)


def draft(world: World, topic: str, lane: Lane) -> tuple[int, Draft]:
    """A record that zstd can make little of."""
    serial = world.truth.make("gate-1", lane, numbered=False)
    noise = {f"noise_{n}": world.chance.randbytes(120).hex() for n in range(3)}
    record = Event(
        id=world.chance.randbytes(16).hex(),
        stamp=world.boxes[0].clock.stamp(),
        device="gate-1/face-1",
        topic=topic,
        values={"serial": serial, **noise},
    )
    return serial, Draft(record)


async def connected_with_backlog(world: World) -> list[int]:
    (box,) = world.boxes
    world.broker.unreachable.add(box.place)
    await asyncio.sleep(1)
    assert box.store is not None
    serials, entries = [], []
    for _ in range(BACKLOG):
        serial, made = draft(world, "AccessControl/AccessGranted/Credential", Lane.D)
        serials.append(serial)
        entries.append(Entry(made.record, encode_record(made.record)))
    for first in range(0, BACKLOG, 500):
        box.store.append(entries[first : first + 500])
    world.broker.weather = THIN
    world.broker.unreachable.clear()
    await until(lambda: box.uplink is not None and box.uplink.open)
    return serials


async def raise_alarms(world: World) -> list[float]:
    """How long each took from the box's commit to the ledger, in virtual seconds."""
    loop, took = asyncio.get_running_loop(), []
    intake = world.boxes[0]._intake
    assert intake is not None
    for _ in range(ALARMS):
        await asyncio.sleep(world.chance.uniform(0.1, 1.0))
        serial, made = draft(world, "Fire/Alarm", Lane.A)
        await intake.accept([made])
        raised_s = loop.time()
        await until(functools.partial(world.truth.in_ledger.__contains__, serial))
        took.append(loop.time() - raised_s)
    return took


def test_an_alarm_is_in_the_ledger_within_a_second_whatever_backlog_fills_the_line() -> None:
    async def play(world: World) -> None:
        backlog = await connected_with_backlog(world)
        started_s = asyncio.get_running_loop().time()
        took = await raise_alarms(world)
        spent_s = asyncio.get_running_loop().time() - started_s
        done = sum(serial in world.truth.in_ledger for serial in backlog)
        assert done < BACKLOG, "the backlog must outlast the alarms"
        # Half a second of bytes on the line, twice the way, two commits.
        assert max(took) < 1.0
        # At 420 bytes on the wire, the backlog has had at least half of the line.
        assert done * 420 > 0.5 * spent_s * 32_000

    run_scene(PLAN, play)


def test_the_measure_notices_when_nothing_bounds_the_bytes_in_flight() -> None:
    async def play(world: World) -> None:
        await connected_with_backlog(world)
        assert max(await raise_alarms(world)) > 1.0

    with mock.patch.object(Goodput, "budget", return_value=BUDGET_BYTES_MAX):
        run_scene(PLAN, play)
