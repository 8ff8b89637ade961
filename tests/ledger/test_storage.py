"""The promise of one SQLite file, its migrations and its named statements."""

import asyncio
import sqlite3
import sys
import threading
from concurrent.futures import Executor, Future
from contextlib import AsyncExitStack
from importlib.resources import files
from pathlib import Path

import pytest

from aggregator.storage import (
    READERS_KEPT,
    READERS_MAX,
    Database,
    Migration,
    SchemaTooNew,
    Statements,
    StorageError,
    load_migrations,
    migrate,
)
from tests.ledger.waiting import until
from wire.i18n import Texts


class InlineExecutor(Executor):
    """Runs at once, in the caller's thread; what the simulation uses."""

    def submit(self, fn, /, *args, **kwargs):
        future = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except BaseException as error:  # noqa: BLE001  an executor hands every exception over
            future.set_exception(error)
        return future


@pytest.fixture
def room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package with three migrations, importable by name."""
    folder = tmp_path / "packages" / "sample_room"
    (folder / "migrations").mkdir(parents=True)
    (folder / "__init__.py").touch()
    (folder / "migrations" / "0001_things.sql").write_text(
        "-- Things; a semicolon in a comment must not cut.\n"
        "CREATE TABLE thing (id INTEGER PRIMARY KEY, name TEXT NOT NULL DEFAULT 'a;b') STRICT;\n"
        "CREATE INDEX thing_by_name ON thing (name);\n"
    )
    (folder / "migrations" / "0002_colour.sql").write_text("ALTER TABLE thing ADD COLUMN colour TEXT;\n")
    (folder / "migrations" / "0003_parts.sql").write_text(
        "CREATE TABLE part (id INTEGER PRIMARY KEY, thing INTEGER NOT NULL REFERENCES thing (id)) STRICT;\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    yield "sample_room"
    sys.modules.pop("sample_room", None)


def schema_of(path: Path) -> list[tuple[str, str]]:
    connection = sqlite3.connect(path)
    try:
        return sorted(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall())
    finally:
        connection.close()


async def test_the_settings_that_keep_the_promise_are_in_force(tmp_path: Path, room: str) -> None:
    async with await Database.open(tmp_path / "a.sqlite", room) as db:
        given = await db.write(
            lambda c: [c.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "foreign_keys")]
        )
        assert given == [2, 1]
        assert await db.write(lambda c: c.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"


async def test_what_can_be_made_again_need_not_wait_for_the_disk(tmp_path: Path, room: str) -> None:
    async with await Database.open(tmp_path / "a.sqlite", room, durable=False) as db:
        assert await db.write(lambda c: c.execute("PRAGMA synchronous").fetchone()[0]) == 1
        assert await db.write(lambda c: c.execute("PRAGMA journal_mode").fetchone()[0]) == "wal"


async def test_a_connection_is_lent_again_and_sees_what_was_written_meanwhile(tmp_path: Path, room: str) -> None:
    async with await Database.open(tmp_path / "a.sqlite", room) as db:
        lent = set()
        for number in range(1, 20):
            await db.write(lambda c, number=number: c.execute("INSERT INTO thing (id) VALUES (?)", (number,)))
            async with db.read() as connection:
                lent.add(id(connection))
                assert [tuple(row) for row in await connection.execute_fetchall("SELECT count(*) FROM thing")] == [
                    (number,)
                ]
        assert len(lent) == 1


async def test_a_connection_that_was_left_in_a_transaction_or_an_exception_is_not_lent_again(
    tmp_path: Path, room: str
) -> None:
    async with await Database.open(tmp_path / "a.sqlite", room) as db:
        async with db.read() as first:
            await first.execute_fetchall("BEGIN")
            await first.execute_fetchall("SELECT count(*) FROM thing")
        await db.write(lambda c: c.execute("INSERT INTO thing (id) VALUES (1)"))
        async with db.read() as second:
            assert [tuple(row) for row in await second.execute_fetchall("SELECT id FROM thing")] == [(1,)]

        async def fail() -> None:
            async with db.read():
                raise RuntimeError("my own")

        with pytest.raises(RuntimeError, match="my own"):
            await fail()
        async with db.read() as third:
            assert len({id(first), id(second), id(third)}) == 3
        for closed in (first, second):
            with pytest.raises(ValueError, match="no active connection"):
                await closed.execute("SELECT 1")


async def test_no_more_connections_are_kept_than_are_needed_and_none_after_the_end(tmp_path: Path, room: str) -> None:
    async with await Database.open(tmp_path / "a.sqlite", room) as db:
        async with AsyncExitStack() as stack:
            for _ in range(READERS_MAX):
                await stack.enter_async_context(db.read())
        assert len(db._idle) == READERS_KEPT
        kept = list(db._idle)
    for connection in kept:
        with pytest.raises(ValueError, match="no active connection"):
            await connection.execute("SELECT 1")


async def test_a_file_that_cannot_be_wal_is_refused() -> None:
    with pytest.raises(StorageError, match="journal_mode"):
        await Database.open(Path(":memory:"))


async def test_something_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_bytes(b"not a database, but long enough to be looked at" * 40)
    with pytest.raises(StorageError, match=r"a\.sqlite is damaged") as caught:
        await Database.open(tmp_path / "a.sqlite")
    assert "已损坏" in caught.value.told(Texts("zh-CN"))


async def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be opened for writing") as caught:
        await Database.open(tmp_path / "none" / "a.sqlite")
    assert caught.value.told(Texts("zh-CN")).startswith(f"{tmp_path / 'none' / 'a.sqlite'} 无法以可写方式打开")


async def test_a_write_is_whole_or_not_at_all(tmp_path: Path, room: str) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO thing (id) VALUES (1)")
        raise RuntimeError("half way")

    async with await Database.open(tmp_path / "a.sqlite", room) as db:
        with pytest.raises(RuntimeError, match="half way"):
            await db.write(half)
        assert await db.write(lambda c: c.execute("SELECT count(*) FROM thing").fetchone()[0]) == 0
        await db.write(lambda c: c.execute("INSERT INTO thing (id) VALUES (2)"))
        async with db.read() as connection:
            rows = await connection.execute_fetchall("SELECT id, name FROM thing")
        assert [tuple(row) for row in rows] == [(2, "a;b")]


async def test_foreign_keys_are_enforced(tmp_path: Path, room: str) -> None:
    async with await Database.open(tmp_path / "a.sqlite", room) as db:
        with pytest.raises(sqlite3.IntegrityError):
            await db.write(lambda c: c.execute("INSERT INTO part (id, thing) VALUES (1, 99)"))


async def test_a_lent_connection_cannot_write(tmp_path: Path, room: str) -> None:
    async with await Database.open(tmp_path / "a.sqlite", room) as db, db.read() as connection:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            await connection.execute("INSERT INTO thing (id) VALUES (1)")


async def test_a_lent_connection_is_closed_whatever_happens(tmp_path: Path, room: str) -> None:
    before = threading.active_count()
    async with await Database.open(tmp_path / "a.sqlite", room) as db:
        for _ in range(READERS_MAX + 1):
            with pytest.raises(sqlite3.OperationalError):
                async with db.read() as connection:
                    await connection.execute("SELECT * FROM nothing_of_the_kind")
    await until(lambda: threading.active_count() <= before)


async def test_readers_beyond_the_limit_wait(tmp_path: Path, room: str) -> None:
    async with await Database.open(tmp_path / "a.sqlite", room) as db:
        entered, leave = 0, asyncio.Event()

        async def reader() -> None:
            nonlocal entered
            async with db.read():
                entered += 1
                await leave.wait()

        async with asyncio.TaskGroup() as group:
            for _ in range(READERS_MAX + 1):
                group.create_task(reader())
            await until(lambda: entered == READERS_MAX)
            leave.set()
        assert entered == READERS_MAX + 1


async def test_the_executor_may_be_the_caller_itself(tmp_path: Path, room: str) -> None:
    async with await Database.open(tmp_path / "a.sqlite", room, executor=InlineExecutor()) as db:
        assert await db.write(lambda c: threading.get_ident()) == threading.get_ident()


async def test_a_closed_database_says_so(tmp_path: Path, room: str) -> None:
    db = await Database.open(tmp_path / "a.sqlite", room)
    await db.close()
    await db.close()
    with pytest.raises(StorageError, match="closed"):
        await db.write(lambda c: None)
    with pytest.raises(StorageError, match="closed"):
        async with db.read():
            pass


# --- migrations


@pytest.mark.parametrize("package", ["sample_room", "aggregator.ledger"])
async def test_a_file_migrated_step_by_step_equals_one_made_at_once(tmp_path: Path, room: str, package: str) -> None:
    steps = load_migrations(files(package) / "migrations")
    for count in range(1, len(steps) + 1):
        connection = sqlite3.connect(tmp_path / "stepwise.sqlite", isolation_level=None)
        assert migrate(connection, package.rpartition(".")[2], steps[:count]) == 1
        connection.close()
    async with await Database.open(tmp_path / "at-once.sqlite", package):
        pass
    assert schema_of(tmp_path / "stepwise.sqlite") == schema_of(tmp_path / "at-once.sqlite")


async def test_a_file_from_a_newer_version_is_refused_and_left_alone(tmp_path: Path, room: str) -> None:
    path = tmp_path / "a.sqlite"
    async with await Database.open(path, room) as db:
        await db.write(
            lambda c: c.execute("INSERT INTO schema_migrations VALUES ('sample_room', 4, '0004_future.sql')")
        )
    before = schema_of(path)
    with pytest.raises(SchemaTooNew, match="sample_room is at schema 4, this version knows 3"):
        await Database.open(path, room)
    assert schema_of(path) == before


def test_a_migration_that_fails_leaves_the_step_before_it(tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "a.sqlite", isolation_level=None)
    steps = [
        Migration(1, "0001_a.sql", "CREATE TABLE a (x INTEGER);"),
        Migration(2, "0002_b.sql", "CREATE TABLE b (x INTEGER);\nCREATE TABLE a (x INTEGER);"),
    ]
    with pytest.raises(sqlite3.OperationalError, match="already exists"):
        migrate(connection, "sample", steps)
    tables = [row[0] for row in connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name")]
    assert tables == ["a", "schema_migrations"]
    connection.close()


@pytest.mark.parametrize(
    "names", [["0002_b.sql"], ["0001_a.sql", "0003_c.sql"], ["0001_a.sql", "0001_b.sql"], ["a.sql"]]
)
def test_migrations_must_be_numbered_without_a_gap(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).write_text("SELECT 1;")
    with pytest.raises(ValueError, match=r"0001|numbered"):
        load_migrations(tmp_path)


# --- statements


def test_statements_have_a_name_and_a_sentence() -> None:
    statements = Statements(
        "-- name: one\n-- Gives one.\nSELECT 1\n\n-- name: two\n-- Gives\n-- two.\nSELECT\n  2 -- really\n"
    )
    assert dict(statements) == {"one": "SELECT 1", "two": "SELECT\n  2 -- really"}


def test_a_statement_can_take_its_parameters_in_order() -> None:
    sql = "INSERT INTO t (a, b_2) VALUES (:a, :b_2) ON CONFLICT (a) DO NOTHING"
    in_order, names = Statements(f"-- name: put\n-- Puts.\n{sql}").in_order("put")
    assert (in_order, names) == ("INSERT INTO t (a, b_2) VALUES (?, ?) ON CONFLICT (a) DO NOTHING", ("a", "b_2"))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("-- name: one\nSELECT 1", "no sentence"),
        ("-- name: one\n-- Gives one.\n", "empty"),
        ("SELECT 1", "before the first"),
        ("-- name: one\n-- A.\nSELECT 1\n-- name: one\n-- B.\nSELECT 2", "twice"),
    ],
)
def test_a_careless_statement_file_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Statements(text)
