"""When the disk fails: nothing is believed any more, and nothing that was accepted is lost."""

import shutil
import sqlite3

import pytest

from edge_agent.outbox import Fate, OutboxGone, opening
from tests.outbox.making import Box, bodies
from wire.topics import Lane


def fill_the_disk(box: Box, spare_pages: int = 4) -> list:
    """Let the database grow by a few pages only, and append until that is used up."""
    (pages,) = box.sql().execute("PRAGMA page_count").fetchone()
    box.sql().execute(f"PRAGMA max_page_count = {pages + spare_pages}")
    stored = []
    for _ in range(1000):
        group = [box.entry(Lane.D) for _ in range(7)]
        try:
            box.put(*group)
        except OutboxGone:
            return stored
        stored += group
    raise AssertionError("the disk never filled up")


def test_a_full_disk_stores_whole_groups_or_nothing(box: Box) -> None:
    stored = fill_the_disk(box)
    assert stored
    box.reopen()
    assert box.store.recovery is None
    assert [row.body for row in box.rows(Lane.D)] == bodies(stored)
    box.assert_balanced()
    (result,) = box.put(box.entry(Lane.D))
    assert result.seq == len(stored) + 1


def test_after_a_failure_every_call_is_refused(box: Box) -> None:
    fill_the_disk(box)
    calls = [
        lambda: box.put(box.entry(Lane.A)),
        lambda: box.store.read(Lane.D, 0, 10, 1000),
        lambda: box.store.acknowledge({Lane.D: 1}),
        lambda: box.store.resume({Lane.D: 0}),
        lambda: box.store.fork("x"),
        lambda: box.store.chain_at(Lane.D, 1),
        lambda: box.store.quarantine("d", "r", b""),
        box.store.quarantined,
        box.store.lane_states,
        box.store.depths,
        box.store.maintain,
        box.store.snapshot,
    ]
    for call in calls:
        with pytest.raises(OutboxGone):
            call()


class Failing:
    """A connection whose COMMIT (or another statement) the disk refuses, as SQLite reports it."""

    def __init__(self, connection: sqlite3.Connection, statement: str, code: int) -> None:
        self._connection = connection
        self._statement = statement
        self._code = code
        self.commits = 0

    def __getattr__(self, name):
        return getattr(self._connection, name)

    def execute(self, sql, *args):
        if sql.startswith(self._statement):
            self.commits += 1
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = self._code
            raise error
        return self._connection.execute(sql, *args)


@pytest.mark.parametrize(
    "code", [sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY]
)
def test_a_commit_that_fails_is_never_tried_again(box: Box, code: int) -> None:
    box.fill(Lane.D, 3)
    failing = box.store._core.connection = Failing(box.sql(), "COMMIT", code)
    with pytest.raises(OutboxGone):
        box.put(box.entry(Lane.D))
    with pytest.raises(OutboxGone):
        box.put(box.entry(Lane.D))
    assert failing.commits == 1
    box.reopen()
    assert len(box.rows(Lane.D)) == 3
    assert box.store.recovery is None


def test_a_sector_that_cannot_be_read_ends_the_process_and_not_the_records(box: Box) -> None:
    box.fill(Lane.D, 3)
    box.store._core.connection = Failing(box.sql(), "SELECT key, through, gap", sqlite3.SQLITE_IOERR_READ)
    with pytest.raises(OutboxGone):
        box.store.read(Lane.D, 0, 10, 1000)
    box.reopen()
    assert len(box.rows(Lane.D)) == 3


def test_what_sqlite_calls_corrupt_is_looked_into_by_the_next_start(box: Box) -> None:
    box.fill(Lane.D, 50)
    box.store._core.connection = Failing(box.sql(), "SELECT key, through, gap", sqlite3.SQLITE_CORRUPT)
    with pytest.raises(OutboxGone, match="damaged"):
        box.store.read(Lane.D, 0, 10, 1000)
    looked = []
    honest = opening.check_all

    def watched(*args, marked, **kwargs):
        looked.append(marked.suspect)
        return honest(*args, marked=marked, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "check_all", watched)
        box.reopen()
        box.reopen()
    assert looked == [True, False]
    assert box.store.recovery is None


def test_an_index_that_contradicts_its_table_is_healed(box: Box) -> None:
    stored = box.fill(Lane.D, 50)
    # As a lost write leaves it: the row is there, its index entry is another one's.
    box.sql().execute("PRAGMA writable_schema = ON")
    sql = "CREATE UNIQUE INDEX record_event ON record (event_id) WHERE event_id IS NOT NULL"
    box.sql().execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'record_event'", (sql.replace("IS NOT", "IS"),))
    box.store.close()
    connection = sqlite3.connect(box.path, isolation_level=None)
    connection.execute("REINDEX record_event")
    connection.execute("PRAGMA writable_schema = ON")
    connection.execute("UPDATE sqlite_schema SET sql = ? WHERE name = 'record_event'", (sql,))
    connection.close()
    box.store = box.open()
    assert box.store.recovery is None  # the quick look at start does not compare indexes
    box.store._core.connection = Failing(box.sql(), "SELECT key, through, gap", sqlite3.SQLITE_CORRUPT)
    with pytest.raises(OutboxGone):
        box.rows(Lane.D)
    box.reopen()
    assert "integrity_check" in box.store.recovery.cause
    assert box.ids(Lane.D) == [entry.record.id for entry in stored]


def test_a_recovery_on_a_full_disk_gives_up_older_sets_first(box: Box, monkeypatch) -> None:
    box.fill(Lane.D, 20)
    box.store.close()
    raw = bytearray(box.path.read_bytes())
    raw[5] ^= 1
    box.path.write_bytes(raw)
    shutil.copy(box.path, box.path.with_name("outbox.damaged-1.sqlite"))
    honest, tries = opening.salvage.refill, []

    def full_once(*args, **kwargs):
        tries.append(sorted(path.name for path in box.path.parent.glob("*damaged*")))
        if len(tries) == 1:
            raise OutboxGone("database or disk is full")
        return honest(*args, **kwargs)

    monkeypatch.setattr(opening.salvage, "refill", full_once)
    box.store = box.open()
    assert tries == [["outbox.damaged-1.sqlite"], []]
    assert box.store.recovery.set_aside == "outbox.damaged-2.sqlite"
    assert len(box.rows(Lane.D)) == 20
    assert box.put(box.entry(Lane.D))[0].fate is Fate.STORED


def damaged(box: Box) -> list[str]:
    """Close the outbox and damage it. Returns the ids it held."""
    ids = [entry.record.id for entry in box.fill(Lane.D, 20)]
    box.store.close()
    raw = bytearray(box.path.read_bytes())
    raw[5] ^= 1
    box.path.write_bytes(raw)
    return ids


def test_a_new_file_whose_end_does_not_reach_the_disk_takes_no_place(box: Box, monkeypatch) -> None:
    ids, honest = damaged(box), opening.connect
    with monkeypatch.context() as patch:
        full = sqlite3.SQLITE_FULL
        patch.setattr(opening, "connect", lambda path: Failing(honest(path), "PRAGMA wal_checkpoint", full))
        with pytest.raises(OutboxGone):
            box.open()
    assert not list(box.path.parent.glob("*damaged*"))
    box.store = box.open()
    assert box.ids(Lane.D) == ids


def test_a_new_file_that_is_still_partly_in_its_log_takes_no_place(box: Box, monkeypatch) -> None:
    ids, honest = damaged(box), opening.salvage.refill
    readers = []

    def watched(core, *args, **kwargs):
        # Whoever reads along keeps what is written after him out of the database file.
        (_, _, stage) = core.connection.execute("PRAGMA database_list").fetchone()
        readers.append(sqlite3.connect(stage, isolation_level=None))
        readers[-1].execute("BEGIN")
        readers[-1].execute("SELECT count(*) FROM record").fetchone()
        return honest(core, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(opening.salvage, "refill", watched)
        with pytest.raises(OutboxGone, match="could not be completed"):
            box.open()
    for reader in readers:
        reader.close()
    assert not list(box.path.parent.glob("*damaged*"))
    box.store = box.open()
    assert box.ids(Lane.D) == ids


@pytest.mark.parametrize("code", [sqlite3.SQLITE_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR_SHMSIZE])
def test_a_disk_that_fails_an_opening_is_not_taken_for_damage(box: Box, monkeypatch, code: int) -> None:
    box.fill(Lane.D, 3)
    box.store.close()
    honest = opening.connect
    with monkeypatch.context() as patch:
        patch.setattr(opening, "connect", lambda path: Failing(honest(path), "PRAGMA quick_check", code))
        with pytest.raises(OutboxGone, match="I/O"):
            box.open()
    assert not list(box.path.parent.glob("*damaged*"))
    box.store = box.open()
    assert box.store.recovery is None
    assert len(box.rows(Lane.D)) == 3


def test_a_sector_that_cannot_be_read_at_start_is_damage(box: Box, monkeypatch) -> None:
    stored = box.fill(Lane.D, 3)
    box.store.close()
    honest, opened = opening.connect, []

    def connect(path):
        opened.append(path)
        broken = len(opened) == 1
        return Failing(honest(path), "PRAGMA quick_check", sqlite3.SQLITE_IOERR_READ) if broken else honest(path)

    monkeypatch.setattr(opening, "connect", connect)
    box.store = box.open()
    assert box.store.recovery.missing[Lane.D] == 0
    assert box.ids(Lane.D) == [entry.record.id for entry in stored]
