"""The way back in the simulated campus: the production desks at the office and in each box, and an operator.

Everything in between loses, doubles, reorders and delays; boxes, broker and campus are killed. What the doors really
did (tests.campus.doors) is held against what was asked and against the ends that stand in the ledger.
"""

import asyncio
import sqlite3
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any, Final

from aggregator.commands import CommandDesk, CommandView, Refused, Request
from aggregator.commands.facts import SETTLED
from aggregator.storage import component_of, load_migrations, migrate
from tests.campus.box import CAMPUS, DOOR
from tests.campus.chance import Chance
from tests.campus.doors import DoorTruth
from tests.campus.office import InlineDatabase, Office
from tests.campus.world import Storm, World
from tests.translate.profiles import facesluice_profile
from wire.records import Event, Outcome, decode_record
from wire.topics import Down

# Of the lease, and of the desk that draws it; clocks of boxes run a little fast or slow.
LATE_AFTER_S: Final = 11.0 * 1.001
PACKAGES: Final = ("aggregator.readers", "aggregator.commands")


class Views(InlineDatabase):
    """The production tables of the readers, in memory; they survive the process."""

    def __init__(self) -> None:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = sqlite3.Row
        for package in PACKAGES:
            migrate(connection, component_of(package), load_migrations(files(package) / "migrations"))
        super().__init__(connection)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        await asyncio.sleep(0)
        yield _Reading(self._connection)


class _Reading:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    @asynccontextmanager
    async def execute(self, sql: str, parameters: Any = ()) -> AsyncIterator[Any]:
        cursor = self._connection.execute(sql, parameters)
        yield _Rows(cursor)

    async def execute_fetchall(self, sql: str, parameters: Any = ()) -> list[sqlite3.Row]:
        return self._connection.execute(sql, parameters).fetchall()


class _Rows:
    def __init__(self, cursor: sqlite3.Cursor) -> None:
        self._cursor = cursor

    async def fetchall(self) -> list[sqlite3.Row]:
        return self._cursor.fetchall()

    async def fetchone(self) -> sqlite3.Row | None:
        return self._cursor.fetchone()


class CommandOffice:
    """Hangs a desk on an office, in every life of it."""

    def __init__(self, office: Office, world: World, chance: Chance) -> None:
        self._office = office
        self._world = world
        self._random = chance.of("ids").randbytes
        self.views = Views()
        self.desk: CommandDesk | None = None
        self.view: CommandView | None = None
        office.attached = self.start

    def start(self, ledger: Any) -> list[Any]:
        """A new life of the office; gives what must run in it."""
        office = self._office
        self.view = CommandView(ledger, self.views)
        edges = [box.edge for box in self._world.boxes]

        async def devices() -> list[dict[str, Any]]:
            await asyncio.sleep(0)
            return [{"device_id": f"{edge}/{DOOR}", "profile": "facesluice-mqtt"} for edge in edges]

        async def send(edge: str, leaf: Down, frame: bytes) -> None:
            await asyncio.sleep(0)
            self._world.broker.send_down(edge, leaf, frame)

        self.desk = CommandDesk(
            campus=CAMPUS,
            ledger=ledger,
            view=self.view,
            db=self.views,
            clock=office.clock,
            random=self._random,
            sign=office.key.sign,
            send=send,
            devices=devices,
            profiles={"facesluice-mqtt": facesluice_profile()},
        )
        desk = self.desk
        office.on_hello = lambda edge, _hello, _heard_ns: desk.hello(edge)
        office.on_heartbeat = desk.heard
        return [self.view.run(), desk.run()]


class Operator:
    """Asks for doors to be opened, and asks again with the same key when nobody answered."""

    def __init__(self, world: World, commands: CommandOffice, truth: DoorTruth, chance: Chance, every_s: float) -> None:
        self._world = world
        self._commands = commands
        self._truth = truth
        self._chance = chance
        self._every_s = every_s
        self.asked = 0
        self.refused = 0
        self.working = True
        self._tasks: set[asyncio.Task[None]] = set()

    async def work(self) -> None:
        while self.working:
            await asyncio.sleep(self._chance.pause_s(self._every_s))
            self.asked += 1
            task = asyncio.get_running_loop().create_task(self._ask(self.asked, self._chance.choice(self._world.boxes)))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask(self, number: int, box: Any) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2):
            # Asked again is asked now.
            asked_s = loop.time()
            desk = self._commands.desk
            if desk is None or not self._world.office.alive:
                await asyncio.sleep(1)
                continue
            request = Request(
                devices=[f"{box.edge}/{DOOR}"],
                name="AccessDoor",
                operator="ops",
                reason="a visitor",
                caller="ops",
                key=f"key-{number}",
            )
            try:
                async with asyncio.timeout(60):
                    answer = await desk.request(request)
            except Refused as refused:
                if refused.status != 503:
                    raise
                self.refused += 1
                return
            except (sqlite3.Error, TimeoutError, asyncio.CancelledError):
                # The office died, or its disk failed: nobody knows. A caller would ask again with its key.
                continue
            for item in answer["items"]:
                self._truth.issued_s[item["id"]] = asked_s
            return

    async def rest(self) -> None:
        self.working = False
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


class CommandStorm(Storm):
    """Another storm with an operator in it; at its end every command must have its one end."""

    def __init__(self, inner: Storm, *, every_s: float) -> None:
        self.inner = inner
        self.every_s = every_s
        self.truth: DoorTruth | None = None
        self.operator: Operator | None = None
        self.commands: CommandOffice | None = None
        self.ends: Counter[str] = Counter()
        self.broken: list[str] = []

    def prepare(self, world: World) -> None:
        """Before anything starts."""
        self.truth = world.doors
        chance = world.chance.of("operator")
        self.commands = CommandOffice(world.office, world, chance)
        self.operator = Operator(world, self.commands, world.doors, chance, self.every_s)

    async def blow(self, world: World) -> None:
        assert self.operator is not None
        work = asyncio.get_running_loop().create_task(self.operator.work(), name="operator")
        try:
            await self.inner.blow(world)
        finally:
            await self.operator.rest()
            work.cancel()

    async def end(self, world: World) -> None:
        await self.inner.end(world)

    async def settle(self, world: World) -> None:
        """After the calm: the last leases run out, and the last word of every command is heard."""
        assert self.commands is not None
        loop = asyncio.get_running_loop()
        until_s = loop.time() + 300
        while loop.time() < until_s:
            await asyncio.sleep(2)
            view = self.commands.view
            if view is None or not world.office.alive:
                continue
            rows = await view.page(before=2**62, limit=1_000_000)
            if rows and all(row["state"] == "settled" for row in rows):
                break

    def check(self, world: World) -> list[str]:
        broken = [*self.inner.check(world)]
        ends: dict[str, list[tuple[str, str]]] = {}
        asked: set[str] = set()
        for row in world.office.rows:
            record = decode_record(row.body or b"")
            if isinstance(record, Outcome):
                ends.setdefault(record.command_id, []).append((record.result, record.reason))
            elif isinstance(record, Event) and record.topic == SETTLED:
                ends.setdefault(str(record.values["command_id"]), []).append(
                    (str(record.values["result"]), record.reason)
                )
            elif isinstance(record, Event) and record.topic == "Command/Requested":
                asked.add(str(record.values["command_id"]))
        truth = world.doors
        for command_id in asked:
            found = ends.get(command_id, [])
            opened = truth.opened_s.get(command_id, [])
            if len(found) != 1:
                broken.append(f"command {command_id[:8]} has ends {found}")
                continue
            self.ends[found[0][0]] += 1
            if len(opened) > 1:
                broken.append(f"command {command_id[:8]} was carried out {len(opened)} times")
            if found[0][0] == "succeeded" and len(opened) != 1:
                broken.append(f"command {command_id[:8]} succeeded and was carried out {len(opened)} times")
            if found[0][0] in {"unreachable", "rejected", "expired"} and opened:
                broken.append(f"command {command_id[:8]} ended as {found[0]} and the door opened")
        for command_id, moments in truth.opened_s.items():
            late_s = moments[0] - truth.issued_s.get(command_id, moments[0])
            if late_s > LATE_AFTER_S:
                broken.append(f"command {command_id[:8]} was carried out {late_s:.1f} s after it was asked for")
            if command_id not in asked:
                broken.append(f"command {command_id[:8]} was carried out and never asked for")
        return broken

    def facts(self) -> dict[str, int]:
        assert self.operator is not None
        assert self.truth is not None
        return {
            **self.inner.facts(),
            "asked": self.operator.asked,
            "refused": self.operator.refused,
            "opened": len(self.truth.opened_s),
            **{f"end_{result}": count for result, count in self.ends.items()},
        }
