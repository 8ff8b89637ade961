"""One SQLite file: settings that keep a promise, one writer, many readers, numbered migrations, named statements.

Promise. What `Database.write` returned from survives a power cut. Therefore WAL with `synchronous=FULL` (NORMAL lost
committed rows in 26 of 30 simulated cuts), and the settings are read back at open: SQLite ignores a pragma it does
not understand without a word, and a file system without shared memory silently refuses WAL. A file that can be made
again from another one (`durable=False`) gives the promise up for two thirds of the cost: after a power cut it may stand
where it stood a moment before, whole.

Writing. All writes of one file go through one thread, one hop per transaction: `await db.write(function)` runs
`function(connection)` between BEGIN IMMEDIATE and COMMIT, and rolls back when it raises. The executor is an argument,
so that a simulation can run the same code without a thread.

Reading. `async with db.read() as connection` lends a read-only connection for one use. To open one costs ten times what
a small query does, so a few are kept. One that somebody leaves with an exception is closed, and all are when the file
is: an aiosqlite connection that stays open keeps the process from ending. Close every cursor, or fetch all of it: one
that is not at its end holds on to what was committed when it began.

Migrations. Each room that owns tables has a folder `migrations` in its package with `0001_name.sql`, `0002_….sql`
and so on. At open the missing ones are applied, each in its own transaction together with its row in
`schema_migrations`. A file written by a newer version is refused, never guessed at.

SQL. Statements stand in `.sql` files under a name and a sentence, and keep to what SQLite and PostgreSQL share:
named parameters, ON CONFLICT, no rowid, no autoincrement.
"""

import asyncio
import logging
import re
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final, NamedTuple, Self, TypeVar

import aiosqlite

from wire.i18n import Texts

T = TypeVar("T")

# Its DEBUG lines hold the parameters of every statement: names, pseudonyms, hashes.
logging.getLogger("aiosqlite").setLevel(logging.INFO)

BUSY_TIMEOUT_MS: Final = 5_000
READERS_MAX: Final = 8
READERS_KEPT: Final = 4
# Random ids touch their index all over; with SQLite's 2 MB every insert into a large file would read from disk.
CACHE_KIB: Final = 16_000

_REQUIRED: Final[dict[str, str | int]] = {"journal_mode": "wal", "foreign_keys": 1}
_FULL, _NORMAL = 2, 1
_MIGRATION_FILE: Final = re.compile(r"(\d{4})_[a-z0-9_]+\.sql\Z")
_PARAMETER: Final = re.compile(r":([a-z][a-z0-9_]*)")
_STATEMENT_NAME: Final = re.compile(r"--\s*name:\s*([a-z][a-z0-9_]*)\s*\Z")


class StorageError(Exception):
    """A database file cannot be used as it must be. The text names the file and what to do, in English for logs."""

    def __init__(self, code: str, **params: object) -> None:
        """code: which text below `storage.`."""
        super().__init__(Texts("en")(f"storage.{code}", **params))
        self.code = code
        self.params = params

    def told(self, texts: Texts) -> str:
        """The text in the language of whoever reads it."""
        return texts(f"storage.{self.code}", **self.params)


class SchemaTooNew(StorageError):
    """The file was written by a newer version of this program; this one must not touch it."""


# --- named statements ---------------------------------------------------------------------------------


class Statements(Mapping[str, str]):
    """SQL by name, from one `.sql` file. Each statement opens with `-- name: insert_row` and a sentence."""

    __slots__ = ("_by_name",)

    def __init__(self, text: str) -> None:
        """Raises ValueError when a name is doubled, a sentence is missing or SQL stands outside any name."""
        self._by_name = dict(_parse_statements(text))

    @classmethod
    def load(cls, package: str, name: str = "statements.sql") -> Self:
        """The statements of a file that lies in a package."""
        return cls((files(package) / name).read_text(encoding="utf-8"))

    def in_order(self, name: str) -> tuple[str, tuple[str, ...]]:
        """A statement with `?` for its parameters, and their names in that order.

        For what is run for every record: binding many parameters by name costs as much as a small insert.
        """
        sql = self._by_name[name]
        names = tuple(match[1] for match in _PARAMETER.finditer(sql))
        return _PARAMETER.sub("?", sql), names

    def __getitem__(self, name: str) -> str:
        return self._by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._by_name)

    def __len__(self) -> int:
        return len(self._by_name)


def _parse_statements(text: str) -> Iterator[tuple[str, str]]:
    seen: set[str] = set()
    name, sentence, body = "", False, list[str]()
    for line in [*text.splitlines(), "-- name: end_of_file"]:
        if match := _STATEMENT_NAME.match(line.strip()):
            sql = "\n".join(body).strip()
            if name and not sentence:
                raise ValueError(f"statement {name!r} has no sentence that says what it is for")
            if name and not sql:
                raise ValueError(f"statement {name!r} is empty")
            if name:
                yield name, sql
            name, sentence, body = match[1], False, []
            if name in seen:
                raise ValueError(f"statement {name!r} stands twice")
            seen.add(name)
        elif line.strip().startswith("--"):
            sentence = True
        elif line.strip():
            if not name:
                raise ValueError(f"SQL before the first `-- name:` line: {line.strip()!r:.60}")
            body.append(line)


# --- migrations ---------------------------------------------------------------------------------------


class Migration(NamedTuple):
    """One numbered step of one component's schema."""

    number: int
    name: str
    sql: str


def load_migrations(folder: Traversable) -> list[Migration]:
    """The steps in a folder, in order. Raises ValueError unless they are numbered 1, 2, 3 … without a gap."""
    steps = []
    for entry in folder.iterdir():
        if not entry.name.endswith(".sql"):
            continue
        match = _MIGRATION_FILE.match(entry.name)
        if match is None:
            raise ValueError(f"{entry.name}: a migration is named like 0001_what_it_does.sql")
        steps.append(Migration(int(match[1]), entry.name, entry.read_text(encoding="utf-8")))
    steps.sort()
    if [step.number for step in steps] != list(range(1, len(steps) + 1)):
        raise ValueError(f"migrations must be numbered 1, 2, 3 … without a gap: {[step.name for step in steps]}")
    return steps


def migrate(connection: sqlite3.Connection, component: str, steps: Iterable[Migration]) -> int:
    """Bring one component's tables to the last of steps; returns how many steps were applied.

    Raises SchemaTooNew when the file already holds a later step than any of these.
    """
    with transaction(connection):
        connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations"
            " (component TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, PRIMARY KEY (component, number))"
        )
    steps = list(steps)
    row = connection.execute(
        "SELECT coalesce(max(number), 0) FROM schema_migrations WHERE component = :component", {"component": component}
    ).fetchone()
    present = int(row[0])
    if present > len(steps):
        raise SchemaTooNew("too_new", component=component, present=present, known=len(steps))
    for step in steps[present:]:
        with transaction(connection):
            # executescript would commit the open transaction first, so the step is cut at its semicolons.
            for statement in _split(step.sql):
                connection.execute(statement)
            connection.execute(
                "INSERT INTO schema_migrations (component, number, name) VALUES (:component, :number, :name)",
                {"component": component, "number": step.number, "name": step.name},
            )
    return len(steps) - present


def _split(script: str) -> Iterator[str]:
    pending = ""
    for line in script.splitlines(keepends=True):
        if not pending.strip() and line.lstrip().startswith("--"):
            continue
        pending += line
        if sqlite3.complete_statement(pending):
            yield pending.strip()
            pending = ""
    if pending.strip():
        raise ValueError(f"unfinished statement: {pending.strip()!r:.60}")


# --- transactions -------------------------------------------------------------------------------------


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """BEGIN IMMEDIATE … COMMIT; on any exception ROLLBACK and the exception goes on."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A commit that failed on a full disk may already have rolled back.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def component_of(package: str) -> str:
    """The name under which a package's migrations are counted: its last part."""
    return package.rpartition(".")[2]


# --- the file -----------------------------------------------------------------------------------------


class Database:
    """One SQLite file. Open it with `open`, end it with `close` or use it in `async with`."""

    def __init__(self, path: Path, connection: sqlite3.Connection, executor: Executor, *, owns_executor: bool) -> None:
        """Not for callers; see `open`."""
        self.path = path
        self._connection = connection
        self._executor = executor
        self._owns_executor = owns_executor
        self._readers = asyncio.Semaphore(READERS_MAX)
        self._idle: list[aiosqlite.Connection] = []
        self._closed = False

    @classmethod
    async def open(cls, path: Path, *packages: str, executor: Executor | None = None, durable: bool = True) -> Self:
        """Open or make the file and bring it to the newest schema of each package.

        packages: dotted names, each with a folder `migrations`, in the order in which they build on one another.
        executor: runs every write, one at a time; absent: a thread of its own. durable: whether it keeps the promise.
        Raises StorageError when the file cannot be opened, is damaged or cannot give the promise above, SchemaTooNew
        when it is from the future.
        """
        owns_executor = executor is None
        if executor is None:
            executor = ThreadPoolExecutor(1, thread_name_prefix=f"write-{path.stem}")
        try:
            connection = await asyncio.wrap_future(executor.submit(_open, path, packages, durable))
        except BaseException:
            if owns_executor:
                executor.shutdown(wait=False)
            raise
        return cls(path, connection, executor, owns_executor=owns_executor)

    async def write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """Run function in one transaction on the writing thread and return its result once that is on disk.

        An exception rolls back and is raised here. A caller cancelled while function runs does not stop it: the
        transaction ends as it ends, and the caller no longer hears how.
        """
        if self._closed:
            raise StorageError("closed", path=self.path)
        return await asyncio.wrap_future(self._executor.submit(self._transact, function))

    def _transact(self, function: Callable[[sqlite3.Connection], T]) -> T:
        with transaction(self._connection):
            return function(self._connection)

    @asynccontextmanager
    async def read(self) -> AsyncIterator[aiosqlite.Connection]:
        """Lend a read-only connection that sees what was committed when its first query starts.

        At most READERS_MAX at a time; the next caller waits.
        """
        if self._closed:
            raise StorageError("closed", path=self.path)
        async with self._readers:
            connection = self._idle.pop() if self._idle else await self._connect()
            keep = False
            try:
                yield connection
                keep = not (connection.in_transaction or self._closed) and len(self._idle) < READERS_KEPT
            finally:
                if keep:
                    self._idle.append(connection)
                else:
                    await asyncio.shield(connection.close())

    async def _connect(self) -> aiosqlite.Connection:
        connection = await aiosqlite.connect(f"{self.path.absolute().as_uri()}?mode=ro", uri=True)
        connection.row_factory = sqlite3.Row
        try:
            await connection.execute_fetchall(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        except BaseException:
            await asyncio.shield(connection.close())
            raise
        return connection

    async def close(self) -> None:
        """Let the write that runs end, then close. Calling it again does nothing."""
        if self._closed:
            return
        self._closed = True
        while self._idle:
            await self._idle.pop().close()
        await asyncio.wrap_future(self._executor.submit(self._connection.close))
        if self._owns_executor:
            self._executor.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()


# By the first byte of SQLite's code; what is not named here is the disk's or the machine's.
_OPENING: Final = {
    sqlite3.SQLITE_CANTOPEN: "refused",
    sqlite3.SQLITE_READONLY: "refused",
    sqlite3.SQLITE_PERM: "refused",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_FULL: "full",
}


def _open(path: Path, packages: Iterable[str], durable: bool) -> sqlite3.Connection:  # noqa: FBT001  for a thread
    try:
        return _opened(path, packages, durable=durable)
    except sqlite3.Error as error:
        # SQLite's own words name no file.
        code = _OPENING.get(getattr(error, "sqlite_errorcode", 0) & 0xFF, "failed")
        raise StorageError(code, path=path, cause=error) from error


def _opened(path: Path, packages: Iterable[str], *, durable: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
        connection.execute(f"PRAGMA cache_size = -{CACHE_KIB}")
        for pragma, wanted in {**_REQUIRED, "synchronous": _FULL if durable else _NORMAL}.items():
            _insist(connection, path, pragma, wanted)
        for package in packages:
            migrate(connection, component_of(package), load_migrations(files(package) / "migrations"))
    except BaseException:
        connection.close()
        raise
    return connection


def _insist(connection: sqlite3.Connection, path: Path, pragma: str, wanted: str | int) -> None:
    connection.execute(f"PRAGMA {pragma} = {wanted}")
    given = connection.execute(f"PRAGMA {pragma}").fetchone()[0]
    if given != wanted:
        raise StorageError("pragma", path=path, pragma=pragma, given=given, wanted=wanted)
