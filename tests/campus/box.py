"""One simulated box: a machine with a card, and on it the production outbox, intake, uplink and supervisor.

Joined as `edge_agent.app` joins them, with the disk, the clock, chance and the carrier of the simulation. A kill cuts
card and network first and cancels the tasks after that, so that nothing in a `finally` can still have an effect.
"""

import asyncio
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.birth import birth
from edge_agent.clock import ClockWatch
from edge_agent.downlink import CommandDesk, Target
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.health import new_counters
from edge_agent.intake import GROUP_RECORDS, WAITING_MAX, Intake, IntakeClosedError
from edge_agent.keys import verifies
from edge_agent.outbox import (
    Appended,
    Entry,
    Fate,
    Maintenance,
    Outbox,
    OutboxDamaged,
    OutboxGone,
    OutboxLimits,
    OutboxStore,
)
from edge_agent.outbox.book import Book, decode
from edge_agent.supervise import RefusedError, Supervisor
from edge_agent.uplink import Uplink, UplinkRefusedError
from tests.campus.chance import Chance
from tests.campus.clocks import MachineClock
from tests.campus.devices import Terminal
from tests.campus.disk import Card, DiskHop, PowerCut
from tests.campus.doors import Door, DoorTruth
from tests.campus.network import Broker, Line
from tests.campus.trace import Trace
from tests.campus.truth import Truth, Violation
from tests.translate.profiles import facesluice_profile
from wire.delivery import LaneDepth
from wire.records import ClockMark, Event, Reading, Value
from wire.topics import LANES, Down, Lane, down_topic

CAMPUS: Final = "demo-school"
MAINTAIN_S: Final = 5.0
CLOCK_WATCH_S: Final = 5.0
DOOR: Final = "door-1"
LANE_SHIFT: Final = 56
TOLD: Final = frozenset({Fate.STORED, Fate.REPEAT, Fate.CONFLICT})


class WatchedStore(OutboxStore):
    """The production store; the observer looks at the card when numbers were given."""

    noticed: Callable[[list[Appended] | None], None] = staticmethod(lambda results: None)
    forked: Callable[[], None] = staticmethod(lambda: None)

    def append(self, entries: Sequence[Entry]) -> list[Appended]:
        results = super().append(entries)
        self.noticed(results)
        return results

    def fork(self, reason: str) -> str:
        epoch = super().fork(reason)
        self.forked()
        self.noticed(None)
        return epoch


class Box:
    """See the module. place: tells a clone from its original; both have the same edge name."""

    def __init__(
        self,
        edge: str,
        *,
        place: str,
        key: Ed25519PrivateKey,
        campus_public: str,
        broker: Broker,
        truth: Truth,
        chance: Chance,
        limits: OutboxLimits,
        poll_s: float,
        fail: Callable[[Violation], None],
        doors: DoorTruth | None = None,
    ) -> None:
        """poll_s: mean time between polls of its sensors. fail: told when an invariant broke. doors: it has one,
        that can be commanded.
        """
        self.edge = edge
        self.place = place
        self.card = Card(on_cut=lambda: self._die("power cut in a commit", boot=True))
        self.clock = MachineClock(offset_s=chance.uniform(-5, 5), drift=chance.uniform(-5e-5, 5e-5))
        self.alive = False
        self.retired = False
        self.producing = True
        self.uplink: Uplink | None = None
        self.supervisor: Supervisor | None = None
        self.store: WatchedStore | None = None
        self.depths: dict[Lane, LaneDepth] = {}
        self.starts = 0
        self.forks = 0
        self.resent_batches = 0
        self.audits = 0
        self._key = key
        self._campus_public = campus_public
        self._broker = broker
        self._truth = truth
        self._trace: Trace = truth.trace
        self._chance = chance
        self._random = chance.of("urandom").randbytes
        self._limits = limits
        self._poll_s = poll_s
        self._fail = fail
        self._door = None if doors is None else Door(doors, chance.of("door"))
        self._line: Line | None = None
        self._intake: Intake | None = None
        self._hop: DiskHop | None = None
        self._process: asyncio.Task[None] | None = None
        self._takes: set[asyncio.Task[None]] = set()
        self._looked: dict[tuple[str, Lane], int] = {}
        self._reboot()

    # --- life and death

    def start(self) -> None:
        """systemd starts the agent."""
        if self.alive or self.retired:
            return
        self.starts += 1
        self.alive = True
        self._hop = DiskHop(self._chance.of(f"disk {self.starts}"), slow=0.01)
        self._process = asyncio.get_running_loop().create_task(self._live(), name=f"{self.place} life {self.starts}")

    def kill(self) -> None:
        """SIGKILL; systemd starts it again."""
        self._die("killed", boot=False)

    def cut_power(self, *, lost_time: bool = False) -> None:
        self._die("power cut", boot=True, lost_time=lost_time)

    def retire(self) -> None:
        """Switched off for good."""
        self.retired = True
        self._die("retired", boot=False)

    def roll_back(self, image: bytes, serials: set[int], back_after_s: float) -> None:
        """An old image is written over the card. serials: what the observer knew of the card then. back_after_s: a
        technician takes minutes, a virtual machine that returns to a snapshot no time at all.
        """
        self._die("card rolled back", boot=True, back_after_s=back_after_s)
        self.card.put_back(image)
        self._truth.rolled_back(self.place, self.edge, serials)

    def disconnect(self) -> None:
        """Its connection ends."""
        if self._line is not None:
            self._line.reset()

    def heads(self) -> tuple[str, dict[Lane, int]]:
        """(epoch, last number of each lane) of the card, while no process runs."""
        ((body,),) = self.card.look("SELECT body FROM state")
        book = decode(body, Book)
        return book.epoch, {lane: book.lanes[lane].last for lane in LANES}

    def _die(self, why: str, *, boot: bool, lost_time: bool = False, back_after_s: float | None = None) -> None:
        if not self.alive:
            return
        self._trace.say(self.place, why)
        self._cut()
        if boot:
            self.clock.reboot(self._random(16).hex(), lost_time=lost_time)
        if self._process is not None:
            self._process.cancel()
        usual_s = self._chance.uniform(8, 40) if boot else self._chance.uniform(1, 6)
        self._start_later(usual_s if back_after_s is None else back_after_s)

    def _cut(self) -> None:
        """From here on nothing that this process does has an effect."""
        self.alive = False
        self.card.pull()
        if self._hop is not None:
            self._hop.dead = True
        if self._line is not None:
            self._line.cut()
        for task in self._takes:
            task.cancel()
        self._intake = self.uplink = self.supervisor = self.store = None

    def _start_later(self, wait_s: float) -> None:
        if not self.retired:
            asyncio.get_running_loop().call_later(wait_s, self.start)

    def _reboot(self) -> None:
        self.clock.reboot(self._random(16).hex(), lost_time=False)

    # --- the process

    async def _live(self) -> None:
        life = self.starts
        try:
            await self._run()
        except* PowerCut:
            pass
        except* (OutboxGone, IntakeClosedError) as group:
            self._ended(life, leaves(group))
        except* Exception as group:  # noqa: BLE001  whatever it is, it is a finding
            for error in leaves(group):
                violation = Violation(f"{self.place} ended with {error!r}")
                violation.__cause__ = error
                self._fail(error if isinstance(error, Violation) else violation)

    def _ended(self, life: int, errors: list[BaseException]) -> None:
        if life != self.starts or not self.alive:
            return
        if any(isinstance(error, OutboxDamaged) for error in errors):
            self._fail(Violation(f"{self.place}: outbox damaged: {errors}"))
        if not any(isinstance(error, OutboxGone) for error in errors):
            self._fail(Violation(f"{self.place}: intake closed without a cause: {errors}"))
        if self.alive:
            self._trace.say(self.place, "ended", errors[0])
            self._cut()
            self._start_later(self._chance.uniform(1, 6))

    async def _run(self) -> None:
        hop = self._hop
        assert hop is not None
        store = await hop.run(
            lambda: WatchedStore.open(
                Path("outbox.sqlite"),
                clock=self.clock,
                random=self._random,
                edge=self.edge,
                limits=self._limits,
                connect=self.card.connect,
            )
        )
        store.noticed = lambda results: self._look(store, results)
        store.forked = self._count_fork
        self.store = store
        self._look(store, None)
        outbox = Outbox(store, hop)
        uplink = Uplink(
            outbox,
            campus=CAMPUS,
            edge=self.edge,
            clock=self.clock,
            random=self._random,
            sign=lambda message: self._key.sign(message).hex(),
            verify=lambda message, signature: verifies(self._campus_public, message, signature),
            welcomed=lambda: supervisor.up(),  # noqa: PLW0108  made below; each needs the other
            heartbeat=lambda plain: desk.decorate(plain),  # noqa: PLW0108  made below
            commanded=lambda leaf, frame: self._commanded(desk, leaf, frame),
            ended=lambda: desk.disconnected(),  # noqa: PLW0108  made below
        )
        intake = Intake(outbox, edge=self.edge, clock=self.clock, random=self._random, appended=uplink.grew)
        desk = self._desk(intake)
        supervisor = Supervisor(
            "uplink", lambda _: self._serve(uplink), chance=self._chance.of(f"backoff {self.starts}").random
        )
        self._intake, self.uplink, self.supervisor = intake, uplink, supervisor
        self._trace.say(self.place, "started", store.epoch[:8])
        async with asyncio.TaskGroup() as group:
            group.create_task(intake.run(), name="intake")
            group.create_task(self._maintain(outbox, hop), name="maintain")
            group.create_task(self._watch_clock(intake), name="clock")
            group.create_task(desk.run(await outbox.interrupted()), name="commands")
            group.create_task(supervisor.run(), name="uplink")
            group.create_task(self._poll(), name="poll")
            await intake.accept(birth(self.edge, software="simulated", channels=1, devices=[]))

    def _desk(self, intake: Intake) -> CommandDesk:
        door = self._door
        targets = {} if door is None else {f"{self.edge}/{DOOR}": Target(DOOR, facesluice_profile(), door.perform)}
        return CommandDesk(
            edge=self.edge,
            topic=down_topic(CAMPUS, self.edge, Down.COMMAND),
            targets=targets,
            intake=intake,
            clock=self.clock,
            random=self._random,
            verify=lambda message, signature: verifies(self._campus_public, message, signature),
            counters=new_counters(),
        )

    async def _commanded(self, desk: CommandDesk, leaf: Down, frame: bytes) -> None:
        if leaf is Down.COMMAND:
            await desk.take(frame)

    async def _serve(self, uplink: Uplink) -> None:
        line = self._line = await self._broker.dial(self.edge, self.place)
        resent = uplink.resent_batches
        try:
            await uplink.serve(line)
        except UplinkRefusedError as refused:
            raise RefusedError(str(refused)) from refused
        finally:
            self.resent_batches += uplink.resent_batches - resent
            line.reset()

    async def _maintain(self, outbox: Outbox, hop: DiskHop) -> None:
        while True:
            step: Maintenance = await outbox.maintain()
            await hop.run(self._audit)
            await asyncio.sleep(0.02 if step.more else MAINTAIN_S)

    async def _watch_clock(self, intake: Intake) -> None:
        watch = ClockWatch()
        while True:
            step_ms = watch.observe(self.clock.stamp())
            if step_ms is not None:
                await intake.accept([Draft(ClockMark(id=NO_ID, stamp=NO_STAMP, device=self.edge, step_ms=step_ms))])
            await asyncio.sleep(CLOCK_WATCH_S)

    async def _poll(self) -> None:
        """Sensors without a number of their own; and what the box itself has to report."""
        while True:
            await asyncio.sleep(self._chance.pause_s(self._poll_s))
            if not self.producing:
                continue
            chosen = self._chance.random()
            if chosen < 0.05:
                await self._report("Fire/Alarm", Lane.A)
            elif chosen < 0.15:
                await self._report("Device/State/Operating", Lane.S)
            else:
                await self._report_readings(self._chance.randint(1, 4))

    async def _report(self, topic: str, lane: Lane) -> None:
        serial = self._truth.make(self.place, lane, numbered=False)
        device = f"{self.edge}/sensor-{self._chance.randint(1, 4)}"
        await self._accept(
            [Event(id=NO_ID, stamp=NO_STAMP, device=device, topic=topic, values={"serial": serial})], [serial]
        )

    async def _report_readings(self, count: int) -> None:
        serials = [self._truth.make(self.place, Lane.T, numbered=False) for _ in range(count)]
        readings = [
            Reading(
                id=NO_ID,
                stamp=NO_STAMP,
                device=f"{self.edge}/sensor-{1 + serial % 4}",
                readings=(
                    Value(resource="serial", value=serial),
                    Value(resource="temperature", value=round(self._chance.uniform(15, 30), 1), unit="Cel"),
                ),
            )
            for serial in serials
        ]
        await self._accept(readings, serials)

    async def _accept(self, records: Sequence[Event | Reading], serials: Sequence[int]) -> None:
        intake = self._intake
        assert intake is not None
        results = await intake.accept([Draft(record) for record in records])
        now_s = asyncio.get_running_loop().time()
        for result, serial in zip(results, serials, strict=True):
            # Nobody keeps a reading that was refused; only what was taken is promised.
            if result.fate is Fate.STORED:
                self._truth.promise(serial, now_s)

    # --- terminals

    def hear(self, terminal: Terminal, draft: Draft, serial: int) -> None:
        """A terminal's record has arrived."""
        intake = self._intake
        if intake is None:
            return
        task = asyncio.get_running_loop().create_task(
            self._take(intake, terminal, draft, serial), name=f"take {serial}"
        )
        self._takes.add(task)
        task.add_done_callback(self._takes.discard)

    async def _take(self, intake: Intake, terminal: Terminal, draft: Draft, serial: int) -> None:
        try:
            (result,) = await intake.accept([draft])
        except IntakeClosedError:
            return
        self._truth.refused += result.fate is Fate.REFUSED
        if result.fate in TOLD and self.alive:
            self._trace.say(self.place, result.fate, result.lane, result.seq, serial)
            terminal.wire.down(lambda: terminal.told(serial))

    # --- the observer

    def _count_fork(self) -> None:
        self.forks += 1

    def _look(self, store: WatchedStore, results: list[Appended] | None) -> None:
        """After a start or a fork (results absent) or an append: which rows are new on the card."""
        if not self.alive:
            return
        lanes = LANES if results is None else sorted({result.lane for result in results if result.seq} | {Lane.A})
        if results is not None:
            self._truth.conflicts += sum(result.fate is Fate.CONFLICT for result in results)
        connection = store._core.connection
        for lane in lanes:
            number = LANES.index(lane)
            from_seq = 0 if results is None else self._looked.get((store.epoch, lane), 0)
            rows = connection.execute(
                "SELECT key, event_id, body FROM record WHERE key > ? AND key < ? AND gap IS NULL ORDER BY key",
                (number << LANE_SHIFT | from_seq, number + 1 << LANE_SHIFT),
            ).fetchall()
            found = [(key & (1 << LANE_SHIFT) - 1, event_id, body) for key, event_id, body in rows]
            if found or results is None:
                # After a start the card may hold less than before: somebody put an old image on it.
                self._looked[store.epoch, lane] = found[-1][0] if found else 0
                self._truth.accepted(self.place, self.edge, store.epoch, lane, found)

    def _audit(self) -> None:
        """Honest counters: they add up, they agree with the rows, and nothing counts as delivered that is not."""
        store = self.store
        if store is None:
            return
        self.audits += 1
        self.depths, states = store.depths(), store.lane_states()
        if self._intake is not None and self._intake.waiting > WAITING_MAX + GROUP_RECORDS:
            raise Violation(f"{self.place}: {self._intake.waiting} records wait in intake")
        for lane, depth in self.depths.items():
            where = f"{self.place} lane {lane}"
            if depth.accepted != depth.acknowledged + depth.queued + sum(depth.dropped.values()) + depth.quarantined:
                raise Violation(f"{where}: counters do not add up: {depth}")
            number = LANES.index(lane)
            ((waiting,),) = store._core.connection.execute(
                "SELECT count(*) FROM record WHERE key > ? AND key < ? AND gap IS NULL",
                (number << LANE_SHIFT | states[lane].acked, number + 1 << LANE_SHIFT),
            ).fetchall()
            if depth.queued != waiting:
                raise Violation(f"{where}: {waiting} rows wait, counted are {depth.queued}")
            # In the first epoch every record has taken one number.
            if store.previous_epoch is None and depth.accepted - depth.quarantined != states[lane].last:
                raise Violation(f"{where}: {states[lane].last} numbers given, counted are {depth}")
            committed = self._truth.committed_through.get((self.edge, store.epoch, lane), 0)
            if states[lane].acked > committed:
                raise Violation(f"{where}: acknowledged {states[lane].acked}, the campus only ever had {committed}")


def leaves(group: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The errors in a group, however deep."""
    found: list[BaseException] = []
    for error in group.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found
