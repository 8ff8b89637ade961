"""A campus made of its real parts in a folder of the test, without a broker and without a socket."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from argon2 import PasswordHasher
from fastapi import FastAPI

from aggregator.accounts import EVERYWHERE, Office, Role, Scope
from aggregator.admission import Admission
from aggregator.admission.group import GroupLimits
from aggregator.api import create_app
from aggregator.api.campus import Campus
from aggregator.commands import CommandDesk, CommandView
from aggregator.console import add_console
from aggregator.documents import Archive, Courier
from aggregator.enrolment import BrokerAccess, Enrolment
from aggregator.ledger import Ledger, SqliteLedger
from aggregator.live import Feed
from aggregator.readers import Reader, Registry
from aggregator.series import EmbeddedSeries
from aggregator.storage import Database
from device_profiles.catalogue import load_catalogue
from tests.admission.box import CAMPUS, Box
from tests.support.clock import VirtualClock, seeded
from tests.support.health import health_of
from tests.support.live import VIEWS, live_parts
from wire.clock import Clock
from wire.records import Credential, CredentialKind, Event, Record
from wire.topics import LANES, Down

PROFILES = load_catalogue().profiles
PASSWORD = "correct horse battery"
ORIGIN = "http://campus.test"
HOLDER = "ab" * 16
CARD = "cd" * 16
TAIL = "9876"


class CheapHasher(PasswordHasher):
    """Argon2id that costs a test nothing."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)


@dataclass
class Rig:
    """One campus and one box that joined it."""

    campus: Campus
    app: FastAPI
    clock: VirtualClock
    box: Box
    folder: Path
    sent: list[tuple[str, Down, bytes]]
    readers: Sequence[Reader]
    levels: dict[str, int]
    broken: bool = False
    _reading: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def office(self) -> Office:
        return self.campus.office

    @property
    def ledger(self) -> Ledger:
        return self.campus.ledger

    def health(self) -> dict[str, Any]:
        if self.broken:
            raise RuntimeError("SELECT secret FROM /var/lib/campus")
        admission = self.campus.admission
        return health_of(CAMPUS, admission.counters, len(admission.liveness))

    def client(self, token: str = "", **headers: str) -> httpx.AsyncClient:
        """A program, or a browser that keeps its cookies."""
        if token:
            headers["Authorization"] = f"Bearer {token}"
        transport = httpx.ASGITransport(self.app)
        return httpx.AsyncClient(transport=transport, base_url=ORIGIN, headers=headers)

    async def token(self, *roles: Role, scope: Scope = EVERYWHERE) -> str:
        return await self.office.create_token("desk", roles, scope, valid_days=1)

    async def ask(self, *roles: Role) -> httpx.AsyncClient:
        """A client with a token for roles."""
        return self.client(await self.token(*roles))

    @asynccontextmanager
    async def signed_in(self, name: str = "chen", *roles: Role) -> AsyncIterator[httpx.AsyncClient]:
        """A browser with a session."""
        await self.office.add_user(name, PASSWORD, roles or (Role.ADMIN,), EVERYWHERE)
        async with self.client() as client:
            answer = await client.post("/api/v1/session", json={"name": name, "password": PASSWORD})
            assert answer.status_code == 204
            yield client

    async def hello(self) -> None:
        """The box connects."""
        [(_leaf, _welcome)] = await self.campus.admission.receive(*self.box.hello())

    async def deliver(self, *records: Record) -> None:
        """From the box through admission into the ledger and the readers."""
        before = {lane: self.box.end(lane)[0] for lane in LANES}
        self.box.put(*records)
        if self.box.edge not in self.campus.admission.liveness:
            await self.hello()
        for lane in LANES:
            if self.box.end(lane)[0] > before[lane]:
                assert await self.campus.admission.receive(*self.box.batch(lane, before[lane]))
        await self.read()

    def start_readers(self) -> None:
        self._reading = [asyncio.create_task(reader.run()) for reader in self.readers]

    async def stop_readers(self) -> None:
        for task in self._reading:
            task.cancel()
        await asyncio.gather(*self._reading, return_exceptions=True)

    async def read(self) -> None:
        """Until the readers have all that is in the ledger."""
        head = await self.ledger.head()
        for reader in self.readers:
            assert await reader.reached(head, 20)

    def passage(self, **fields: Any) -> Event:
        """Somebody at a reader, with everything that says who it was."""
        people = {"holder_ref": HOLDER, "credential": Credential(kind=CredentialKind.CARD, ref=CARD, tail=TAIL)}
        return self.box.event(**people | fields)


@asynccontextmanager
async def assembled(
    folder: Path, *, ledger: Ledger | None = None, clock: Clock | None = None, build: str = "1.0"
) -> AsyncIterator[Rig]:
    """ledger: instead of one on disk. clock: of campus and box, instead of one that the test moves."""
    random = seeded(11)
    box = Box(clock=clock or VirtualClock(boot_id="b1" * 16))
    clock = clock or VirtualClock()
    async with AsyncExitStack() as stack:

        async def database(name: str, package: str) -> Database:
            return await stack.enter_async_context(await Database.open(folder / f"{name}.sqlite", package))

        if ledger is None:
            ledger = await SqliteLedger.open(
                await database("ledger", "aggregator.ledger"), campus_id=CAMPUS, random=random
            )
        held = ledger

        async def append(records: Sequence[Record]) -> object:
            return await held.append_campus(records, clock.stamp())

        office_db = await database("office", "aggregator.accounts")
        enrolment = Enrolment(
            office_db,
            campus=CAMPUS,
            campus_key=b"k" * 32,
            public_key="ee" * 32,
            broker=BrokerAccess(host="broker.test", port=1883),
            clock=clock,
            random=random,
        )
        archive = Archive(await database("documents", "aggregator.documents"), clock)
        sent: list[tuple[str, Down, bytes]] = []

        async def send(edge: str, leaf: Down, frame: bytes) -> None:
            sent.append((edge, leaf, frame))

        views_db = await stack.enter_async_context(await Database.open(folder / "views.sqlite", *VIEWS))
        registry, view = Registry(ledger, views_db), CommandView(ledger, views_db)
        desk = CommandDesk(
            campus=CAMPUS,
            ledger=ledger,
            view=view,
            db=await database("desk", "aggregator.commands"),
            clock=clock,
            random=random,
            sign=lambda message: message[-32:],
            send=send,
            devices=registry.devices,
            profiles=PROFILES,
        )
        admission = Admission(
            ledger, campus=CAMPUS, clock=clock, enrolled=enrolment.enrolled, limits=GroupLimits(linger_s=0.001)
        )
        live = live_parts(views_db, ledger, clock, registry, admission=admission, enrolment=enrolment, commands=desk)
        rig: Rig
        campus = Campus(
            name=CAMPUS,
            display_name="示范学校",
            display_name_en="Demo school",
            zone="Asia/Shanghai",
            build=build,
            clock=clock,
            ledger=ledger,
            admission=admission,
            office=Office(office_db, clock=clock, random=random, append=append, hasher=CheapHasher()),
            enrolment=enrolment,
            registry=registry,
            feed=Feed(ledger),
            alarms=live.alarms,
            alarm_desk=live.desk,
            alarm_levels=live.levels,
            hub=live.hub,
            series=EmbeddedSeries(await database("series", "aggregator.series")),
            archive=archive,
            desk=desk,
            commands=view,
            courier=Courier(archive, campus=CAMPUS, clock=clock, sign=lambda message: message[:64], send=send),
            health=lambda: rig.health(),  # noqa: PLW0108  there is no rig yet
        )
        readers = (registry, live.alarms, live.doors)
        rig = Rig(campus, add_console(create_app(campus)), clock, box, folder, sent, readers, live.levels)
        token = await enrolment.issue(box.edge)
        await enrolment.redeem(box.edge, token, box.enrolled().public_key.hex(), "1.0")
        rig.start_readers()
        try:
            yield rig
        finally:
            await rig.stop_readers()


def keys_of(document: Any) -> set[str]:
    """All keys of a JSON document, however deep."""
    if isinstance(document, dict):
        return set(document).union(*(keys_of(value) for value in document.values()))
    if isinstance(document, list):
        return set(itertools.chain.from_iterable(keys_of(value) for value in document))
    return set()
