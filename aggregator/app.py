"""The composition root of a campus: everything is made here, handed its neighbours, and started in one TaskGroup.

    broker -> front -> admission -> ledger -> readers, feed -> API, console

Files in data_dir: `ledger.sqlite` is the truth, `office.sqlite` holds accounts and enrolments, `documents.sqlite` what
boxes ought to have, `desk.sqlite` which requests were answered; `views.sqlite` and `series.sqlite` are what readers
made and can be deleted at any time, together. `run.json` says where a running aggregator listens.
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from aggregator.accounts import Office
from aggregator.admission import Admission
from aggregator.admission.group import STORE_FAILURES
from aggregator.alarms import AlarmDesk, AlarmReader
from aggregator.api import create_app
from aggregator.api.campus import Campus
from aggregator.broker import BrokerFolder
from aggregator.campus_keys import CampusKeyError, load_campus_key, load_signing_key
from aggregator.commands import CommandDesk, CommandView
from aggregator.console import add_console, build_id
from aggregator.documents import Archive, Courier
from aggregator.enrolment import BrokerAccess, Enrolment
from aggregator.front import Front
from aggregator.ledger import SqliteLedger
from aggregator.live import Feed, LiveHub
from aggregator.live.shapes import kind_of
from aggregator.progress import Progress
from aggregator.readers import Doors, Reader, Registry, Together
from aggregator.series import EmbeddedSeries, Projector, SeriesStore
from aggregator.series.influx import open_influx
from aggregator.series.keeping import keep
from aggregator.serve import HttpServer, listen, make_server
from aggregator.settings import AggregatorSettings, InfluxSeriesChoice
from aggregator.silence import SilenceWatch
from aggregator.storage import Database
from device_profiles.catalogue import load_catalogue
from wire.clock import utc_text
from wire.delivery import Heartbeat, Hello
from wire.files import replace_file
from wire.mqtt_link import LinkError, LinkRefused, MqttLink
from wire.notify import Notifier
from wire.records import Record
from wire.system_clock import SystemClock

log = logging.getLogger(__name__)

RUN_FILE: Final = "run.json"
LEDGER_FILE: Final = "ledger.sqlite"
OFFICE_FILE: Final = "office.sqlite"
VIEWS_FILE: Final = "views.sqlite"
DOCUMENTS_FILE: Final = "documents.sqlite"
SERIES_FILE: Final = "series.sqlite"
DESK_FILE: Final = "desk.sqlite"
ENTER_WITHIN_S: Final = 3.0
REVOKED_WITHIN_S: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """One campus, opened and not yet running."""

    settings: AggregatorSettings
    clock: SystemClock
    ledger: SqliteLedger
    office: Office
    enrolment: Enrolment
    registry: Registry
    archive: Archive
    projector: Projector
    commands: CommandView
    alarms: AlarmReader
    doors: Doors
    views_db: Database
    desk_db: Database

    @property
    def readers(self) -> Sequence[Reader]:
        """All readers, by which rebuild finds them."""
        return (self.projector, *self._of_views)

    @property
    def together(self) -> Together:
        """What follows the ledger in views.sqlite."""
        return Together(self.ledger, self.views_db, self._of_views)

    @property
    def _of_views(self) -> Sequence[Reader]:
        return (self.registry, self.commands, self.alarms, self.doors)


@asynccontextmanager
async def open_parts(settings: AggregatorSettings) -> AsyncIterator[Parts]:
    """Open the databases of a campus, also beside the running service. Raises CampusKeyError, StorageError."""
    clock = SystemClock(assume_synced=True)
    campus_key = load_campus_key(settings.campus_key_file)
    signing_key = load_signing_key(settings.signing_key_file)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o750)
    async with AsyncExitStack() as stack:
        open_database = stack.enter_async_context
        ledger_db = await open_database(await Database.open(settings.data_dir / LEDGER_FILE, "aggregator.ledger"))
        office_db = await open_database(await Database.open(settings.data_dir / OFFICE_FILE, "aggregator.accounts"))
        views_db = await open_database(
            await Database.open(
                settings.data_dir / VIEWS_FILE,
                "aggregator.readers",
                "aggregator.commands",
                "aggregator.alarms",
                durable=False,
            )
        )
        desk_db = await open_database(await Database.open(settings.data_dir / DESK_FILE, "aggregator.commands"))
        documents_db = await open_database(
            await Database.open(settings.data_dir / DOCUMENTS_FILE, "aggregator.documents")
        )
        ledger = await SqliteLedger.open(ledger_db, campus_id=settings.campus, random=os.urandom)

        async def append(records: Sequence[Record]) -> object:
            return await ledger.append_campus(records, clock.stamp())

        series = await _open_series(settings, stack)
        yield Parts(
            settings=settings,
            clock=clock,
            ledger=ledger,
            office=Office(office_db, clock=clock, random=os.urandom, append=append),
            enrolment=Enrolment(
                office_db,
                campus=settings.campus,
                campus_key=campus_key,
                public_key=signing_key.public_hex(),
                broker=_broker_access(settings),
                clock=clock,
                random=os.urandom,
                entered=lambda user, password: _entered(settings, user, password),
            ),
            registry=Registry(ledger, views_db),
            archive=Archive(documents_db, clock),
            projector=Projector(ledger, views_db, series),
            commands=CommandView(ledger, views_db),
            alarms=AlarmReader(ledger, views_db),
            doors=Doors(ledger, views_db),
            views_db=views_db,
            desk_db=desk_db,
        )


async def _entered(settings: AggregatorSettings, user: str, password: str) -> None:
    """Return when the broker lets a new user in; after ENTER_WITHIN_S, or if it cannot be asked, all the same."""
    address = replace(settings.broker.address(password), username=user)
    with contextlib.suppress(TimeoutError, LinkError):
        async with asyncio.timeout(ENTER_WITHIN_S):
            while True:
                try:
                    link = await MqttLink.connect(address, lambda _message: None, client_id=f"enrol-{user}")
                except LinkRefused:
                    await asyncio.sleep(0.05)
                    continue
                await link.close()
                return


async def _open_series(settings: AggregatorSettings, stack: AsyncExitStack) -> SeriesStore:
    choice = settings.series
    if isinstance(choice, InfluxSeriesChoice):
        address = choice.address(_password(choice.secret_file))
        return await stack.enter_async_context(open_influx(address, campus=settings.campus))
    db = await Database.open(settings.data_dir / SERIES_FILE, "aggregator.series")
    return EmbeddedSeries(await stack.enter_async_context(db))


def _broker_access(settings: AggregatorSettings) -> BrokerAccess:
    broker = settings.broker
    return BrokerAccess(
        host=broker.advertised_host or broker.host,
        port=broker.port,
        folder=BrokerFolder(broker.folder) if broker.folder is not None else None,
        terminal_prefixes=broker.terminal_prefixes,
    )


async def run_aggregator(settings: AggregatorSettings, *, stop: asyncio.Event | None = None) -> None:
    """Run one campus until SIGTERM, SIGINT or stop. Raises CampusKeyError, StorageError, OSError for a taken port."""
    stop = stop or _stop_on_signals()
    async with open_parts(settings) as parts:
        listener = listen(settings.http.host, settings.http.port)
        try:
            await _Service(parts).run(listener, stop)
        finally:
            listener.close()


class _Service:
    """The running parts of a campus."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._notifier = Notifier.from_environment()
        self._progress = Progress(self._notifier, parts.clock, read=parts.ledger.head, health=self.health)
        settings = parts.settings
        signing_key = load_signing_key(settings.signing_key_file)
        self._admission = Admission(
            parts.ledger,
            campus=settings.campus,
            clock=parts.clock,
            enrolled=parts.enrolment.enrolled,
            sign=signing_key.sign,
            documents=lambda edge: self._courier.wanted(edge),  # noqa: PLW0108  made below
            on_hello=self._on_hello,
            on_heartbeat=self._on_heartbeat,
        )
        self._front = Front(
            self._admission,
            settings.broker.address(_password(settings.broker.password_file)),
            campus=settings.campus,
            client_id=f"aggregator-{settings.campus}",
            chance=random.SystemRandom().random,
        )
        self._courier = Courier(
            parts.archive,
            campus=settings.campus,
            clock=parts.clock,
            sign=signing_key.sign,
            send=self._front.send,
        )
        self._desk = CommandDesk(
            campus=settings.campus,
            ledger=parts.ledger,
            view=parts.commands,
            db=parts.desk_db,
            clock=parts.clock,
            random=os.urandom,
            sign=signing_key.sign,
            send=self._front.send,
            devices=parts.registry.devices,
            profiles=load_catalogue(()).profiles,
        )
        self._feed = Feed(parts.ledger)
        self._hub = LiveHub(
            parts.views_db,
            parts.ledger,
            (parts.alarms, parts.doors, parts.registry),
            clock=parts.clock,
            zone=settings.zone,
            levels=settings.alarms.levels,
            can_open=self._desk.can_open,
            liveness=lambda: self._admission.liveness,
            edges=parts.enrolment.joined,
        )
        self._silence = SilenceWatch(
            clock=parts.clock,
            liveness=lambda: self._admission.liveness,
            edges=parts.registry.edges,
            append=lambda records: parts.ledger.append_campus(records, parts.clock.stamp()),
        )
        self._started_ns = parts.clock.wall_ns()
        self._campus = Campus(
            name=settings.campus,
            display_name=settings.name,
            display_name_en=settings.name_en,
            zone=settings.zone,
            build=build_id(),
            clock=parts.clock,
            ledger=parts.ledger,
            admission=self._admission,
            office=parts.office,
            enrolment=parts.enrolment,
            registry=parts.registry,
            feed=self._feed,
            alarms=parts.alarms,
            alarm_desk=AlarmDesk(
                parts.ledger, parts.alarms, parts.clock, lambda kind: kind_of(kind, settings.alarms.levels).level
            ),
            alarm_levels=settings.alarms.levels,
            hub=self._hub,
            series=parts.projector.store,
            archive=parts.archive,
            courier=self._courier,
            desk=self._desk,
            commands=parts.commands,
            health=self.health,
            started_ns=self._started_ns,
            secure_cookies=settings.http.browsers_use_tls,
        )

    async def run(self, listener: socket.socket, stop: asyncio.Event) -> None:
        """Start everything, wait for stop, end in order: streams, HTTP, then the rest."""
        http = self._parts.settings.http
        server = make_server(add_console(create_app(self._campus)), certificate=http.certificate, key=http.key)
        host, port = listener.getsockname()[:2]
        run_file = self._parts.settings.data_dir / RUN_FILE
        await self._tell_setup_code(f"{'http' if http.certificate is None else 'https'}://{host}:{port}")
        async with asyncio.TaskGroup() as group:
            serving = group.create_task(_serve(server, listener), name="http")
            others = [group.create_task(self._front.run(), name="front"), group.create_task(self._feed.run())]
            others.append(group.create_task(self._parts.projector.run(), name="series"))
            others.append(group.create_task(self._parts.together.run(), name="readers"))
            others.append(
                group.create_task(keep(self._parts.projector.store, self._parts.clock), name="series keeping")
            )
            others.append(group.create_task(self._hub.run(), name="live"))
            others.append(group.create_task(self._silence.run(), name="silence"))
            others.append(group.create_task(self._courier.run(), name="documents"))
            others.append(group.create_task(self._desk.run(), name="commands"))
            running = _run_document(host, port, http.certificate)
            replace_file(run_file, json.dumps(running), mode=0o644, durable=False)
            others.append(group.create_task(self._progress.run(), name="progress"))
            others.append(group.create_task(self._end_revoked(), name="revoked"))
            self._notifier.ready()
            log.info("campus started", extra={"campus": self._parts.settings.campus, "http": f"{host}:{port}"})
            await stop.wait()
            self._notifier.stopping()
            log.info("campus stopping", extra={"campus": self._parts.settings.campus})
            self._feed.close()
            self._hub.close()
            server.stop()
            await serving
            for task in others:
                task.cancel()
        run_file.unlink(missing_ok=True)

    def _on_hello(self, edge: str, hello: Hello, _heard_ns: int) -> None:
        self._desk.hello(edge)
        self._courier.heard(edge, hello.documents)

    def _on_heartbeat(self, edge: str, heartbeat: Heartbeat, heard_ns: int) -> None:
        self._desk.heard(edge, heartbeat, heard_ns)
        self._courier.heard(edge, heartbeat.documents)

    def health(self) -> dict[str, Any]:
        """What /health says: whether it works, and of each part how it stands. No names, no numbers of people."""
        front = self._front.health
        failing = self._admission.ledger_failing or any(reader.health.failing for reader in self._parts.readers)
        return {
            "status": "ok" if front.link_up and not failing else "degraded",
            "campus": self._parts.settings.campus,
            "version": version("campus-iot"),
            "started": utc_text(self._started_ns),
            "broker": {"up": front.link_up, "outages": front.outages, "frames": front.frames, "full": front.full},
            "ledger": {"failing": self._admission.ledger_failing},
            "admission": dict(self._admission.counters),
            "readers": {reader.name: asdict(reader.health) for reader in self._parts.readers},
            "edges_live": len(self._admission.liveness),
            "edges_silent": len(self._silence.silent),
            "watchers": self._feed.watchers + self._hub.watchers,
        }

    async def _end_revoked(self) -> None:
        """Somebody may revoke a box on the command line, beside this process."""
        while True:
            await asyncio.sleep(REVOKED_WITHIN_S)
            with contextlib.suppress(*STORE_FAILURES):
                for edge in list(self._admission.liveness):
                    if await self._parts.enrolment.enrolled(edge) is None:
                        self._admission.end_session(edge)
                        self._desk.hello(edge)

    async def _tell_setup_code(self, url: str) -> None:
        code = await self._parts.office.setup_code()
        if code is not None:
            # The one secret that a log may hold: it works once, and only while nobody is there.
            log.warning("no administrator yet", extra={"setup_code": code, "url": f"{url}/set-up"})


def _run_document(host: str, port: int, certificate: Path | None) -> dict[str, object]:
    document: dict[str, object] = {"schema": 1, "http": port, "host": host, "pid": os.getpid()}
    return document if certificate is None else document | {"certificate": str(certificate)}


async def _serve(server: HttpServer, listener: socket.socket) -> None:
    await server.serve(sockets=[listener])


def _password(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CampusKeyError(f"{path}: {error.strerror}") from None


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
