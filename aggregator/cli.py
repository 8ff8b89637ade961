"""`campus-aggregator`: set a campus up, run it, let boxes and people in."""

from pathlib import Path
from typing import Annotated

import typer

from aggregator.cli_options import (
    CONFIG,
    EXIT_FINDINGS,
    EXIT_SERVICE_SETTINGS,
    EXIT_SETTINGS,
    Authority,
    Config,
    Json,
    Roles,
    TokenFile,
    Url,
    cause_of,
    password_of,
    service_of,
    settings_of,
)
from wire import options
from wire.i18n import Texts
from wire.options import Language
from wire.pipe import Output, span_s

_T = options.HELP
app = options.commands(_T("agg.cli.help"))
edge_app = options.commands(_T("agg.cli.edge"))
token_app = options.commands(_T("agg.cli.token"))
user_app = options.commands(_T("agg.cli.user"))
terminal_app = options.commands(_T("agg.cli.terminal"))
readers_app = options.commands(_T("agg.cli.readers"))
series_app = options.commands(_T("agg.cli.series"))
document_app = options.commands(_T("agg.cli.document"))
command_app = options.commands(_T("agg.cli.command"))
app.add_typer(edge_app, name="edge")
app.add_typer(token_app, name="token")
app.add_typer(user_app, name="user")
app.add_typer(terminal_app, name="terminal")
app.add_typer(readers_app, name="readers")
app.add_typer(document_app, name="document")
app.add_typer(command_app, name="command")
app.add_typer(series_app, name="series")


@app.command(help=_T("agg.cli.init"))
def init(directory: Annotated[Path, typer.Argument()] = Path(), lang: Language = None) -> None:
    """Write settings, keys and the broker's files; nothing that is there is overwritten."""
    from aggregator.office_cli import init_campus

    raise typer.Exit(init_campus(directory, Texts(lang)))


@app.command(help=_T("agg.cli.check"))
def check(config: Config = CONFIG, as_json: Json = False, lang: Language = None) -> None:  # noqa: FBT002  typer's way
    """Check the settings."""
    import json

    from aggregator.settings import missing_tls_files, read_settings

    loaded, texts = read_settings(config), Texts(lang)
    found = loaded.findings if loaded.settings is None else missing_tls_files(config)
    if as_json:
        findings = [finding.as_document(texts) for finding in found]
        typer.echo(json.dumps({"schema": 1, "file": str(config), "findings": findings}, ensure_ascii=False))
    else:
        for finding in found:
            typer.echo(finding.render(texts))
        if not found:
            typer.echo(texts("check.ok", path=config))
    raise typer.Exit(EXIT_SETTINGS if loaded.settings is None else 0)


@app.command(help=_T("agg.cli.run"))
def run(
    config: Config = CONFIG,
    log_level: Annotated[str, typer.Option("--log", callback=options.log_level, help=_T("agg.cli.opt.log"))] = "INFO",
    lang: Language = None,
) -> None:
    """Run until SIGTERM."""
    import asyncio
    import sqlite3

    from aggregator.app import run_aggregator
    from aggregator.campus_keys import CampusKeyError
    from aggregator.serve import CertificateError
    from aggregator.storage import StorageError
    from wire.collector import long_running
    from wire.logs import complain, configure_logging

    configure_logging(log_level)
    settings = settings_of(config, lang, exit_code=EXIT_SERVICE_SETTINGS, say=complain)
    try:
        with long_running():
            asyncio.run(run_aggregator(settings))
    except CertificateError as error:
        complain(Texts(lang)("agg.run.stopped", cause=error))
        raise typer.Exit(EXIT_SERVICE_SETTINGS) from None
    except CampusKeyError as error:
        complain(Texts(lang)("agg.run.no_keys", cause=error))
        raise typer.Exit(EXIT_SERVICE_SETTINGS) from None
    except (StorageError, OSError, sqlite3.Error) as error:
        texts = Texts(lang)
        complain(texts("agg.run.stopped", cause=cause_of(error, texts)))
        raise typer.Exit(EXIT_FINDINGS) from None


@app.command(help=_T("agg.cli.status"))
def status(config: Config = CONFIG, as_json: Json = False, lang: Language = None) -> None:  # noqa: FBT002  typer's way
    """Ask the running aggregator how it is."""
    from aggregator.office_cli import show_status

    raise typer.Exit(show_status(settings_of(config, lang), as_json=as_json, texts=Texts(lang)))


@app.command(help=_T("agg.cli.tail"))
def tail(  # noqa: PLR0917  typer calls it with names
    config: Config = CONFIG,
    url: Url = None,
    token_file: TokenFile = None,
    ca: Authority = None,
    device: Annotated[str, typer.Option("--device", help=_T("agg.cli.opt.of_device"))] = "",
    topic: Annotated[str, typer.Option("--topic", help=_T("agg.cli.opt.tail_topic"))] = "",
    lane: Annotated[str, typer.Option("--lane", callback=options.lane, help=_T("agg.cli.opt.tail_lane"))] = "",
    since: Annotated[str | None, typer.Option("--since", callback=options.span, help=_T("agg.cli.opt.since"))] = None,
    output: Annotated[Output, typer.Option("--output", "-o", help=_T("agg.cli.opt.output"))] = Output.LINE,
    lang: Language = None,
) -> None:
    """Follow the ledger."""
    from zoneinfo import ZoneInfo

    from aggregator.tail_cli import tail as follow

    service = service_of(config, url, token_file, ca, lang)
    code = follow(
        service,
        {"device": device, "topic": topic, "lane": lane},
        output=output,
        zone=ZoneInfo(settings_of(config, lang).zone) if url is None else None,
        since_s=None if since is None else span_s(since),
        texts=Texts(lang),
    )
    raise typer.Exit(code)


@app.command(help=_T("agg.cli.doctor"))
def doctor(config: Config = CONFIG, as_json: Json = False, lang: Language = None) -> None:  # noqa: FBT002  typer's way
    """Look at everything."""
    from aggregator.doctor import examination
    from wire.checkup import examine, tell

    sound = tell(examine(examination(config)), Texts(lang), typer.echo, as_json=as_json)
    raise typer.Exit(0 if sound else EXIT_FINDINGS)


@edge_app.command("add", help=_T("agg.cli.edge_add"))
def edge_add(
    name: Annotated[str, typer.Argument()],
    config: Config = CONFIG,
    valid_h: Annotated[int, typer.Option("--valid-h", min=1, max=24, help=_T("agg.cli.opt.valid_h"))] = 24,
    lang: Language = None,
) -> None:
    """Print a one-time token for a box. Works beside the running service."""
    from aggregator.office_cli import add_edge

    raise typer.Exit(add_edge(settings_of(config, lang), name, valid_h, Texts(lang)))


@edge_app.command("list", help=_T("agg.cli.edge_list"))
def edge_list(config: Config = CONFIG, as_json: Json = False, lang: Language = None) -> None:  # noqa: FBT002  typer's way
    """All boxes that ever joined."""
    from aggregator.office_cli import list_edges

    raise typer.Exit(list_edges(settings_of(config, lang), as_json=as_json, texts=Texts(lang)))


@edge_app.command("revoke", help=_T("agg.cli.edge_revoke"))
def edge_revoke(name: Annotated[str, typer.Argument()], config: Config = CONFIG, lang: Language = None) -> None:
    """Refuse a box from now on."""
    from aggregator.office_cli import revoke_edge

    raise typer.Exit(revoke_edge(settings_of(config, lang), name, Texts(lang)))


@token_app.command("create", help=_T("agg.cli.token_create"))
def token_create(
    name: Annotated[str, typer.Argument()],
    role: Roles,
    config: Config = CONFIG,
    valid_days: Annotated[int, typer.Option("--valid-days", min=1, max=3650, help=_T("agg.cli.opt.valid_days"))] = 365,
    lang: Language = None,
) -> None:
    """Print a token for a program; it is shown only here."""
    from aggregator.office_cli import create_token

    raise typer.Exit(create_token(settings_of(config, lang), name, role, valid_days, Texts(lang)))


@token_app.command("list", help=_T("agg.cli.token_list"))
def token_list(config: Config = CONFIG, as_json: Json = False, lang: Language = None) -> None:  # noqa: FBT002  typer's way
    """All tokens, never their secrets."""
    from aggregator.office_cli import list_tokens

    raise typer.Exit(list_tokens(settings_of(config, lang), as_json=as_json, texts=Texts(lang)))


@token_app.command("revoke", help=_T("agg.cli.token_revoke"))
def token_revoke(token_id: Annotated[str, typer.Argument()], config: Config = CONFIG, lang: Language = None) -> None:
    """From now on it opens nothing."""
    from aggregator.office_cli import revoke_token

    raise typer.Exit(revoke_token(settings_of(config, lang), token_id, Texts(lang)))


@user_app.command("add", help=_T("agg.cli.user_add"))
def user_add(
    name: Annotated[str, typer.Argument()], role: Roles, config: Config = CONFIG, lang: Language = None
) -> None:
    """Give somebody an account; the password comes from a prompt or from standard input."""
    from aggregator.office_cli import add_user

    texts = Texts(lang)
    raise typer.Exit(add_user(settings_of(config, lang), name, role, password_of(texts), texts))


@user_app.command("passwd", help=_T("agg.cli.user_passwd"))
def user_passwd(name: Annotated[str, typer.Argument()], config: Config = CONFIG, lang: Language = None) -> None:
    """Change a password; ends that person's sessions."""
    from aggregator.office_cli import set_password

    texts = Texts(lang)
    raise typer.Exit(set_password(settings_of(config, lang), name, password_of(texts), texts))


@terminal_app.command("add", help=_T("agg.cli.terminal_add"))
def terminal_add(  # noqa: PLR0917  typer calls it with names
    name: Annotated[str, typer.Argument()],
    config: Config = CONFIG,
    spoken: Annotated[str, typer.Option("--protocol", help=_T("agg.cli.opt.protocol"))] = "facesluice",
    prefix: Annotated[str | None, typer.Option("--prefix", help=_T("agg.cli.opt.prefix"))] = None,
    device_id: Annotated[str | None, typer.Option("--device-id", help=_T("agg.cli.opt.device_id"))] = None,
    lang: Language = None,
) -> None:
    """Print a broker password for one terminal, or for all below a prefix."""
    from aggregator.office_cli import add_terminal

    raise typer.Exit(
        add_terminal(settings_of(config, lang), name, Texts(lang), spoken=spoken, prefix=prefix, device_id=device_id)
    )


@readers_app.command("rebuild", help=_T("agg.cli.readers_rebuild"))
def readers_rebuild(name: Annotated[str, typer.Argument()], config: Config = CONFIG, lang: Language = None) -> None:
    """Throw away what a reader made and make it again; only while the service is stopped."""
    from aggregator.office_cli import rebuild_reader

    raise typer.Exit(rebuild_reader(settings_of(config, lang), name, Texts(lang)))


@document_app.command("put", help=_T("agg.cli.document_put"))
def document_put(
    edge: Annotated[str, typer.Argument()],
    name: Annotated[str, typer.Argument()],
    file: Annotated[Path, typer.Argument()],
    config: Config = CONFIG,
    lang: Language = None,
) -> None:
    """A new version of a document for one box."""
    from aggregator.documents_cli import put_document

    raise typer.Exit(put_document(settings_of(config, lang), edge, name, file, Texts(lang)))


@document_app.command("list", help=_T("agg.cli.document_list"))
def document_list(
    edge: Annotated[str, typer.Argument()],
    config: Config = CONFIG,
    as_json: Json = False,  # noqa: FBT002  typer's way
    lang: Language = None,
) -> None:
    """What a box ought to have."""
    from aggregator.documents_cli import list_documents

    raise typer.Exit(list_documents(settings_of(config, lang), edge, as_json=as_json, texts=Texts(lang)))


@series_app.command("rebuild", help=_T("agg.cli.series_rebuild"))
def series_rebuild(config: Config = CONFIG, lang: Language = None) -> None:
    """Write every point of the ledger anew; only while the service is stopped."""
    from aggregator.series_cli import rebuild_series

    raise typer.Exit(rebuild_series(settings_of(config, lang), Texts(lang)))


@series_app.command("setup", help=_T("agg.cli.series_setup"))
def series_setup(config: Config = CONFIG, lang: Language = None) -> None:
    """Make the database or bucket in InfluxDB."""
    from aggregator.series_cli import set_up_series

    raise typer.Exit(set_up_series(settings_of(config, lang), Texts(lang)))


@command_app.command("send", help=_T("agg.cli.command_send"))
def command_send(  # noqa: PLR0917  typer calls it with names
    name: Annotated[str, typer.Argument()],
    devices: Annotated[list[str], typer.Argument(help=_T("agg.cli.arg.devices"))],
    config: Config = CONFIG,
    url: Url = None,
    token_file: TokenFile = None,
    ca: Authority = None,
    arguments: Annotated[list[str] | None, typer.Option("--arg", help=_T("agg.cli.opt.arg"))] = None,
    reason: Annotated[str, typer.Option("--reason", help=_T("agg.cli.opt.reason"))] = "",
    key: Annotated[str, typer.Option("--key", help=_T("agg.cli.opt.key"))] = "",
    wait_s: Annotated[float, typer.Option("--wait", min=0, max=600, help=_T("agg.cli.opt.wait"))] = 30.0,
    as_json: Json = False,  # noqa: FBT002  typer's way
    lang: Language = None,
) -> None:
    """Tell devices something, and how it ended at each."""
    from aggregator.commands_cli import send_command

    texts = Texts(lang)
    code = send_command(
        service_of(config, url, token_file, ca, lang),
        name,
        devices,
        arguments=arguments or (),
        reason=reason,
        key=key,
        wait_s=wait_s,
        as_json=as_json,
        texts=texts,
    )
    raise typer.Exit(code)


@command_app.command("list", help=_T("agg.cli.command_list"))
def command_list(  # noqa: PLR0917  typer calls it with names
    config: Config = CONFIG,
    url: Url = None,
    token_file: TokenFile = None,
    ca: Authority = None,
    device: Annotated[str, typer.Option("--device", help=_T("agg.cli.opt.of_device"))] = "",
    group: Annotated[str, typer.Option("--group", help=_T("agg.cli.opt.of_group"))] = "",
    state: Annotated[str, typer.Option("--state", help=_T("agg.cli.opt.of_state"))] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help=_T("agg.cli.opt.limit"))] = 20,
    as_json: Json = False,  # noqa: FBT002  typer's way
    lang: Language = None,
) -> None:
    """The newest commands, and how they stand."""
    from aggregator.commands_cli import list_commands

    service, texts = service_of(config, url, token_file, ca, lang), Texts(lang)
    raise typer.Exit(
        list_commands(service, device=device, group=group, state=state, limit=limit, as_json=as_json, texts=texts)
    )


@command_app.command("show", help=_T("agg.cli.command_show"))
def command_show(  # noqa: PLR0917  typer calls it with names
    command_id: Annotated[str, typer.Argument()],
    config: Config = CONFIG,
    url: Url = None,
    token_file: TokenFile = None,
    ca: Authority = None,
    as_json: Json = False,  # noqa: FBT002  typer's way
    lang: Language = None,
) -> None:
    """One command."""
    from aggregator.commands_cli import show_command

    service = service_of(config, url, token_file, ca, lang)
    raise typer.Exit(show_command(service, command_id, as_json=as_json, texts=Texts(lang)))


def main() -> None:
    """Entry point of `campus-aggregator`."""
    app()


if __name__ == "__main__":
    main()
