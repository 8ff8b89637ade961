"""The campus: production admission before a ledger whose disk takes time, fails, and can be restored from a backup."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum, auto
from importlib.resources import files
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aggregator.admission import Admission, EnrolledEdge, GroupLimits
from aggregator.ledger import AdmissionGroup, AdmissionResult, Ledger, LedgerRow, Mark, MemoryLedger, Run, SqliteLedger
from aggregator.storage import Database, component_of, load_migrations, migrate, transaction
from tests.campus.box import CAMPUS
from tests.campus.chance import Chance
from tests.campus.clocks import MachineClock
from tests.campus.network import Broker
from tests.campus.truth import Backup, Truth, Violation, serial_of
from wire.clock import Stamp
from wire.records import Event, decode_record
from wire.topics import CAMPUS_NODE, Up, UpTopic

T = TypeVar("T")
PACKAGE: Final = "aggregator.ledger"


class Store(Protocol):
    """Where the ledger lives: survives the process, can be copied."""

    async def open(self) -> Ledger:
        """A process that starts opens it."""

    def image(self) -> object:
        """A copy."""

    def put_back(self, image: Any) -> None:
        """A copy becomes the truth."""


class MemoryStore:
    """The twin."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._ledger = MemoryLedger(campus_id=CAMPUS, random=random)

    async def open(self) -> Ledger:
        return self._ledger

    def image(self) -> MemoryLedger:
        return self._ledger.snapshot()

    def put_back(self, image: MemoryLedger) -> None:
        self._ledger = image.snapshot()


class SqliteStore:
    """The production ledger on a database in memory."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._connection = self._connect()
        migrate(self._connection, component_of(PACKAGE), load_migrations(files(PACKAGE) / "migrations"))

    @staticmethod
    def _connect() -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:", isolation_level=None)
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = 1")
        return connection

    async def open(self) -> Ledger:
        return await SqliteLedger.open(InlineDatabase(self._connection), campus_id=CAMPUS, random=self._random)

    def image(self) -> bytes:
        return self._connection.serialize()

    def put_back(self, image: bytes) -> None:
        self._connection = self._connect()
        self._connection.deserialize(image)


class InlineDatabase(Database):
    """The production database without its thread, and with reads on the connection that writes."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.path = Path(":memory:")
        self._connection = connection

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        await asyncio.sleep(0)
        with transaction(self._connection):
            return function(self._connection)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[Any]:
        yield _AwaitedConnection(self._connection)


class _AwaitedConnection:
    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    async def execute_fetchall(self, sql: str, parameters: Any = ()) -> list[sqlite3.Row]:
        return self._connection.execute(sql, parameters).fetchall()


class CommitFault(Enum):
    """What happens to the next commit."""

    FAIL_BEFORE = auto()
    FAIL_AFTER = auto()
    KILL_AFTER = auto()


class _Watched:
    """The ledger as a process sees it: one write at a time, each takes its time, some fail. The observer reads along.

    Everything that does not write goes straight to the ledger.
    """

    def __init__(self, office: "Office", ledger: Ledger, chance: Chance) -> None:
        self._office = office
        self._ledger = ledger
        self._chance = chance
        self._turn = asyncio.Lock()
        self.dead = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    async def commit(self, group: AdmissionGroup) -> AdmissionResult:
        async def write() -> AdmissionResult:
            result = await self._ledger.commit(group)
            for run, (_, mark) in zip(group.runs, result.runs, strict=True):
                self._office.moved(run, mark)
            return result

        return await self._write(write)

    async def open_epoch(self, request: Any, received: Stamp) -> Any:
        return await self._write(lambda: self._ledger.open_epoch(request, received))

    async def append_campus(self, records: Sequence[Any], received: Stamp) -> list[int]:
        return await self._write(lambda: self._ledger.append_campus(records, received))

    async def _write(self, write: Callable[[], Any]) -> Any:
        async with self._turn:
            await asyncio.sleep(self._office.commit_s(self._chance))
            if self.dead:
                raise asyncio.CancelledError
            fault, self._office.fault = self._office.fault, None
            if fault is CommitFault.FAIL_BEFORE:
                raise sqlite3.OperationalError("disk I/O error")
            result = await write()
            await self._office.look(self._ledger)
            if fault is CommitFault.KILL_AFTER:
                self._office.kill()
            if fault is CommitFault.FAIL_AFTER:
                raise sqlite3.OperationalError("disk I/O error")
            await asyncio.sleep(self._office.commit_s(self._chance) / 2)
            return result


@dataclass(frozen=True)
class CampusImage:
    """A backup."""

    store: object
    known: Backup


class Office:
    """One campus. slow_s: how long a commit may take at most."""

    def __init__(
        self,
        store: Store,
        *,
        broker: Broker,
        truth: Truth,
        chance: Chance,
        enrolled: dict[str, EnrolledEdge],
        limits: GroupLimits,
        fail: Callable[[Violation], None],
    ) -> None:
        self.store = store
        self.key = Ed25519PrivateKey.from_private_bytes(chance.of("key").randbytes(32))
        self.public = self.key.public_key().public_bytes_raw().hex()
        self.clock = MachineClock(boot_id=chance.randbytes(16).hex())
        self.alive = False
        self.fault: CommitFault | None = None
        self.slow_s = 0.01
        self.starts = 0
        self.rows: list[LedgerRow] = []
        self.admission: Admission | None = None
        self._broker = broker
        self._truth = truth
        self._chance = chance
        self._enrolled = enrolled
        self._limits = limits
        self._fail = fail
        self._ledger: _Watched | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        # Whatever else works at the campus: made anew in every life of it.
        self.attached: Callable[[Any], list[Any]] = lambda _ledger: []
        self.on_hello: Callable[[str, Any, int], None] = lambda _edge, _hello, _heard_ns: None
        self.on_heartbeat: Callable[[str, Any, int], None] = lambda _edge, _heartbeat, _heard_ns: None

    def commit_s(self, chance: Chance) -> float:
        return chance.uniform(0.001, self.slow_s)

    # --- life and death

    async def start(self) -> None:
        if self.alive:
            return
        self.starts += 1
        self.alive = True
        ledger = await self.store.open()
        self._ledger = _Watched(self, ledger, self._chance.of(f"disk {self.starts}"))
        self.admission = Admission(
            self._ledger,
            campus=CAMPUS,
            clock=self.clock,
            enrolled=self._look_up,
            sign=self.key.sign,
            limits=self._limits,
            on_hello=lambda *said: self.on_hello(*said),  # noqa: PLW0108  attached below
            on_heartbeat=lambda *said: self.on_heartbeat(*said),  # noqa: PLW0108  attached below
        )
        for work in self.attached(self._ledger):
            task = asyncio.get_running_loop().create_task(work)
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._broker.campus = self._arrived
        self._truth.trace.say("campus", "started", await ledger.head())

    async def _look_up(self, edge: str) -> EnrolledEdge | None:
        await asyncio.sleep(0)
        return self._enrolled.get(edge)

    def kill(self) -> None:
        """SIGKILL. What was committed is committed, whoever was told."""
        if not self.alive:
            return
        self._truth.trace.say("campus", "killed")
        self.alive = False
        self._broker.campus = None
        if self._ledger is not None:
            self._ledger.dead = True
        for task in self._tasks:
            task.cancel()

    def backup(self) -> CampusImage:
        self._truth.trace.say("campus", "backup", self._truth.seen_head)
        return CampusImage(self.store.image(), self._truth.backup())

    def restore(self, image: CampusImage) -> None:
        """The process is dead; the ledger becomes what it was."""
        assert not self.alive
        self._truth.trace.say("campus", "restored", image.known.head)
        self.store.put_back(image.store)
        self._truth.restored(image.known)
        del self.rows[image.known.head :]

    # --- frames

    def _arrived(self, edge: str, leaf: Up, frame: bytes) -> None:
        task = asyncio.get_running_loop().create_task(self._receive(edge, leaf, frame), name=f"{leaf} of {edge}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _receive(self, edge: str, leaf: Up, frame: bytes) -> None:
        admission, start = self.admission, self.starts
        assert admission is not None
        try:
            replies = await admission.receive(UpTopic(CAMPUS, edge, leaf), frame)
        except Exception as error:  # noqa: BLE001  whatever it is, it is a finding
            violation = Violation(f"admission raised {error!r} on a frame of {edge}")
            violation.__cause__ = error
            self._fail(violation)
            return
        if self.alive and start == self.starts:
            for down, reply in replies:
                self._broker.send_down(edge, down, reply)

    # --- the observer

    async def look(self, ledger: Ledger) -> None:
        """After a commit: the new rows, and whether the desk has kept to its limit."""
        if self.admission is not None and self.admission._group._pending_records > self._limits.pending_records:
            self._fail(Violation(f"{self.admission._group._pending_records} records wait at the campus"))
        try:
            for row in await ledger.read(self._truth.seen_head, 100_000):
                self._see(row)
        except Violation as violation:
            self._fail(violation)

    def _see(self, row: LedgerRow) -> None:
        truth = self._truth
        if row.position != truth.seen_head + 1:
            raise Violation(f"position {row.position} follows {truth.seen_head}")
        truth.seen_head = row.position
        self.rows.append(row)
        assert row.body is not None
        record = decode_record(row.body)
        serial = serial_of(record)
        if serial is not None:
            truth.committed(serial, row.position)
        if row.edge == CAMPUS_NODE and isinstance(record, Event):
            self._hear_itself(record)

    def _hear_itself(self, record: Event) -> None:
        truth = self._truth
        if record.topic == "Delivery/EpochForked":
            truth.forked.append((str(record.values["edge"]), str(record.values["epoch"])))
        elif record.topic == "Delivery/Incident" and record.reason == "takeover":
            truth.takeovers += 1
        truth.trace.say("campus", record.topic, record.reason, *record.values.values())

    def moved(self, run: Run, mark: Mark) -> None:
        """A lane stands here now. Never beyond what its box has numbered."""
        key = (run.edge, run.epoch, run.lane)
        truth = self._truth
        truth.committed_through[key] = max(truth.committed_through.get(key, 0), mark.through)
        if mark.through > truth.assigned.get(key, 0):
            self._fail(Violation(f"{key} is marked {mark.through}, numbered are {truth.assigned.get(key, 0)}"))
