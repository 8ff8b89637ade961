"""`campus-sim demo`, from options to exit code."""

import asyncio
import logging
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import typer
from rich.console import Console

from edge_agent.enrol import EnrolError
from simulators.broker import HOST, BrokerMissingError, Flavour, find_broker, find_mosquitto
from simulators.campus.alarms import KINDS
from simulators.campus.demo import DemoPlan, run_demo
from simulators.campus.http import ApiError, ApiUnreachableError
from simulators.campus.layout import Layout, Ports, plan_campus
from simulators.campus.office import ADMIN, OfficeSecrets
from simulators.campus.report import Findings
from simulators.campus.stations.all import all_stations
from simulators.campus.view import make_view
from simulators.children import ChildFailedError, free_ports
from simulators.journal import Produced
from wire.i18n import Texts
from wire.logs import configure_logging

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_UNREACHABLE: Final = 4
EXIT_INTERRUPTED: Final = 130


@dataclass(frozen=True, slots=True, kw_only=True)
class DemoOptions:
    """As given on the command line."""

    for_s: float | None
    report: Path | None
    seed: int
    port: int | None
    chaos: bool
    terminals: int
    broker: str | None
    data_dir: Path | None


class _UnusableError(Exception):
    """An option that cannot be honoured; the text is for the person."""


def run_demo_command(options: DemoOptions, texts: Texts) -> int:
    """Run the demo. 0: nothing lost, nothing doubled, everything arrived. 1: not so, or it broke. 130: interrupted."""
    console = Console()
    try:
        flavour = _flavour(options.broker, texts)
        ports = _ports(options.port, flavour, texts)
        folder = _folder(options.data_dir, texts)
    except _UnusableError as error:
        typer.echo(str(error), err=True)
        return EXIT_USAGE
    code = EXIT_FAILED
    try:
        layout = plan_campus(folder, flavour, ports, terminals=options.terminals, stations=all_stations())
        code = _attempt(options, layout, console, texts)
    finally:
        if options.data_dir is None:
            if code in {EXIT_OK, EXIT_INTERRUPTED}:
                shutil.rmtree(folder, ignore_errors=True)
            else:
                typer.echo(texts("sim.demo.kept", folder=folder), err=True)
    return code


def _attempt(options: DemoOptions, layout: Layout, console: Console, texts: Texts) -> int:
    try:
        findings = _run(options, layout, console, texts)
        _tell(findings, console, texts)
        if options.report is not None:
            findings.write(options.report)
            _sayer(console)(texts("sim.demo.result.report", path=options.report))
    except (KeyboardInterrupt, asyncio.CancelledError):
        typer.echo(texts("sim.demo.interrupted"), err=True)
        return EXIT_INTERRUPTED
    except (ApiUnreachableError, ApiError) as error:
        typer.echo(texts("sim.demo.failed", cause=error), err=True)
        return EXIT_UNREACHABLE
    except (ChildFailedError, BrokerMissingError, EnrolError, TimeoutError, OSError, ValueError) as error:
        typer.echo(texts("sim.demo.failed", cause=error or type(error).__name__), err=True)
        return EXIT_FAILED
    return EXIT_OK if findings.good else EXIT_FAILED


@contextmanager
def _log_to(file: Path) -> Iterator[None]:
    """Our own log lines go to a file beside those of the children, not across the table."""
    file.parent.mkdir(mode=0o700, exist_ok=True)
    with file.open("w", encoding="utf-8") as stream:
        configure_logging("INFO", stream)
        try:
            yield
        finally:
            logging.basicConfig(handlers=[logging.NullHandler()], force=True)


def _run(options: DemoOptions, layout: Layout, console: Console, texts: Texts) -> Findings:
    say = _sayer(console)
    terminals = len(list(layout.slots()))
    say(texts("sim.demo.starting", broker=layout.flavour, boxes=len(layout.boxes), terminals=terminals))
    url = f"http://{HOST}:{layout.ports.api}"

    def introduce(secrets: OfficeSecrets) -> None:
        say(texts("sim.demo.admin", url=url, name=ADMIN, password=secrets.admin_password))
        say(texts("sim.demo.api", url=url))
        say(texts("sim.demo.token", token=secrets.api_token))
        say(texts("sim.demo.try", token=secrets.api_token, url=url))
        say(texts("sim.demo.folder", folder=layout.folder))
        say(texts("sim.demo.stop"))

    async def main() -> Findings:
        task = asyncio.current_task()
        if task is not None:
            # SIGINT is asyncio.run's own; whoever ends us by SIGTERM gets the same tidy end.
            asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        plan = DemoPlan(layout=layout, seed=options.seed, for_s=options.for_s, chaos=options.chaos)
        try:
            return await run_demo(plan, lambda: make_view(console, texts), introduce)
        except BaseExceptionGroup as group:
            raise _first(group) from group

    with _log_to(layout.log_folder / "demo.log"):
        return asyncio.run(main())


def _flavour(name: str | None, texts: Texts) -> Flavour:
    try:
        flavour = Flavour(name) if name is not None else find_broker()
    except ValueError:
        raise _UnusableError(texts("sim.demo.bad_broker", name=name, names=", ".join(Flavour))) from None
    except BrokerMissingError:
        raise _UnusableError(texts("sim.demo.no_broker")) from None
    if flavour is Flavour.MOSQUITTO and find_mosquitto() is None:
        raise _UnusableError(texts("sim.demo.no_broker"))
    return flavour


def _ports(api: int | None, flavour: Flavour, texts: Texts) -> Ports:
    try:
        devices, uplink, free = free_ports(3)
        if api is not None:
            free_ports(1, wanted=api)
    except OSError:
        raise _UnusableError(texts("sim.demo.port_taken", port=api)) from None
    return Ports(devices=devices, uplink=devices if flavour is Flavour.MOSQUITTO else uplink, api=api or free)


def _folder(chosen: Path | None, texts: Texts) -> Path:
    if chosen is None:
        return Path(tempfile.mkdtemp(prefix="campus-demo-"))
    folder = chosen.absolute()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise _UnusableError(texts("sim.demo.folder_used", folder=folder))
    return folder


def _tell(findings: Findings, console: Console, texts: Texts) -> None:
    say = _sayer(console)
    comparison = findings.comparison
    total = comparison.total
    say(
        texts(
            f"sim.demo.result.{'good' if findings.good else 'bad'}",
            produced=total.produced,
            stored=total.stored,
            lost=total.lost,
            duplicated=total.duplicated,
            unexpected=comparison.unexpected,
        )
    )
    say(texts("sim.demo.result.unheard", **asdict(comparison.unheard)))
    say(texts("sim.demo.result.commands", **asdict(findings.commands), late=findings.late, twice=findings.twice))
    say(texts("sim.demo.result.alarms", **{kind: findings.alarms.get(kind, 0) for kind in KINDS}))
    if not findings.drained:
        say(texts("sim.demo.result.undrained"))
    for kind, records in (("lost", comparison.lost_records), ("doubled", comparison.doubled_records)):
        for record in records:
            say(texts(f"sim.demo.result.{kind}", **_named(record)))


def _named(record: Produced) -> dict[str, object]:
    return {"device": record.device, "number": f"{record.key.series} {record.key.number}", "time": record.device_time}


def _sayer(console: Console) -> Callable[[str], None]:
    return lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
