"""`campus-sim run`: FaceSluice terminals against a broker that is there already."""

import asyncio
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from simulators.facesluice_messages import TerminalConfig
from simulators.journal import Counts, JournalWriter
from simulators.people import make_people, steady_flow
from simulators.school import CHARACTERS, School, make_terminals
from wire.clock import SystemTime
from wire.mqtt_link import BrokerAddress

SETTLE_S: Final = 15.0
REPORT_EVERY_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPlan:
    """What to run. per_minute: swipes of one terminal; for_s: stop producing after it, None: never."""

    address: BrokerAddress
    device_ids: tuple[str, ...]
    prefix: str
    per_minute: float
    seed: int
    qos: int
    picture_bytes: int
    flawless: bool
    zone: str
    for_s: float | None
    journal: Path | None


@dataclass(frozen=True, slots=True)
class RunState:
    """What a person wants to know meanwhile. connects: connections made so far, of all terminals."""

    counts: Counts
    owed: int
    online: int
    terminals: int
    connects: int


class JournalFileError(Exception):
    """The journal cannot be written; the text names file and reason."""


async def run_terminals(plan: RunPlan, show: Callable[[RunState], None]) -> RunState:
    """Run until for_s is over and all is delivered, or SETTLE_S more have passed. show: called now and then.

    Raises JournalFileError.
    """
    with tempfile.TemporaryDirectory(prefix="campus-sim-") as folder:
        path = plan.journal or Path(folder) / "journal.jsonl"
        try:
            journal = JournalWriter(path)
        except OSError as error:
            raise JournalFileError(f"{path}: {error.strerror}") from None
        except ValueError as error:
            raise JournalFileError(f"{path}: {error}") from None
        with journal as writer:
            return await _run(plan, writer, show)


async def _run(plan: RunPlan, writer: JournalWriter, show: Callable[[RunState], None]) -> RunState:
    configs = [
        TerminalConfig(device_id=name, name=f"Terminal {name}", prefix=plan.prefix, picture_bytes=plan.picture_bytes)
        for name in plan.device_ids
    ]
    terminals = make_terminals(
        configs, plan.seed, writer, characters={} if plan.flawless else CHARACTERS, zone=plan.zone, qos=plan.qos
    )
    people = make_people(plan.seed)
    trace = steady_flow(plan.seed, people, len(terminals), per_minute=plan.per_minute * len(terminals))
    school = School(terminals, lambda _: plan.address, people, trace, seed=plan.seed, clock=SystemTime())

    def state() -> RunState:
        online = sum(runner.online for runner in school.runners.values())
        connects = sum(runner.counters.connects for runner in school.runners.values())
        return RunState(writer.total(), school.owed(), online, len(terminals), connects)

    async def tell() -> None:
        while True:
            await asyncio.sleep(REPORT_EVERY_S)
            show(state())

    async with asyncio.TaskGroup() as group:
        background = [group.create_task(school.run_links()), group.create_task(tell())]
        try:
            async with asyncio.timeout(plan.for_s):
                await school.produce()
        except TimeoutError:
            await _settle(school)
        end = state()
        for task in background:
            task.cancel()
    return end


async def _settle(school: School) -> None:
    deadline_s = asyncio.get_running_loop().time() + SETTLE_S
    while school.owed() and asyncio.get_running_loop().time() < deadline_s:  # noqa: ASYNC110  machines tell nobody
        await asyncio.sleep(0.05)
