"""The parts of a campus, opened and not yet running: for the service, and for commands beside it.

Files in data_dir: `ledger.sqlite` is the truth, `office.sqlite` holds accounts and enrolments, `documents.sqlite` what
boxes ought to have, `desk.sqlite` which requests were answered; `views.sqlite` and `series.sqlite` are what readers
made and can be deleted at any time, together. `run.json` says where a running aggregator listens.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from aggregator.accounts import Office
from aggregator.alarms import AlarmReader
from aggregator.broker import BrokerFolder
from aggregator.campus_keys import CampusKeyError, load_campus_key, load_signing_key
from aggregator.commands import CommandView
from aggregator.documents import Archive
from aggregator.enrolment import BrokerAccess, Enrolment
from aggregator.ledger import SqliteLedger
from aggregator.readers import Doors, Reader, Registry, Together
from aggregator.series import EmbeddedSeries, Projector, SeriesStore
from aggregator.series.influx import open_influx
from aggregator.settings import AggregatorSettings, InfluxSeriesChoice
from aggregator.storage import Database
from wire.mqtt_link import LinkError, LinkRefused, MqttLink
from wire.records import Record
from wire.system_clock import SystemClock

RUN_FILE: Final = "run.json"
LEDGER_FILE: Final = "ledger.sqlite"
OFFICE_FILE: Final = "office.sqlite"
VIEWS_FILE: Final = "views.sqlite"
DOCUMENTS_FILE: Final = "documents.sqlite"
SERIES_FILE: Final = "series.sqlite"
DESK_FILE: Final = "desk.sqlite"
ENTER_WITHIN_S: Final = 3.0


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
        address = choice.address(secret_of(choice.secret_file))
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


def secret_of(path: Path | None) -> str:
    """What a secret file holds; empty without one. Raises CampusKeyError."""
    if path is None:
        return ""
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise CampusKeyError(f"{path}: {error.strerror}") from None
