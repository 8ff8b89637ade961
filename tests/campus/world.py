"""A whole campus from one seed: boxes, terminals, network, campus, and a storm of faults over them.

First the storm: people live, things break. Then calm: nothing new is said, everything is repaired, and within a bounded
time every terminal must have been told "got it" for what it keeps and every box must have delivered what it holds. Then
the invariants are checked. Within one seed everything is the same every time, to the byte.
"""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final
from unittest import mock

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aggregator.admission import EnrolledEdge, GroupLimits
from edge_agent.outbox import OutboxLimits
from edge_agent.uplink import session
from tests.campus import invariants
from tests.campus.box import Box
from tests.campus.chance import Chance
from tests.campus.devices import Terminal, Wire
from tests.campus.doors import DoorTruth
from tests.campus.network import CALM, Broker
from tests.campus.office import MemoryStore, Office, SqliteStore
from tests.campus.trace import Trace
from tests.campus.truth import Truth, Violation
from tests.campus.virtual_loop import run_virtual

STEPS_MAX: Final = 3_000_000


@dataclass(frozen=True)
class Plan:
    """What a world is made of. storm_s: how long things break; drain_s: by when all must be at rest after that.
    sqlite: the production ledger instead of its twin. batch_records: records in one batch at most; smaller than in
    service, so that a short life sees as many batches as a long one.
    """

    cell: str
    boxes: int = 2
    terminals: int = 3
    record_s: float = 4.0
    poll_s: float = 4.0
    storm_s: float = 240.0
    drain_s: float = 400.0
    limits: OutboxLimits = field(default_factory=OutboxLimits)
    group: GroupLimits = field(default_factory=GroupLimits)
    sqlite: bool = False
    batch_records: int = 20


@dataclass
class Outcome:
    """What one seed came to."""

    seed: int
    plan: Plan
    digest: str = ""
    lines: int = 0
    tail: str = ""
    broken: list[str] = field(default_factory=list)
    facts: dict[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        head = f"seed {self.seed} ({self.plan.cell}): " + ("held" if not self.broken else "BROKEN")
        return "\n".join([head, *self.broken])


class World:
    """See the module."""

    def __init__(self, seed: int, plan: Plan, *, echo: bool = False) -> None:
        self.plan = plan
        self.chance = Chance(seed)
        self.trace = Trace(echo=echo)
        self.truth = Truth(self.trace)
        self.doors = DoorTruth(self.trace)
        self.broken: list[Violation] = []
        self.broke = asyncio.Event()
        self.broker = Broker(self.chance.of("broker"), self.trace)
        self._keys: dict[str, Ed25519PrivateKey] = {}
        store = (SqliteStore if plan.sqlite else MemoryStore)(self.chance.of("ledger").randbytes)
        enrolled: dict[str, EnrolledEdge] = {}
        self.office = Office(
            store,
            broker=self.broker,
            truth=self.truth,
            chance=self.chance.of("office"),
            enrolled=enrolled,
            limits=plan.group,
            fail=self.fail,
        )
        self.storm: Storm = Storm()
        self.boxes: list[Box] = []
        self.terminals: list[Terminal] = []
        for number in range(1, plan.boxes + 1):
            edge = f"gate-{number}"
            key = Ed25519PrivateKey.from_private_bytes(self.chance.of(f"key of {edge}").randbytes(32))
            self._keys[edge] = key
            enrolled[edge] = EnrolledEdge(edge, key.public_key().public_bytes_raw())
            box = self.add_box(edge, edge)
            for at in range(1, plan.terminals + 1):
                chance = self.chance.of(f"{edge}/face-{at}")
                self.terminals.append(
                    Terminal(
                        f"face-{at}",
                        Wire(box, chance.of("wire")),
                        chance,
                        self.truth,
                        mean_s=plan.record_s,
                        money=at % 3 == 0,
                    )
                )

    def add_box(self, edge: str, place: str) -> Box:
        """Another machine. place differs from edge for a clone."""
        box = Box(
            edge,
            place=place,
            key=self._keys[edge],
            campus_public=self.office.public,
            broker=self.broker,
            truth=self.truth,
            chance=self.chance.of(place),
            limits=self.plan.limits,
            poll_s=self.plan.poll_s,
            fail=self.fail,
            doors=self.doors,
        )
        self.boxes.append(box)
        return box

    def fail(self, violation: Violation) -> None:
        """An invariant broke while things were under way."""
        self.trace.say("observer", "VIOLATION", violation)
        self.broken.append(violation)
        self.broke.set()

    # --- the course of a world

    async def run(self, storm: "Storm") -> None:
        """The storm, the calm, the reckoning. Raises Violation."""
        self.storm = storm
        storm.prepare(self)
        await self.office.start()
        for box in self.boxes:
            box.start()
        for terminal in self.terminals:
            asyncio.get_running_loop().create_task(terminal.run(), name=f"{terminal.name} of {terminal.wire.box.edge}")
        await self._unless_broken(storm.blow(self))
        self.trace.say("observer", "calm")
        await storm.end(self)
        self.calm()
        await self._unless_broken(self._drain())
        await self._unless_broken(storm.settle(self))
        await self._unless_broken(self._drain())
        await self._unless_broken(self._check())

    def calm(self) -> None:
        """Nobody says anything new, and everything is repaired."""
        self.broker.weather, self.broker.up = CALM, True
        self.broker.unreachable.clear()
        for line in self.broker.lines():
            line.flow()
        for terminal in self.terminals:
            terminal.producing = False
            terminal.wire.loss = 0.0
        for box in self.boxes:
            box.producing = False
            box.card.full, box.card.fault = False, None
        self.office.slow_s, self.office.fault = 0.01, None

    async def _unless_broken(self, work) -> None:
        task = asyncio.get_running_loop().create_task(work, name="course")
        broke = asyncio.get_running_loop().create_task(self.broke.wait(), name="alarm")
        try:
            await asyncio.wait([task, broke], return_when=asyncio.FIRST_COMPLETED)
            if self.broken:
                raise self.broken[0]
            await task
        finally:
            for each in (task, broke):
                each.cancel()
            await asyncio.gather(task, broke, return_exceptions=True)

    async def _drain(self) -> None:
        loop = asyncio.get_running_loop()
        until_s = loop.time() + self.plan.drain_s
        while unrest := self._unrest():
            if loop.time() > until_s:
                raise Violation(f"not at rest {self.plan.drain_s:.0f} s after the last fault: " + "; ".join(unrest))
            await asyncio.sleep(1)
        self.trace.say("observer", "at rest")

    def _unrest(self) -> list[str]:
        unrest = [f"{t.name} of {t.wire.box.place} keeps {t.keeps}" for t in self.terminals if t.keeps]
        if not self.office.alive:
            unrest.append("campus is down")
        for box in self.boxes:
            if box.retired:
                continue
            if box.store is None or not box.alive:
                unrest.append(f"{box.place} is down")
                continue
            # A GAP at the end of a lane holds no record, but the campus must hear of it all the same.
            states = box.store.lane_states()
            waiting = {
                lane.value: state.last - state.acked for lane, state in states.items() if state.last > state.acked
            }
            if waiting:
                unrest.append(f"{box.place} still has {waiting}")
        return unrest

    async def _check(self) -> None:
        truth, office = self.truth, self.office
        ledger = await office.store.open()
        edges = sorted({box.edge for box in self.boxes})
        holes, _ = await invariants.lanes_without_unexplained_holes(ledger, office, edges)
        broken = [
            *invariants.nothing_lost(truth, self.boxes),
            *invariants.nothing_doubled(truth, office),
            *invariants.only_what_was_accepted(truth, office),
            *invariants.lanes_in_order_of_acceptance(truth, office),
            *invariants.conflicts_raise_an_alarm(truth, office),
            *holes,
            *self.storm.check(self),
        ]
        for box in self.boxes:
            if box.supervisor is not None and box.supervisor.health.bugs:
                broken.append(f"{box.place}: {box.supervisor.health.bugs} exceptions in the uplink")
            if box.store is not None:
                box._audit()
                broken += invariants.what_was_given_up_is_accounted_for(truth, office, box)
        if broken:
            raise Violation("\n".join(broken[:10]))

    def facts(self) -> dict[str, int]:
        """What this world has seen, so that a test can tell that its faults happened."""
        dropped: Counter[str] = Counter()
        for box in self.boxes:
            for depth in box.depths.values():
                dropped.update(depth.dropped)
        return {
            "made": len(self.truth.made),
            "promised": len(self.truth.promised),
            "rows": len(self.office.rows),
            "destroyed": self.truth.destroyed,
            "excused": len(self.truth.excused),
            "forks": sum(box.forks for box in self.boxes),
            "box_starts": sum(box.starts for box in self.boxes),
            "campus_starts": self.office.starts,
            "audits": sum(box.audits for box in self.boxes),
            "conflicts": self.truth.conflicts,
            "takeovers": self.truth.takeovers,
            "fork_alarms": len(self.truth.forked),
            "thinned": dropped["thinned"],
            "dropped": dropped["dropped"],
            "refused": self.truth.refused,
            "resent_batches": sum(box.resent_batches for box in self.boxes),
            **self.storm.facts(),
        }


def run_scene(plan: Plan, play: Callable[[World], Awaitable[None]], *, seed: int = 0) -> None:
    """A written course of events instead of a storm: campus and boxes are started, the rest is the scene's."""

    async def main() -> None:
        world = World(seed, plan)
        await world.office.start()
        for box in world.boxes:
            box.start()
        await play(world)
        if world.broken:
            raise world.broken[0]

    run_virtual(main, steps_max=STEPS_MAX)


class Storm:
    """What breaks; scenario.py has the real one."""

    def prepare(self, world: World) -> None:
        """Before anything starts."""

    async def settle(self, world: World) -> None:
        """Once all is at rest."""

    async def blow(self, world: World) -> None:
        """Until the storm is over."""

    async def end(self, world: World) -> None:
        """Repair what the storm itself keeps broken."""

    def check(self, world: World) -> list[str]:
        """What this storm should have led to, in sentences about what it did not."""
        return []

    def facts(self) -> dict[str, int]:
        """What the storm did."""
        return {}


def run_world(seed: int, plan: Plan, storm: Storm, *, echo: bool = False) -> Outcome:
    """One seed. Never raises for a broken invariant; the outcome tells."""
    outcome = Outcome(seed, plan)

    async def main() -> None:
        world = World(seed, plan, echo=echo)
        try:
            await world.run(storm)
        except Violation as violation:
            outcome.broken.append(str(violation))
        finally:
            outcome.digest, outcome.lines, outcome.tail = world.trace.digest, world.trace.lines, world.trace.tail
            outcome.facts = world.facts()

    logger = logging.getLogger()
    level = logger.level
    # Thousands of expected outages: what matters of them stands in the trace.
    logger.setLevel(logging.CRITICAL if not echo else level)
    try:
        with mock.patch.object(session, "BATCH_RECORDS_MAX", plan.batch_records):
            run_virtual(main, steps_max=STEPS_MAX)
    except AssertionError as error:
        outcome.broken.append(f"the loop was told: {error}")
    finally:
        logger.setLevel(level)
    return outcome
