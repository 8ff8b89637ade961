"""What the commands of `campus-aggregator` do; each opens the databases for itself, also beside the running service."""

import asyncio
import json
import os
import sqlite3
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any, Final, TypeVar

import typer
from rich.console import Console
from rich.table import Table

from aggregator.accounts import EVERYWHERE, Role, UnknownAccount
from aggregator.broker import (
    BrokerFolder,
    BrokerSettings,
    aggregator_user,
    new_password,
    password_hash,
    terminal_user,
)
from aggregator.campus_keys import CampusKeyError, make_campus_key, make_signing_key
from aggregator.cli_options import cause_of, unanswered
from aggregator.parts import RUN_FILE, Parts, open_parts
from aggregator.service import ServiceRefused, ServiceUnreachable, running
from aggregator.settings import SAMPLE, AggregatorSettings, read_settings
from aggregator.storage import StorageError
from aggregator.unfit import Unfit
from device_profiles.findings import nearest
from device_profiles.protocols import protocol, protocol_names
from wire.clock import utc_text
from wire.files import create_file
from wire.i18n import Texts

T = TypeVar("T")

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
EXIT_USAGE: Final = 2
EXIT_SETTINGS: Final = 3
EXIT_UNREACHABLE: Final = 4
CLI: Final = "@cli"


def init_campus(directory: Path, texts: Texts) -> int:
    """Settings, keys, broker files. What is there stays, so that a second call completes a first."""
    path = directory / "aggregator.yaml"
    directory.mkdir(parents=True, exist_ok=True)
    if path.exists():
        typer.echo(texts("check.exists", path=path), err=True)
    else:
        path.write_text(SAMPLE, encoding="utf-8")
        typer.echo(texts("check.written", path=path))
    loaded = read_settings(path)
    if loaded.settings is None:
        for finding in loaded.findings:
            typer.echo(finding.render(texts), err=True)
        return EXIT_SETTINGS
    make_secrets(loaded.settings)
    folder = loaded.settings.broker.folder
    if folder is None:
        typer.echo(texts("agg.init.next_elsewhere", path=path), err=True)
        return EXIT_OK
    config_file = BrokerFolder(folder).config_file
    typer.echo(texts("agg.init.broker", path=config_file))
    typer.echo(texts("agg.init.next", broker=config_file, path=path), err=True)
    return EXIT_OK


def make_secrets(settings: AggregatorSettings) -> None:
    """Make whatever key, password and broker file of a campus is not there yet."""
    if not settings.campus_key_file.exists():
        make_campus_key(settings.campus_key_file, os.urandom)
    if not settings.signing_key_file.exists():
        make_signing_key(settings.signing_key_file)
    broker = settings.broker
    if broker.folder is None:
        return
    folder = BrokerFolder(broker.folder)
    folder.install(
        BrokerSettings(campus=settings.campus, listeners=broker.opened(), retained_allowed=broker.retained_allowed)
    )
    if broker.password_file is not None and not broker.password_file.exists():
        password = new_password(os.urandom)
        create_file(broker.password_file, password + "\n")
        hashed = password_hash(password, os.urandom)
        folder.put(aggregator_user(settings.campus, hashed, name=broker.username))


def show_status(settings: AggregatorSettings, *, as_json: bool, texts: Texts) -> int:
    """0 when the campus works, 1 when a part of it does not, 4 when nobody answers."""
    try:
        health = running(settings.data_dir / RUN_FILE).get("health")
    except (ServiceUnreachable, ServiceRefused) as error:
        typer.echo(unanswered(error, texts), err=True)
        return EXIT_UNREACHABLE
    if as_json:
        typer.echo(json.dumps({"schema": 1, **health}))
    else:
        typer.echo(texts(f"agg.status.{health['status']}", campus=health["campus"], version=health["version"]))
        counts = {name: health[name] for name in ("edges_live", "edges_silent", "watchers")}
        typer.echo(texts("agg.status.counts", **counts))
    return EXIT_OK if health["status"] == "ok" else EXIT_FAILED


def add_edge(settings: AggregatorSettings, name: str, valid_h: int, texts: Texts) -> int:
    """The token alone goes to stdout, so that a script can take it."""

    async def issue(parts: Parts) -> str:
        token = await parts.enrolment.issue(name, valid_h=valid_h)
        await parts.office.record(CLI, "edge.add", name, "done", "")
        return token

    def show(token: str) -> None:
        typer.echo(token)
        typer.echo(texts("agg.edge.token", edge=name, hours=valid_h), err=True)

    return with_parts(settings, issue, texts, show)


def list_edges(settings: AggregatorSettings, *, as_json: bool, texts: Texts) -> int:
    """A line each."""
    columns = ("edge", "enrolled", "software", "revoked")
    return with_parts(
        settings, lambda parts: parts.enrolment.edges(), texts, lister(columns, as_json=as_json, texts=texts)
    )


def revoke_edge(settings: AggregatorSettings, name: str, texts: Texts) -> int:
    """1 when there is no such box."""

    async def revoke(parts: Parts) -> bool:
        done = await parts.enrolment.revoke(name)
        known = [row["edge"] for row in await parts.enrolment.edges()]
        await parts.office.record(CLI, "edge.revoke", name, "done" if done else "unknown", "")
        if not done:
            raise _UnknownError(name, nearest(name, known))
        return done

    return with_parts(settings, revoke, texts, lambda _: typer.echo(texts("agg.edge.revoked", edge=name)))


def create_token(settings: AggregatorSettings, name: str, roles: Iterable[str], valid_days: int, texts: Texts) -> int:
    """The token alone goes to stdout."""
    chosen = _roles(roles, texts)
    if chosen is None:
        return EXIT_USAGE

    async def create(parts: Parts) -> str:
        secret = await parts.office.create_token(name, chosen, EVERYWHERE, valid_days=valid_days)
        await parts.office.record(CLI, "token.create", name, "done", "")
        return secret

    return with_parts(settings, create, texts, typer.echo)


def list_tokens(settings: AggregatorSettings, *, as_json: bool, texts: Texts) -> int:
    """A line each; prefixes, never secrets."""
    columns = ("id", "name", "prefix", "roles", "created", "expires", "revoked")
    return with_parts(
        settings, lambda parts: parts.office.tokens(), texts, lister(columns, as_json=as_json, texts=texts)
    )


def revoke_token(settings: AggregatorSettings, token_id: str, texts: Texts) -> int:
    """1 when there is no such token."""

    async def revoke(parts: Parts) -> None:
        await parts.office.revoke_token(token_id)
        await parts.office.record(CLI, "token.revoke", token_id, "done", "")

    return with_parts(settings, revoke, texts, lambda _: typer.echo(texts("agg.token.revoked", id=token_id)))


def add_user(settings: AggregatorSettings, name: str, roles: Iterable[str], password: str, texts: Texts) -> int:
    """1 when the name is taken or the password too short."""
    chosen = _roles(roles, texts)
    if chosen is None:
        return EXIT_USAGE

    async def add(parts: Parts) -> None:
        await parts.office.add_user(name, password, chosen, EVERYWHERE)
        await parts.office.record(CLI, "user.add", name, "done", "")

    return with_parts(settings, add, texts, lambda _: typer.echo(texts("agg.user.added", name=name)))


def set_password(settings: AggregatorSettings, name: str, password: str, texts: Texts) -> int:
    """1 when there is no such person or the password is too short."""

    async def change(parts: Parts) -> None:
        await parts.office.set_password(name, password)
        await parts.office.record(CLI, "user.passwd", name, "done", "")

    return with_parts(settings, change, texts, lambda _: typer.echo(texts("agg.user.changed", name=name)))


def add_terminal(
    settings: AggregatorSettings, name: str, texts: Texts, *, spoken: str, prefix: str | None, device_id: str | None
) -> int:
    """The password alone goes to stdout. Without a device id the account is for all devices below the prefix. 2 when
    the protocol has no devices at a broker.
    """
    topics = protocol(spoken).topics if spoken in protocol_names() else None
    if topics is None:
        known = [one for one in protocol_names() if protocol(one).topics is not None]
        typer.echo(texts("agg.terminal.no_protocol", name=spoken, known=", ".join(known)), err=True)
        return EXIT_USAGE
    if settings.broker.folder is None:
        typer.echo(texts("agg.terminal.no_folder"), err=True)
        return EXIT_SETTINGS
    folder = BrokerFolder(settings.broker.folder)
    password = new_password(os.urandom)
    hashed = password_hash(password, os.urandom)
    try:
        folder.put(terminal_user(name, topics, prefix or topics.prefix, hashed, device_id=device_id or ""))
    except Unfit as unfit:
        typer.echo(texts(f"agg.unfit.{unfit.code}", **unfit.params), err=True)
        return EXIT_FAILED
    except (ValueError, OSError) as error:
        typer.echo(texts("agg.run.stopped", cause=cause_of(error, texts)), err=True)
        return EXIT_FAILED
    typer.echo(password)
    typer.echo(texts("agg.terminal.added" if folder.reload() else "agg.terminal.reload", name=name), err=True)
    return EXIT_OK


def rebuild_reader(settings: AggregatorSettings, name: str, texts: Texts) -> int:
    """2 for a reader that does not exist."""

    async def rebuild(parts: Parts) -> int:
        readers = {reader.name: reader for reader in parts.readers}
        if name not in readers:
            raise _UnknownError(name, nearest(name, readers))
        return await readers[name].rebuild()

    return with_parts(
        settings, rebuild, texts, lambda position: typer.echo(texts("agg.readers.rebuilt", name=name, count=position))
    )


class _UnknownError(LookupError):
    def __init__(self, name: str, near: str) -> None:
        super().__init__(name)
        self.name = name
        self.near = near


def with_parts(
    settings: AggregatorSettings, call: Callable[[Parts], Awaitable[T]], texts: Texts, show: Callable[[T], object]
) -> int:
    """Open the campus, call, show what came; the exit code. Every way to fail is told and has its code."""

    async def run() -> T:
        async with open_parts(settings) as parts:
            return await call(parts)

    try:
        result = asyncio.run(run())
    except _UnknownError as error:
        near = texts("finding.nearest", nearest=error.near) if error.near else ""
        typer.echo(texts("agg.unknown", name=error.name) + near, err=True)
        return EXIT_FAILED
    except UnknownAccount as error:
        typer.echo(texts("agg.unknown", name=error), err=True)
        return EXIT_FAILED
    except Unfit as unfit:
        typer.echo(texts(f"agg.unfit.{unfit.code}", **unfit.params), err=True)
        return EXIT_FAILED
    except CampusKeyError as error:
        typer.echo(texts("agg.run.no_keys", cause=error), err=True)
        return EXIT_SETTINGS
    except (StorageError, OSError, ValueError, sqlite3.Error) as error:
        typer.echo(texts("agg.run.stopped", cause=cause_of(error, texts)), err=True)
        return EXIT_FAILED
    show(result)
    return EXIT_OK


def _roles(names: Iterable[str], texts: Texts) -> list[Role] | None:
    try:
        return [Role(name) for name in names]
    except ValueError:
        typer.echo(texts("agg.bad_role", roles=", ".join(Role)), err=True)
        return None


def lister(columns: tuple[str, ...], *, as_json: bool, texts: Texts) -> Callable[[list[dict[str, Any]]], None]:
    """Shows rows as a table, or as JSON. columns: keys of a row; one that a row has as `<key>_ns` is a time."""

    def show(rows: list[dict[str, Any]]) -> None:
        items = [
            {
                name: utc_text(row[f"{name}_ns"]) if row.get(f"{name}_ns") is not None else row.get(name)
                for name in columns
            }
            for row in rows
        ]
        if as_json:
            typer.echo(json.dumps({"schema": 1, "items": items}, ensure_ascii=False))
            return
        table = Table()
        for name in columns:
            table.add_column(texts(f"agg.column.{name}"))
        for item in items:
            table.add_row(*(str(item[name] if item[name] is not None else "") for name in columns))
        Console().print(table)

    return show
