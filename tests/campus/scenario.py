"""What breaks, how often, and in which combination: the cells that seeds are spread over.

kills      bad network, kills of boxes, broker and campus, power cuts in the middle of a commit, failing disks
rollback   and old images written over cards
restore    and the campus restored from a backup
disk       full disks, a quota that telemetry overruns, a slow campus
clone      a card copied into a second box that lives beside the first
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from aggregator.admission import GroupLimits
from edge_agent.outbox import OutboxLimits
from tests.campus.box import Box
from tests.campus.chance import Chance
from tests.campus.disk import Fault
from tests.campus.network import CALM, ROUGH, WILD
from tests.campus.office import CommitFault
from tests.campus.world import Plan, Storm, World
from wire.topics import LANES

Breaker = Callable[[World, Chance], Awaitable[None]]


# --- the network ------------------------------------------------------------------------------------------


async def weather(world: World, chance: Chance) -> None:
    while True:
        world.broker.weather = chance.choice((CALM, ROUGH, ROUGH, WILD))
        await asyncio.sleep(chance.pause_s(25))


async def broker_restarts(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(45))
        world.trace.say("broker", "restarts")
        world.broker.restart()
        world.broker.up = False
        await asyncio.sleep(chance.uniform(0.1, 8))
        world.broker.up = True


async def resets(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(30))
        if lines := world.broker.lines():
            chance.choice(lines).reset()


async def stalls(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(40))
        if lines := world.broker.lines():
            line = chance.choice(lines)
            world.trace.say(line.edge, "line stalls")
            line.stall()
            await asyncio.sleep(chance.uniform(1, 30))
            if chance.happens(0.5):
                line.flow()
            else:
                line.reset()


async def partitions(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(60))
        place = chance.choice(world.boxes).place
        await cut_off(world, place, chance.uniform(5, 50))


async def cut_off(world: World, place: str, seconds: float) -> None:
    """Nobody at this place reaches the broker for a while."""
    world.trace.say(place, "cut off for", round(seconds, 1))
    world.broker.unreachable.add(place)
    for box in world.boxes:
        if box.place == place:
            box.disconnect()
    await asyncio.sleep(seconds)
    world.broker.unreachable.discard(place)


# --- boxes ------------------------------------------------------------------------------------------------


async def box_kills(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(30))
        chance.choice(world.boxes).kill()


async def power_cuts(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(50))
        box = chance.choice(world.boxes)
        if chance.happens(0.75):
            box.card.arm(chance.choice((Fault.CUT_BEFORE, Fault.CUT_AFTER)), chance.randint(1, 4))
            continue
        box.cut_power(lost_time=chance.happens(0.5))
        await asyncio.sleep(chance.uniform(20, 60))
        box.clock.synchronise()


async def disk_errors(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(60))
        box = chance.choice(world.boxes)
        box.card.arm(chance.choice((Fault.ERROR_BEFORE, Fault.ERROR_AFTER)), chance.randint(1, 4))


async def disks_full(world: World, chance: Chance) -> None:
    """A stranger fills the disk for a while."""
    while True:
        await asyncio.sleep(chance.pause_s(60))
        card = chance.choice(world.boxes).card
        card.full = True
        await asyncio.sleep(chance.uniform(2, 25))
        card.full = False


async def clock_steps(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(60))
        chance.choice(world.boxes).clock.step_wall(chance.choice((-86_400, -3600, -7, 7, 3600, 86_400)))


async def long_partitions(world: World, chance: Chance) -> None:
    """Long enough for telemetry to overrun its quota."""
    while True:
        await asyncio.sleep(chance.pause_s(20))
        await cut_off(world, chance.choice(world.boxes).place, chance.uniform(60, 110))


# --- the campus -------------------------------------------------------------------------------------------


async def campus_kills(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(35))
        if chance.happens(0.6):
            world.office.fault = CommitFault.KILL_AFTER
            await asyncio.sleep(chance.uniform(1, 5))
        world.office.kill()
        await asyncio.sleep(chance.uniform(0.5, 10))
        await world.office.start()


async def ledger_errors(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(25))
        world.office.fault = chance.choice((CommitFault.FAIL_BEFORE, CommitFault.FAIL_AFTER))


async def slow_campus(world: World, chance: Chance) -> None:
    while True:
        await asyncio.sleep(chance.pause_s(40))
        world.office.slow_s = chance.uniform(0.2, 3.0)
        await asyncio.sleep(chance.uniform(5, 30))
        world.office.slow_s = 0.01


# --- people with images and backups -----------------------------------------------------------------------


async def rollbacks(world: World, chance: Chance) -> None:
    """An image is taken of a card and written back some time later."""
    while True:
        box = chance.choice([box for box in world.boxes if not box.retired])
        image, serials = box.card.image(), set(world.truth.on_card.get(box.place, ()))
        await asyncio.sleep(chance.uniform(5, 40))
        if box.card.never_used(image):
            continue
        await roll_back(world, box, image, serials, chance.choice((0.05, 1, 20)))
        await asyncio.sleep(chance.pause_s(20))


async def roll_back(world: World, box: Box, image: bytes, serials: set[int], back_after_s: float) -> bool:
    """Write an image over a card, and note whether that must be noticed; returns it."""
    storm = world.storm
    assert isinstance(storm, FaultStorm)
    box.roll_back(image, serials, back_after_s)
    epoch, last = box.heads()
    marks = await (await world.office.store.open()).watermarks(box.edge, epoch)
    matters = any(marks[lane].through > last[lane] for lane in LANES)
    world.trace.say(box.place, "rollback matters" if matters else "rollback is harmless")
    storm.unnoticed = [it for it in storm.unnoticed if it.place != box.place]
    if matters:
        storm.unnoticed.append(Rollback(box.place, box.edge, len(world.truth.forked)))
        storm.mattered += 1
    return matters


async def restores(world: World, chance: Chance) -> None:
    """The campus goes back to a backup."""
    while True:
        image = world.office.backup()
        await asyncio.sleep(chance.uniform(10, 80))
        world.office.kill()
        await asyncio.sleep(chance.uniform(1, 8))
        if not world.office.alive:
            world.office.restore(image)
            storm = world.storm
            assert isinstance(storm, FaultStorm)
            # The campus that would have noticed them is gone.
            storm.unnoticed = []
            storm.restores += 1
            await world.office.start()
        await asyncio.sleep(chance.pause_s(30))


async def clones(world: World, chance: Chance) -> None:
    """A card is copied into a second box of the same name, and some terminals are wired to that."""
    storm = world.storm
    assert isinstance(storm, FaultStorm)
    await asyncio.sleep(chance.uniform(20, 80))
    box = chance.choice(world.boxes)
    clone = world.add_box(box.edge, f"{box.edge}-clone")
    clone.card.put_back(box.card.image())
    world.truth.on_card[clone.place] = set(world.truth.on_card.get(box.place, ()))
    for terminal in world.terminals:
        if terminal.wire.box is box and chance.happens(0.5):
            terminal.wire.box = clone
    world.trace.say(clone.place, "cloned")
    world.truth.history_changed.add(box.edge)
    storm.cloned = clone
    clone.start()


# --- cells ------------------------------------------------------------------------------------------------

NETWORK: Final = (weather, broker_restarts, resets, stalls, partitions)
COMMON: Final = (*NETWORK, box_kills, power_cuts, disk_errors, campus_kills, ledger_errors, slow_campus, clock_steps)
FAULTS: Final[dict[str, tuple[Breaker, ...]]] = {
    "kills": COMMON,
    "rollback": (*COMMON, rollbacks),
    "restore": (*COMMON, rollbacks, restores),
    "disk": (weather, resets, long_partitions, box_kills, power_cuts, disk_errors, disks_full, slow_campus),
    "clone": (*NETWORK, box_kills, campus_kills, clones),
}
CELLS: Final = tuple(FAULTS)

_SMALL: Final = OutboxLimits(
    bytes_max=256 * 1024,
    reserve_bytes=64 * 1024,
    telemetry_bytes_max=64 * 1024,
    in_flight_rows=40,
    chunk_rows=20,
    slack_pages=8,
)


def plan_of(seed: int) -> Plan:
    """The plan of a seed: its cell, and now and then the database instead of the twin, or a desk with little room."""
    cell = CELLS[seed % len(CELLS)]
    turn = seed // len(CELLS)
    plan = Plan(cell, batch_records=500 if turn % 4 == 3 else 20, sqlite=turn % 5 == 4)
    if turn % 5 == 0:
        plan = replace(plan, boxes=3, terminals=2)
    if turn % 3 == 2:
        plan = replace(plan, group=GroupLimits(pending_records=160, due_records=16, group_records=60))
    if cell == "disk":
        limits = replace(_SMALL, bytes_max=160 * 1024) if turn % 2 else _SMALL
        plan = replace(plan, limits=limits, poll_s=0.35, batch_records=20)
    return plan


@dataclass(frozen=True)
class Rollback:
    """One that the campus must notice. alarms: how many there were before."""

    place: str
    edge: str
    alarms: int


class FaultStorm(Storm):
    """All faults of a cell at once."""

    def __init__(self, faults: tuple[Breaker, ...]) -> None:
        self.unnoticed: list[Rollback] = []
        self.mattered = 0
        self.restores = 0
        self.cloned: Box | None = None
        self._faults = faults

    async def blow(self, world: World) -> None:
        try:
            async with asyncio.timeout(world.plan.storm_s), asyncio.TaskGroup() as group:
                for fault in self._faults:
                    group.create_task(fault(world, world.chance.of(fault.__name__)), name=fault.__name__)
                await asyncio.Event().wait()
        except TimeoutError:
            pass

    async def end(self, world: World) -> None:
        await world.office.start()

    def facts(self) -> dict[str, int]:
        return {"rollbacks_to_notice": self.mattered, "restores": self.restores}

    def check(self, world: World) -> list[str]:
        """After the drain: what should have been noticed was."""
        broken = []
        for rollback in self.unnoticed:
            alarms = world.truth.forked[rollback.alarms :]
            if not any(edge == rollback.edge for edge, _ in alarms):
                broken.append(f"nobody noticed that {rollback.place} was rolled back")
        if self.cloned is not None and not any(edge == self.cloned.edge for edge, _ in world.truth.forked):
            broken.append(f"nobody noticed that {self.cloned.edge} lives twice")
        broken += [
            f"{box.forks} forks of {box.place}, although nobody changed its history"
            for box in world.boxes
            if box.forks and box.edge not in world.truth.history_changed
        ]
        return broken


def storm_of(plan: Plan) -> FaultStorm:
    return FaultStorm(FAULTS[plan.cell])
