"""`campus-aggregator doctor`: whether this server can do its work, and what to do where it cannot. Reads only."""

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from aggregator.broker import BrokerFolder
from aggregator.campus_keys import CampusKeyError, load_campus_key, load_signing_key
from aggregator.parts import OFFICE_FILE, RUN_FILE
from aggregator.series import SeriesUnavailable
from aggregator.series.influx import open_influx
from aggregator.service import ServiceRefused, ServiceUnreachable, running
from aggregator.settings import AggregatorSettings, InfluxSeriesChoice, Loaded, read_settings
from wire import checks
from wire.checkup import Check, Verdict, look, unseen, well, wrong
from wire.topics import PROTOCOL

UNITS: Final = ("campus-aggregator.service", "campus-broker.service")
ROOM_BYTES: Final = 2_000_000_000
LAG_MAX: Final = 10_000


def examination(path: Path) -> Iterator[tuple[str, Check]]:
    """What to look at, in order; with settings that cannot be used there is nothing more to see."""
    loaded = read_settings(path)
    yield "settings", lambda: _settings(path, loaded)
    if loaded.settings is None:
        return
    server = _Server(loaded.settings)
    yield "keys", server.keys
    yield "clock", server.clock
    yield "disk", server.disk
    yield "ledger", server.databases
    yield "service", server.service
    yield "broker", server.broker
    yield "series", server.series
    yield "people", server.people
    yield "tls", server.certificates


def _settings(path: Path, loaded: Loaded) -> Iterator[Verdict]:
    if loaded.settings is None:
        yield wrong("settings_bad", path=path, count=len(loaded.findings))
        return
    yield well("campus_settings_ok", campus=loaded.settings.campus)
    yield checks.zone(loaded.settings.zone)


@dataclass(frozen=True, slots=True)
class _Server:
    settings: AggregatorSettings

    def keys(self) -> Iterator[Verdict]:
        """The two keys of the campus, and the passwords of its programs."""
        settings = self.settings
        files = [settings.campus_key_file, settings.signing_key_file, settings.broker.password_file]
        files.append(getattr(settings.series, "secret_file", None))
        files += [settings.http.key, *(one.key for one in settings.broker.listeners)]
        for path in sorted({path for path in files if path is not None}):
            yield checks.secret_file(path)
        try:
            load_campus_key(settings.campus_key_file)
            load_signing_key(settings.signing_key_file)
        except CampusKeyError as error:
            yield wrong("campus_key_bad", cause=error)

    def clock(self) -> Iterator[Verdict]:
        """All boxes are measured by it."""
        yield checks.clock(assume_synced=False)

    def disk(self) -> Iterator[Verdict]:
        """Room for the ledger to grow."""
        folder = self.settings.data_dir
        if not folder.is_dir():
            yield look("folder_missing", path=folder)
            folder = folder.parent
        yield from checks.disk(folder, ROOM_BYTES)

    def databases(self) -> Iterator[Verdict]:
        """SQLite's own check of each file. What the ledger holds is checked against its chain when boxes say hello."""
        files = sorted(self.settings.data_dir.glob("*.sqlite"))
        if not files:
            yield unseen("no_databases", path=self.settings.data_dir)
        for path in files:
            yield checks.sound_database(path)

    def service(self) -> Iterator[Verdict]:
        """Whether it runs, and what it says of its parts."""
        for name in UNITS:
            yield from checks.unit(name)
        health = self._health()
        if health is None:
            yield look("campus_away")
            yield checks.port_free(self.settings.http.host, self.settings.http.port, "http")
            return
        yield well("campus_runs", version=health["version"], live=health["edges_live"])
        if not health["broker"]["up"]:
            yield wrong("front_down")
        if health["ledger"]["failing"]:
            yield wrong("ledger_failing")
        if health["edges_silent"]:
            yield look("edges_silent", count=health["edges_silent"])
        for name, reader in sorted(health["readers"].items()):
            if reader["failing"]:
                yield wrong("reader_failing", reader=name)
            elif reader["lag"] > LAG_MAX:
                yield look("reader_behind", reader=name, lag=reader["lag"])
            if reader["faults"]:
                yield look("reader_faults", reader=name, count=reader["faults"])

    def broker(self) -> Iterator[Verdict]:
        """The broker's files, and the way in."""
        settings = self.settings
        if settings.broker.folder is not None and not BrokerFolder(settings.broker.folder).config_file.exists():
            yield wrong("broker_files_missing", path=settings.broker.folder)
        path = settings.broker.password_file
        try:
            password = "" if path is None else path.read_text(encoding="utf-8").strip()
        except OSError:
            yield unseen("broker_unasked")
            return
        own = f"{PROTOCOL}/{settings.campus}/doctor/down/doctor"
        foreign = f"{PROTOCOL}/{settings.campus}/doctor/up/doctor"
        yield from checks.broker(settings.broker.address(password), own, foreign, listened_to=False)

    def series(self) -> Iterator[Verdict]:
        """Whether curves can be written."""
        choice = self.settings.series
        if not isinstance(choice, InfluxSeriesChoice):
            yield well("series_embedded")
            return

        async def count() -> int:
            secret = "" if choice.secret_file is None else choice.secret_file.read_text(encoding="utf-8").strip()
            async with open_influx(choice.address(secret), campus=self.settings.campus) as store:
                return sum((await store.counts()).values())

        try:
            yield well("series_ok", url=choice.url, count=asyncio.run(count()))
        except (SeriesUnavailable, OSError) as error:
            yield wrong("series_away", url=choice.url, cause=error)

    def people(self) -> Iterator[Verdict]:
        """Whether somebody can sign in."""
        path = self.settings.data_dir / OFFICE_FILE
        if not path.exists():
            yield unseen("no_databases", path=path)
            return
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            (administrators,) = connection.execute(
                "SELECT count(*) FROM users WHERE disabled = 0 AND ',' || roles || ',' LIKE '%,admin,%'"
            ).fetchone()
        yield well("administrators", count=administrators) if administrators else look("no_administrator")

    def certificates(self) -> Iterator[Verdict]:
        """Until when they hold, and what goes in the clear."""
        settings = self.settings
        if settings.http.certificate is None and settings.http.host not in {"127.0.0.1", "::1", "localhost"}:
            yield look("http_in_clear", host=settings.http.host)
        paths = {settings.http.certificate, settings.broker.tls_ca, settings.broker.tls_certificate}
        for listener in settings.broker.listeners:
            paths |= {listener.certificate, listener.client_ca}
        known = sorted(path for path in paths if path is not None)
        if not known:
            yield unseen("no_certificates")
        for path in known:
            yield checks.certificate_file(path)

    def _health(self) -> dict[str, Any] | None:
        try:
            return running(self.settings.data_dir / RUN_FILE).get("health")
        except (ServiceUnreachable, ServiceRefused):
            return None
