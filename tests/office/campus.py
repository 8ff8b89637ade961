"""A campus assembled from its parts without broker or network: real databases, a moved clock, the real application."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI

from aggregator.accounts import EVERYWHERE, Office, Role
from aggregator.admission import Admission
from aggregator.api import create_app
from aggregator.api.campus import Campus
from aggregator.broker import BrokerFolder, BrokerSettings
from aggregator.commands import CommandDesk, CommandView
from aggregator.documents import Archive, Courier
from aggregator.enrolment import BrokerAccess, Enrolment
from aggregator.ledger import MemoryLedger
from aggregator.live import Feed
from aggregator.readers import Registry
from aggregator.series import EmbeddedSeries
from aggregator.storage import Database
from tests.support.clock import VirtualClock, seeded
from tests.support.health import health_of
from tests.support.live import VIEWS, live_parts
from wire.records import Record
from wire.topics import Down

CAMPUS = "school-7"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Desk:
    """The parts a test may touch."""

    app: FastAPI
    campus: Campus
    clock: VirtualClock
    ledger: MemoryLedger
    folder: Path
    views: Database

    def client(self, token: str = "", **options: object) -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://campus", headers=headers)

    async def token(self, *roles: Role) -> str:
        return await self.campus.office.create_token("test", roles, EVERYWHERE, valid_days=1)


@asynccontextmanager
async def open_desk(folder: Path) -> AsyncIterator[Desk]:
    clock = VirtualClock()
    ledger = MemoryLedger(campus_id=CAMPUS, random=seeded(1))

    async def append(records: Sequence[Record]) -> object:
        return await ledger.append_campus(records, clock.stamp())

    broker = BrokerFolder(folder / "broker")
    broker.install(BrokerSettings(campus=CAMPUS))
    async with (
        await Database.open(folder / "office.sqlite", "aggregator.accounts") as office_db,
        await Database.open(folder / "views.sqlite", *VIEWS) as views_db,
        await Database.open(folder / "documents.sqlite", "aggregator.documents") as documents_db,
        await Database.open(folder / "series.sqlite", "aggregator.series") as series_db,
    ):
        archive = Archive(documents_db, clock)

        async def send(_edge: str, _leaf: Down, _frame: bytes) -> None:
            """Nobody is there."""

        view = CommandView(ledger, views_db)
        registry = Registry(ledger, views_db)
        desk = CommandDesk(
            campus=CAMPUS,
            ledger=ledger,
            view=view,
            db=views_db,
            clock=clock,
            random=seeded(4),
            sign=lambda message: message[-32:],
            send=send,
            devices=registry.devices,
            profiles={},
        )

        enrolment = Enrolment(
            office_db,
            campus=CAMPUS,
            campus_key=b"k" * 32,
            public_key="ab" * 32,
            broker=BrokerAccess(host="127.0.0.1", port=1883, folder=broker, terminal_prefixes=("mqtt/face",)),
            clock=clock,
            random=seeded(2),
        )
        admission = Admission(ledger, campus=CAMPUS, clock=clock, enrolled=enrolment.enrolled)
        live = live_parts(views_db, ledger, clock, registry, admission=admission, enrolment=enrolment, commands=desk)
        campus = Campus(
            name=CAMPUS,
            display_name="七中",
            display_name_en="No. 7",
            zone="Asia/Shanghai",
            build="1.0",
            clock=clock,
            ledger=ledger,
            admission=admission,
            office=Office(office_db, clock=clock, random=seeded(3), append=append, hasher=CHEAP),
            enrolment=enrolment,
            registry=registry,
            feed=Feed(ledger),
            alarms=live.alarms,
            alarm_desk=live.desk,
            alarm_levels=live.levels,
            hub=live.hub,
            series=EmbeddedSeries(series_db),
            desk=desk,
            commands=view,
            archive=archive,
            courier=Courier(archive, campus=CAMPUS, clock=clock, sign=lambda message: message[:64], send=send),
            health=lambda: health_of(CAMPUS, admission.counters, 0),
        )
        yield Desk(create_app(campus), campus, clock, ledger, folder, views_db)
