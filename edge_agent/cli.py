"""`campus-edge`: set a box up, check its settings, join a campus, run, look into the outbox."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from wire import options
from wire.i18n import Texts
from wire.options import Language
from wire.pipe import Output

if TYPE_CHECKING:
    from edge_agent.settings import EdgeSettings

EXIT_OK: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_USAGE: Final = 2
EXIT_SETTINGS: Final = 3
EXIT_UNREACHABLE: Final = 4
EXIT_REFUSED: Final = 5
EXIT_SERVICE_SETTINGS: Final = 78

_T = options.HELP
app = options.commands(_T("edge.cli.help"))


def _settings(config: Path, language: str | None) -> "EdgeSettings":
    """Of a file that can be used; ends with what is wrong with it otherwise."""
    from edge_agent.check_cli import load_or_report

    loaded = load_or_report(config, language=language)
    if loaded is None or loaded.settings is None:
        raise typer.Exit(EXIT_SETTINGS)
    return loaded.settings


Config = Annotated[Path, typer.Option("--config", "-c", help=_T("edge.cli.opt.config"))]
Json = Annotated[bool, typer.Option("--json", help=_T("edge.cli.opt.json"))]

PasswordFile = Annotated[Path | None, typer.Option("--password-file", help=_T("edge.cli.opt.password_file"))]

DEFAULT_CONFIG: Final = Path("edge.yaml")


@app.command(help=_T("edge.cli.init"))
def init(
    directory: Annotated[Path, typer.Argument()] = Path(),
    sample: Annotated[str, typer.Option(help=_T("edge.cli.opt.sample"))] = "minimal",
    lang: Language = None,
) -> None:
    """Write a sample configuration."""
    from edge_agent.check_cli import init_command

    raise typer.Exit(init_command(directory, sample=sample, language=lang))


@app.command(help=_T("edge.cli.check"))
def check(
    config: Config = DEFAULT_CONFIG,
    strict: Annotated[bool, typer.Option("--strict", help=_T("edge.cli.opt.strict"))] = False,  # noqa: FBT002  typer's way
    as_json: Json = False,  # noqa: FBT002  typer's way
    lang: Language = None,
) -> None:
    """Check the settings without a network."""
    from edge_agent.check_cli import check_command

    raise typer.Exit(check_command(config, strict=strict, as_json=as_json, language=lang))


@app.command(help=_T("edge.cli.enrol"))
def enrol(
    url: Annotated[str, typer.Option("--url", help=_T("edge.cli.opt.url"))],
    config: Config = DEFAULT_CONFIG,
    token: Annotated[str | None, typer.Option("--token", help=_T("edge.cli.opt.token"))] = None,
    ca: Annotated[Path | None, typer.Option("--ca", help=_T("edge.cli.opt.ca"))] = None,
    lang: Language = None,
) -> None:
    """Join a campus."""
    from edge_agent import version
    from edge_agent.enrol import EnrolError, files_of
    from edge_agent.enrol import enrol as join

    texts = Texts(lang)
    settings = _settings(config, lang)
    secret = token or _typed(sys.stdin, texts)
    try:
        answer = join(url, secret, edge=settings.edge, software=version(), files=files_of(settings), authority=ca)
    except EnrolError as error:
        why = texts(f"edge.enrol.why.{error.code}", detail=error.detail) if error.code in _KNOWN else error.detail
        typer.echo(texts("edge.enrol.failed", code=error.code, detail=why), err=True)
        if error.code in _NEW_TOKEN:
            typer.echo(texts("edge.enrol.new_token", edge=settings.edge), err=True)
        raise typer.Exit(_ENROL_EXITS.get(error.code, EXIT_REFUSED)) from None
    username = answer["broker"].get("username", "")
    typer.echo(texts("edge.enrol.done", campus=answer.get("campus", ""), edge=settings.edge, username=username))


def _typed(stdin: TextIO, texts: Texts) -> str:
    """A line from a pipe, or from a person, who is then told that something is waited for."""
    if stdin.isatty():
        typer.echo(texts("edge.enrol.ask"), err=True, nl=False)
    return stdin.readline().strip()


# What went wrong in words: ours, and the campus' as far as a person can do something about it.
_KNOWN: Final = frozenset(
    {
        "bad_answer",
        "bad_authority",
        "bad_key",
        "bad_url",
        "no_password_file",
        "not_trusted",
        "not_written",
        "token_expired",
        "token_unknown",
        "token_used",
    }
    | {"unreachable", "unusable_key", "wrong_edge"}
)
_NEW_TOKEN: Final = frozenset({"token_unknown", "token_used", "token_expired", "wrong_edge"})
_ENROL_EXITS: Final = {
    "unreachable": EXIT_UNREACHABLE,
    "not_trusted": EXIT_UNREACHABLE,
    "bad_url": EXIT_USAGE,
    "bad_authority": EXIT_USAGE,
    "no_password_file": EXIT_SETTINGS,
    "unusable_key": EXIT_FINDINGS,
    "not_written": EXIT_FINDINGS,
}


@app.command(help=_T("edge.cli.run"))
def run(
    config: Config = DEFAULT_CONFIG,
    log_level: Annotated[str, typer.Option("--log", callback=options.log_level, help=_T("edge.cli.opt.log"))] = "INFO",
    lang: Language = None,
) -> None:
    """Run until SIGTERM."""
    import asyncio

    from edge_agent.app import run_agent
    from edge_agent.check_cli import load_or_report
    from edge_agent.keys import KeyFileError
    from edge_agent.settings import SecretError
    from wire.collector import long_running
    from wire.logs import complain, configure_logging

    configure_logging(log_level)
    loaded = load_or_report(config, language=lang, say=complain)
    if loaded is None or loaded.settings is None:
        raise typer.Exit(EXIT_SERVICE_SETTINGS)
    try:
        with long_running():
            asyncio.run(run_agent(loaded.settings, loaded))
    except (KeyFileError, SecretError) as error:
        complain(Texts(lang)("edge.run.not_enrolled", cause=error))
        raise typer.Exit(EXIT_SERVICE_SETTINGS) from None
    except Exception as error:
        ending = _ending(error)
        if ending is None:
            raise
        code, cause = ending
        complain(Texts(lang)("edge.run.stopped", cause=cause))
        raise typer.Exit(code) from None


def _ending(error: Exception) -> tuple[int, str] | None:
    """How the world ended the box, as exit code and text; None for a bug of ours, which keeps its traceback.

    78 where a restart cannot help (systemd then leaves it), 1 where it can: a disk that failed, another process that
    still has the outbox open.
    """
    from edge_agent.intake import IntakeClosedError
    from edge_agent.outbox import OutboxBusy, OutboxError, OutboxRefused

    if isinstance(error, ExceptionGroup):
        # Whoever waited for a commit when the outbox failed was told by intake.
        known, bugs = error.split((OutboxError, IntakeClosedError))
        if bugs is not None or known is None:
            return None
        outbox, _ = known.split(OutboxError)
        error = _first(outbox or known)
    if isinstance(error, OutboxRefused) and not isinstance(error, OutboxBusy):
        return EXIT_SERVICE_SETTINGS, str(error)
    if isinstance(error, OutboxError):
        return EXIT_FINDINGS, str(error)
    if isinstance(error, OSError):
        # Only the data folder is touched before the outbox is open; see run_agent.
        code = EXIT_SERVICE_SETTINGS if isinstance(error, _FOLDER_REFUSED) else EXIT_FINDINGS
        return code, f"{error.filename}: {error.strerror}"
    return None


_FOLDER_REFUSED: Final = (PermissionError, NotADirectoryError, FileExistsError)


def _first(group: ExceptionGroup[Exception]) -> Exception:
    error: Exception = group
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error


@app.command(help=_T("edge.cli.outbox"))
def outbox(config: Config = DEFAULT_CONFIG, as_json: Json = False, lang: Language = None) -> None:  # noqa: FBT002  typer's
    """Show the outbox, also while the agent runs."""
    from edge_agent import OUTBOX_FILE
    from edge_agent.outbox_cli import show_outbox

    settings = _settings(config, lang)
    raise typer.Exit(show_outbox(settings.data_dir / OUTBOX_FILE, as_json=as_json, texts=Texts(lang)))


@app.command(help=_T("edge.cli.tail"))
def tail(  # noqa: PLR0917  typer calls it with names
    config: Config = DEFAULT_CONFIG,
    device: Annotated[str, typer.Option("--device", help=_T("edge.cli.opt.device"))] = "",
    topic: Annotated[str, typer.Option("--topic", help=_T("edge.cli.opt.topic"))] = "",
    lane: Annotated[str, typer.Option("--lane", callback=options.lane, help=_T("edge.cli.opt.lane"))] = "",
    since: Annotated[str | None, typer.Option("--since", callback=options.span, help=_T("edge.cli.opt.since"))] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help=_T("edge.cli.opt.output"))] = Output.LINE,
    no_follow: Annotated[bool, typer.Option("--no-follow", help=_T("edge.cli.opt.no_follow"))] = False,  # noqa: FBT002  typer's way
    lang: Language = None,
) -> None:
    """Follow the outbox."""
    from zoneinfo import ZoneInfo

    from edge_agent import OUTBOX_FILE
    from edge_agent.tail_cli import Wanted
    from edge_agent.tail_cli import tail as follow
    from wire.pipe import span_s
    from wire.topics import Lane

    settings = _settings(config, lang)
    code = follow(
        settings.data_dir / OUTBOX_FILE,
        Wanted(device=device, topic=topic, lane=Lane(lane) if lane else None),
        output=output,
        zone=ZoneInfo(settings.site.zone),
        since_s=None if since is None else span_s(since),
        follow=not no_follow,
        texts=Texts(lang),
    )
    raise typer.Exit(code)


@app.command(help=_T("edge.cli.probe"))
def probe(  # noqa: PLR0917  typer calls it with names
    target: Annotated[str, typer.Argument(help=_T("edge.cli.arg.target"))],
    config: Config = DEFAULT_CONFIG,
    profile: Annotated[str | None, typer.Option("--profile", help=_T("edge.cli.opt.profile"))] = None,
    password_file: Annotated[
        Path | None, typer.Option("--password-file", help=_T("edge.cli.opt.password_file"))
    ] = None,
    zone: Annotated[str, typer.Option("--zone", help=_T("edge.cli.opt.zone"))] = "Asia/Shanghai",
    count: Annotated[int, typer.Option("--count", min=1, max=100_000, help=_T("edge.cli.opt.count"))] = 5,
    for_s: Annotated[float, typer.Option("--for", min=0.1, max=86_400, help=_T("edge.cli.opt.for"))] = 30.0,
    as_json: Json = False,  # noqa: FBT002  typer's way
    lang: Language = None,
) -> None:
    """Talk to one device."""
    from edge_agent.probe_cli import Asked, probe_command

    asked = Asked(
        target=target,
        config=config,
        profile=profile,
        password_file=password_file,
        zone=zone,
        count=count,
        for_s=for_s,
        as_json=as_json,
    )
    raise typer.Exit(probe_command(asked, Texts(lang)))


@app.command(help=_T("edge.cli.top"))
def top(
    config: Config = DEFAULT_CONFIG,
    once: Annotated[bool, typer.Option("--once", help=_T("edge.cli.opt.once"))] = False,  # noqa: FBT002  typer's way
    as_json: Json = False,  # noqa: FBT002  typer's way
    lang: Language = None,
) -> None:
    """Show the running box."""
    from edge_agent.top_cli import show_top

    raise typer.Exit(show_top(_settings(config, lang), once=once, as_json=as_json, texts=Texts(lang)))


@app.command(help=_T("edge.cli.doctor"))
def doctor(config: Config = DEFAULT_CONFIG, as_json: Json = False, lang: Language = None) -> None:  # noqa: FBT002  typer's
    """Look at everything."""
    from edge_agent.doctor import examination
    from wire.checkup import examine, tell

    sound = tell(examine(examination(config)), Texts(lang), typer.echo, as_json=as_json)
    raise typer.Exit(EXIT_OK if sound else EXIT_FINDINGS)


@app.command("version", help=_T("edge.cli.version"))
def show_version() -> None:
    """Show the version."""
    from edge_agent import version

    typer.echo(version())


def main() -> None:
    """Entry point of `campus-edge`."""
    app()


if __name__ == "__main__":
    main()
