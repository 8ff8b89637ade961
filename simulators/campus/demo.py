"""The demo: a campus starts, a school day runs through it, and at the end its ledger is held against the truth.

    start -> produce (chaos meanwhile) -> drain, at most DRAIN_S -> compare -> findings

Without an end it produces until it is cancelled. Whatever ends it, `RunningCampus.close` leaves no process behind.
"""

import asyncio
import platform
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Final

from simulators.broker import Flavour, find_mosquitto
from simulators.campus.alarms import count_alarms
from simulators.campus.chaos import Chaos
from simulators.campus.http import ApiError, ApiUnreachableError
from simulators.campus.layout import Layout, device_facts
from simulators.campus.ledger_client import all_stored, caught_up, follow, measured_in, stored_of
from simulators.campus.office import OfficeSecrets
from simulators.campus.operator import Operator, Order
from simulators.campus.processes import RunningCampus, process_names
from simulators.campus.report import Findings
from simulators.campus.stations import Life
from simulators.campus.tracking import Tracker
from simulators.campus.view import Phase, ProcessLine, Snapshot, View
from simulators.chance import seeded
from simulators.children import ChildFailedError
from simulators.compare import Comparison, DeviceFacts, compare
from simulators.faults import Fault, FaultRates, fault_schedule
from simulators.journal import JournalWriter, read_journal
from simulators.people import Timetable, make_people, school_days
from simulators.school import School, make_terminals
from wire.clock import SystemTime

DRAIN_S: Final = 60.0
# Without an end, faults are planned for a day; who lets chaos run for longer has seen it.
_CHAOS_S: Final = 86_400.0
_LOOK_S: Final = 0.25
# A queue that is empty twice in a row was not between two steps.
_CALM_LOOKS: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoPlan:
    """What to run. for_s: None until cancelled. rates: how often what goes wrong under chaos."""

    layout: Layout
    seed: int
    for_s: float | None
    chaos: bool
    rates: FaultRates | None = None


async def run_demo(
    plan: DemoPlan, make_view: Callable[[], View], introduce: Callable[[OfficeSecrets], None]
) -> Findings:
    """Run to the end. introduce: told once everything is up, before the view is made.

    Raises ChildFailedError, ApiUnreachableError, ApiError, TimeoutError, OSError when the campus does not come up or
    goes away for good.
    """
    campus = RunningCampus(plan.layout, seed=plan.seed)
    try:
        introduce(await campus.start())
        with JournalWriter(plan.layout.journal_file) as writer:
            facts = device_facts(plan.layout, campus.devices)
            demo = _Demo(plan, campus, facts, Tracker(writer, facts))
            async with _shown(make_view, demo.snapshot):
                return await demo.run()
    finally:
        await campus.close()


@asynccontextmanager
async def _shown(make_view: Callable[[], View], snapshot: Callable[[], Snapshot]) -> AsyncIterator[None]:
    view = make_view()

    async def keep_showing() -> None:
        while True:
            view.show(snapshot())
            await asyncio.sleep(view.every_s)

    showing = asyncio.create_task(keep_showing())
    try:
        yield
        view.show(snapshot())
    finally:
        showing.cancel()
        await asyncio.gather(showing, return_exceptions=True)
        view.close()


class _Demo:
    def __init__(
        self, plan: DemoPlan, campus: RunningCampus, facts: Mapping[str, DeviceFacts], tracker: Tracker
    ) -> None:
        self._plan = plan
        self._campus = campus
        self._tracker = tracker
        self._facts = facts
        slots = {slot.serial: slot for slot in plan.layout.slots()}
        terminals = make_terminals([slot.config() for slot in slots.values()], plan.seed, tracker)
        people = make_people(plan.seed)
        self._life = Life(
            witness=tracker,
            clock=SystemTime(),
            people=people,
            timetable=Timetable(),
            broker={
                account: plan.layout.broker_of(account)
                for _, station in plan.layout.stations()
                for account in station.account_names()
            },
        )
        self._stations = [station for _, station in plan.layout.stations()]
        orders = [*commandable(self._facts), *(order for station in self._stations for order in station.orders())]
        self._operator = Operator(campus.client, orders, seeded(plan.seed, "operator"))
        self._school = School(
            terminals,
            lambda terminal: plan.layout.address(slots[terminal.client_id]),
            people,
            school_days(plan.seed, people, len(terminals)),
            seed=plan.seed,
            clock=SystemTime(),
        )
        self._chaos = Chaos(self._faults(), campus.children, self._school.runners, campus.lines)
        self._phase: Phase = "running"
        self._phase_began_s = asyncio.get_running_loop().time()

    async def run(self) -> Findings:
        """Produce, drain, compare."""
        async with asyncio.TaskGroup() as group:
            background = [
                group.create_task(self._school.run_links(), name="terminals"),
                group.create_task(follow(self._campus.client, self._seen), name="stream"),
                group.create_task(self._watch_children(), name="children"),
            ]
            living = [group.create_task(station.run(self._life), name=station.name) for station in self._stations]
            chaos = group.create_task(self._chaos.run(), name="chaos")
            wall_ns = SystemTime().wall_ns
            asking = [
                group.create_task(self._operator.work(wall_ns), name="operator"),
                group.create_task(self._operator.ring(self._life.timetable.bells(), wall_ns), name="bell"),
            ]
            # The devices first: what happens to them needs them there.
            await asyncio.sleep(0)
            happening = [group.create_task(station.produce(self._life)) for station in self._stations]
            try:
                async with asyncio.timeout(self._plan.for_s):
                    await self._school.produce()
            except TimeoutError:
                pass
            over = [chaos, *asking, *happening]
            for task in over:
                task.cancel()
            await asyncio.wait(over)
            self._enter("draining")
            drained, comparison, alarms = await self._drain()
            names = {name: facts.device_id for name, facts in self._facts.items()}
            verdict = await self._operator.verdict(read_journal(self._plan.layout.journal_file), names)
            for task in [*background, *living]:
                task.cancel()
        return Findings(
            seed=self._plan.seed,
            versions=_versions(self._plan.layout.flavour),
            comparison=comparison,
            latencies=self._tracker.latencies,
            quarantined=self._campus.quarantined(),
            drained=drained,
            alarms=alarms,
            series_points=await self._campus.series_points(),
            commands=verdict.commands,
            late=verdict.late,
            twice=verdict.twice,
            open_commands=verdict.open,
        )

    def snapshot(self) -> Snapshot:
        """The present state, for the screen."""
        elapsed_s = asyncio.get_running_loop().time() - self._phase_began_s
        end_s = DRAIN_S if self._phase == "draining" else self._plan.for_s
        latencies = self._tracker.latencies
        return Snapshot(
            phase=self._phase,
            elapsed_s=elapsed_s,
            left_s=None if end_s is None else end_s - elapsed_s,
            total=self._tracker.total(),
            rows=list(self._tracker.rows()),
            processes=[
                ProcessLine(name, child.life.up, child.life.kills)
                for name, child in self._campus.children.children.items()
            ],
            online=sum(runner.online for runner in self._school.runners.values()),
            terminals=len(self._school.terminals),
            p50_ms=latencies.quantile_ms(0.5),
            p99_ms=latencies.quantile_ms(0.99),
            harms={harm.value: count for harm, count in self._chaos.done.items()},
            alarms=dict(self._tracker.alarms),
            measured=self._tracker.measured,
            issued=self._operator.issued,
            refused=self._operator.refused,
        )

    # --- steps ------------------------------------------------------------------------------------------

    def _faults(self) -> list[Fault]:
        if not self._plan.chaos:
            return []
        return fault_schedule(
            self._plan.seed,
            self._plan.for_s or _CHAOS_S,
            processes=process_names(self._plan.layout),
            devices=list(self._school.runners),
            lines=list(self._campus.lines),
            rates=self._plan.rates,
        )

    async def _watch_children(self) -> None:
        """Ends the demo when a process has refused to work."""
        while True:
            for child in self._campus.children.children.values():
                if child.life.given_up:
                    raise ChildFailedError(f"{child.program.name} refused its settings; see {child.log_file}")
            await asyncio.sleep(1.0)

    def _seen(self, items: list[dict[str, Any]]) -> None:
        self._tracker.seen(list(stored_of(items)), asyncio.get_running_loop().time())
        self._tracker.sampled(measured_in(items))

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._phase_began_s = asyncio.get_running_loop().time()

    async def _drain(self) -> tuple[bool, Comparison, Counter[str]]:
        """Wait until nothing is on its way and all that is owed is at rest. Says whether that came to pass, and which
        alarms are at rest.
        """
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + DRAIN_S
        calm = 0
        while loop.time() < deadline_s:
            calm = calm + 1 if await self._calm() else 0
            if calm >= _CALM_LOOKS:
                try:
                    comparison, alarms = await self._compare()
                except (ApiUnreachableError, ApiError):
                    calm = 0
                else:
                    if comparison.total.lost == 0:
                        return True, comparison, alarms
            await asyncio.sleep(_LOOK_S)
        return False, *await self._compare()

    async def _calm(self) -> bool:
        if self._school.owed() or any(station.owed() for station in self._stations):
            return False
        if await asyncio.to_thread(self._campus.queued) != 0:
            return False
        try:
            return await self._operator.calm() and await caught_up(self._campus.client)
        except (ApiUnreachableError, ApiError):
            return False

    async def _compare(self) -> tuple[Comparison, Counter[str]]:
        journal = read_journal(self._plan.layout.journal_file)
        stored = await all_stored(self._campus.client)
        return compare(journal, stored, self._facts), count_alarms(stored)


def commandable(facts: Mapping[str, DeviceFacts]) -> list[Order]:
    """What the operator may ask for: every door that can be opened over the network."""
    return [
        Order((one.device_id,), "AccessDoor")
        for one in facts.values()
        if "access" in one.systems and one.device_class == "biometric"
    ]


def _versions(flavour: Flavour) -> dict[str, str]:
    broker = f"iotcore {version('iotcore')}" if flavour is Flavour.IOTCORE else _mosquitto_version()
    return {"campus-iot": version("campus-iot"), "python": platform.python_version(), "broker": broker}


def _mosquitto_version() -> str:
    # mosquitto has no --version; its help begins with it and ends with exit code 3.
    program = find_mosquitto() or "mosquitto"
    shown = subprocess.run([program, "-h"], capture_output=True, text=True, check=False, timeout=5)  # noqa: S603  found by us
    return shown.stdout.partition("\n")[0].replace(" version", "")
