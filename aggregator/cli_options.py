"""What the commands of `campus-aggregator` share: their options, the settings, the running service, a password."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from wire import options
from wire.i18n import Texts

if TYPE_CHECKING:
    from aggregator.service import Service, ServiceRefused, ServiceUnreachable
    from aggregator.settings import AggregatorSettings

EXIT_FINDINGS: Final = 1
EXIT_USAGE: Final = 2
EXIT_SETTINGS: Final = 3
EXIT_UNREACHABLE: Final = 4
EXIT_SERVICE_SETTINGS: Final = 78

_T: Final = options.HELP
Config = Annotated[Path, typer.Option("--config", "-c", help=_T("agg.cli.opt.config"))]
Json = Annotated[bool, typer.Option("--json", help=_T("agg.cli.opt.json"))]
Roles = Annotated[list[str], typer.Option("--role", help=_T("agg.cli.opt.role"))]
TokenFile = Annotated[
    Path | None, typer.Option("--token-file", envvar="CAMPUS_TOKEN_FILE", help=_T("agg.cli.opt.token_file"))
]
Url = Annotated[str | None, typer.Option("--url", help=_T("agg.cli.opt.url"))]
Authority = Annotated[Path | None, typer.Option("--ca", help=_T("agg.cli.opt.ca"))]
CONFIG: Final = Path("aggregator.yaml")


def _to_stderr(text: str) -> None:
    typer.echo(text, err=True)


def settings_of(
    config: Path, language: str | None, *, exit_code: int = EXIT_SETTINGS, say: Callable[[str], object] = _to_stderr
) -> "AggregatorSettings":
    """Of a file that can be used; says what is wrong with it and ends otherwise."""
    from aggregator.settings import read_settings

    loaded = read_settings(config)
    if loaded.settings is None:
        for finding in loaded.findings:
            say(finding.render(Texts(language)))
        raise typer.Exit(exit_code)
    return loaded.settings


def service_of(
    config: Path, url: str | None, token_file: Path | None, ca: Path | None, language: str | None
) -> "Service":
    """The running service, here or elsewhere; ends with its code when it or the token is not there."""
    from aggregator.parts import RUN_FILE
    from aggregator.service import Service, ServiceUnreachable, running, trusting

    texts = Texts(language)
    if token_file is None:
        typer.echo(texts("agg.command.no_token"), err=True)
        raise typer.Exit(EXIT_USAGE)
    try:
        token = (sys.stdin.readline() if str(token_file) == "-" else token_file.read_text(encoding="utf-8")).strip()
    except (OSError, ValueError) as error:
        typer.echo(texts("finding.unreadable", cause=f"{token_file}: {error}"), err=True)
        raise typer.Exit(EXIT_USAGE) from None
    if url is not None:
        try:
            return Service(url.rstrip("/"), token, None if ca is None else trusting(ca))
        except OSError as error:
            typer.echo(texts("finding.unreadable", cause=f"{ca}: {error.strerror or error}"), err=True)
            raise typer.Exit(EXIT_USAGE) from None
    try:
        return running(settings_of(config, language).data_dir / RUN_FILE, token)
    except ServiceUnreachable as error:
        typer.echo(unanswered(error, texts), err=True)
        raise typer.Exit(EXIT_UNREACHABLE) from None


def unanswered(error: "ServiceUnreachable | ServiceRefused", texts: Texts) -> str:
    """That the service does not answer, and why."""
    from aggregator.service import NotRunning

    if isinstance(error, NotRunning):
        return texts("agg.status.not_running", path=error)
    return texts("agg.status.unreachable", cause=error)


def cause_of(error: Exception, texts: Texts) -> str:
    """What ended a command, with the file or port it is about."""
    from aggregator.storage import StorageError

    if isinstance(error, StorageError):
        return error.told(texts)
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def password_of(texts: Texts) -> str:
    """Asked for twice at a terminal, or the first line of standard input."""
    if sys.stdin.isatty():
        password: str = typer.prompt(
            texts("agg.user.password"), hide_input=True, confirmation_prompt=texts("agg.user.again")
        )
        return password
    return sys.stdin.readline().rstrip("\n")
