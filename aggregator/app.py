"""The composition root of a campus: everything is made here, handed its neighbours, and started in one TaskGroup.

broker -> front -> admission -> ledger -> readers, feed -> API, console
"""

import asyncio
import contextlib
import json
import logging
import os
import random
import signal
import socket
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from aggregator.admission import Admission
from aggregator.admission.group import STORE_FAILURES
from aggregator.alarms import AlarmDesk
from aggregator.api import create_app
from aggregator.api.campus import Campus
from aggregator.campus_keys import load_signing_key
from aggregator.commands import CommandDesk
from aggregator.console import add_console, build_id
from aggregator.documents import Courier
from aggregator.front import Front
from aggregator.live import Feed, LiveHub
from aggregator.live.shapes import kind_of
from aggregator.parts import RUN_FILE, Parts, open_parts, secret_of
from aggregator.progress import Progress
from aggregator.series.keeping import keep
from aggregator.serve import HttpServer, listen, make_server
from aggregator.settings import AggregatorSettings
from aggregator.silence import SilenceWatch
from device_profiles.catalogue import load_catalogue
from wire.clock import utc_text
from wire.delivery import Heartbeat, Hello
from wire.files import replace_file
from wire.notify import Notifier

log = logging.getLogger(__name__)

REVOKED_WITHIN_S: Final = 2.0


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
            settings.broker.address(secret_of(settings.broker.password_file)),
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


def _stop_on_signals() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop
