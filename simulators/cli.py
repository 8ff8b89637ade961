"""`campus-sim`: terminals against any broker, or a whole campus on this machine."""

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

import typer

from wire import options
from wire.i18n import Texts
from wire.options import Language

EXIT_FINDINGS: Final = 1
EXIT_SETTINGS: Final = 3
EXIT_UNREACHABLE: Final = 4
EXIT_INTERRUPTED: Final = 130

_T = options.HELP
_Result = TypeVar("_Result")
app = options.commands(_T("sim.cli.help"))


def _zone(name: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise typer.BadParameter(_T("sim.cli.bad_zone", name=name)) from None
    return name


def _ids(names: list[str] | None) -> list[str] | None:
    for name in names or ():
        # A client id and a level of a topic at once.
        if not name.isascii() or not name.replace("-", "").replace("_", "").isalnum():
            raise typer.BadParameter(_T("sim.cli.bad_id", name=name))
    return names


Seed = Annotated[int, typer.Option("--seed", help=_T("sim.cli.opt.seed"))]
ForSeconds = Annotated[float | None, typer.Option("--for", min=0.1, help=_T("sim.cli.opt.for"))]


@app.command(help=_T("sim.cli.run"))
def run(  # noqa: PLR0917  typer calls it with names
    device_ids: Annotated[list[str] | None, typer.Argument(callback=_ids, help=_T("sim.cli.arg.device_ids"))] = None,
    host: Annotated[str, typer.Option("--host", help=_T("sim.cli.opt.host"))] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help=_T("sim.cli.opt.port"))] = 1883,
    username: Annotated[str, typer.Option("--username", help=_T("sim.cli.opt.username"))] = "",
    password_file: Annotated[Path | None, typer.Option("--password-file", help=_T("sim.cli.opt.password_file"))] = None,
    prefix: Annotated[str, typer.Option("--prefix", help=_T("sim.cli.opt.prefix"))] = "mqtt/face",
    terminals: Annotated[int, typer.Option("--terminals", min=1, max=1000, help=_T("sim.cli.opt.terminals"))] = 1,
    per_minute: Annotated[float, typer.Option("--rate", min=0.001, help=_T("sim.cli.opt.rate"))] = 12.0,
    seed: Seed = 1,
    qos: Annotated[int, typer.Option("--qos", min=0, max=1, help=_T("sim.cli.opt.qos"))] = 1,
    picture_kb: Annotated[int, typer.Option("--picture-kb", min=0, max=1000, help=_T("sim.cli.opt.picture"))] = 2,
    flawless: Annotated[bool, typer.Option("--flawless", help=_T("sim.cli.opt.flawless"))] = False,  # noqa: FBT002  typer's way
    zone: Annotated[str, typer.Option("--zone", callback=_zone, help=_T("sim.cli.opt.zone"))] = "Asia/Shanghai",
    for_s: ForSeconds = None,
    journal: Annotated[Path | None, typer.Option("--journal", help=_T("sim.cli.opt.journal"))] = None,
    log_level: Annotated[str, typer.Option("--log", callback=options.log_level, help=_T("sim.cli.opt.log"))] = "INFO",
    lang: Language = None,
) -> None:
    """Run FaceSluice terminals."""
    from simulators.run import JournalFileError, RunPlan, RunState, run_terminals
    from wire.logs import configure_logging
    from wire.mqtt_link import BrokerAddress

    texts = Texts(lang)
    configure_logging(log_level)
    plan = RunPlan(
        address=BrokerAddress(host=host, port=port, username=username, password=_password(password_file, texts)),
        device_ids=tuple(device_ids or (str(1_026_701 + index) for index in range(terminals))),
        prefix=prefix,
        per_minute=per_minute,
        seed=seed,
        qos=qos,
        picture_bytes=picture_kb * 1000,
        flawless=flawless,
        zone=zone,
        for_s=for_s,
        journal=journal,
    )

    def line(state: RunState) -> str:
        counts = state.counts
        return texts(
            "sim.run.state",
            produced=counts.produced,
            acked=counts.acked,
            owed=state.owed,
            said=counts.said,
            online=state.online,
            terminals=state.terminals,
        )

    try:
        state = _interruptible(lambda: run_terminals(plan, lambda now: typer.echo(line(now), err=True)))
    except JournalFileError as error:
        typer.echo(texts("sim.run.no_journal", cause=error), err=True)
        raise typer.Exit(EXIT_SETTINGS) from None
    typer.echo(line(state))
    if not state.connects:
        raise typer.Exit(EXIT_UNREACHABLE)
    if state.owed:
        raise typer.Exit(EXIT_FINDINGS if state.online else EXIT_UNREACHABLE)


@app.command(help=_T("sim.cli.demo"))
def demo(  # noqa: PLR0917  typer calls it with names
    for_s: ForSeconds = None,
    report: Annotated[Path | None, typer.Option("--report", help=_T("sim.cli.opt.report"))] = None,
    seed: Seed = 1,
    port: Annotated[int | None, typer.Option("--port", min=1, max=65535, help=_T("sim.cli.opt.api_port"))] = None,
    chaos: Annotated[bool, typer.Option("--chaos", help=_T("sim.cli.opt.chaos"))] = False,  # noqa: FBT002  typer
    terminals: Annotated[int, typer.Option("--terminals", min=2, max=200, help=_T("sim.cli.opt.demo_terminals"))] = 20,
    broker: Annotated[str | None, typer.Option("--broker", help=_T("sim.cli.opt.broker"))] = None,
    data_dir: Annotated[Path | None, typer.Option("--data-dir", help=_T("sim.cli.opt.data_dir"))] = None,
    lang: Language = None,
) -> None:
    """Run a whole campus."""
    from simulators.campus.command import DemoOptions, run_demo_command

    options = DemoOptions(
        for_s=for_s,
        report=report,
        seed=seed,
        port=port,
        chaos=chaos,
        terminals=terminals,
        broker=broker,
        data_dir=data_dir,
    )
    raise typer.Exit(run_demo_command(options, Texts(lang)))


@app.command(help=_T("sim.cli.version"))
def version() -> None:
    """Show the version."""
    from importlib.metadata import version as installed

    typer.echo(installed("campus-iot"))


def _password(path: Path | None, texts: Texts) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        typer.echo(texts("sim.run.no_password_file", path=path, cause=error.strerror), err=True)
        raise typer.Exit(EXIT_SETTINGS) from None


def _interruptible(work: Callable[[], Coroutine[Any, Any, _Result]]) -> _Result:
    try:
        return asyncio.run(work())
    except KeyboardInterrupt:
        raise typer.Exit(EXIT_INTERRUPTED) from None


def main() -> None:
    """Entry point of `campus-sim`."""
    app()


if __name__ == "__main__":
    main()
