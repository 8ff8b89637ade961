"""Opening: a new file, a sound file, or a damaged one that becomes a new one. Never a question to a person.

What is wrong with the bytes is healed here (Damage); what is wrong around them (no permission, a file system that
cannot do WAL, a file of another box or of a newer version) is refused, because a new file would not be better; what is
wrong with the disk ends the process (OutboxGone).
"""

import logging
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from edge_agent.outbox import salvage, wal
from edge_agent.outbox.book import SCHEMA, Book, new_book
from edge_agent.outbox.carve import Wreck
from edge_agent.outbox.check import Damage, check_all
from edge_agent.outbox.connection import build, connect, secure
from edge_agent.outbox.core import Core
from edge_agent.outbox.files import FILE_MODE, Files, Lock, Mark, Marked
from edge_agent.outbox.model import OutboxDamaged, OutboxGone, OutboxLimits, OutboxRefused, Recovery
from edge_agent.outbox.renumber import finish_fork
from wire.clock import Clock

log = logging.getLogger(__name__)

# What SQLite answers when the disk or the machine fails it, as opposed to the bytes.
_ENVIRONMENT: Final = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_READONLY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_PERM,
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_LOCKED,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOMEM,
    }
)
_UNREADABLE: Final = frozenset({sqlite3.SQLITE_IOERR_READ, sqlite3.SQLITE_IOERR_SHORT_READ})

_HEADER_BYTES: Final = 100
_HEADER_MAGIC: Final = b"SQLite format 3\0"
# Read and write version of the file format: 2 is WAL, 1 what a curious person with a tool may have made of it.
_HEADER_VERSIONS: Final = frozenset({b"\2\2", b"\1\1"})


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an outbox is opened with."""

    clock: Clock
    random: Callable[[int], bytes]
    edge: str
    limits: OutboxLimits


@dataclass(frozen=True, slots=True)
class Opened:
    """A core ready to work. recovery: what had to be saved first. lock: absent for a database in memory."""

    core: Core
    recovery: Recovery | None
    lock: Lock | None


def open_outbox_file(path: Path, around: Surroundings, bring: Callable[[], sqlite3.Connection] | None) -> Opened:
    """See OutboxStore.open."""
    if bring is not None:
        return Opened(_open_in_memory(bring(), around, path.name), None, None)
    lock: Lock | None = None
    try:
        files = Files(path)
        files.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = Lock(files.lock)
        core, recovery = _open_locked(files, around)
    except (PermissionError, NotADirectoryError, FileExistsError, IsADirectoryError) as error:
        _release(lock)
        raise OutboxRefused(f"{path}: {error.strerror}") from error
    except OSError as error:
        _release(lock)
        raise OutboxGone(f"{path}: {error.strerror}") from error
    except BaseException:
        _release(lock)
        raise
    return Opened(core, recovery, lock)


def _release(lock: Lock | None) -> None:
    if lock is not None:
        lock.release()


def _open_locked(files: Files, around: Surroundings) -> tuple[Core, Recovery | None]:
    files.prepare()
    if not (files.path.exists() or files.wal.exists() or files.mark.exists()):
        book = new_book(around.edge, around.random(16).hex())
        _make(files, around, book, 0, lambda _: None)
    try:
        return _load(files, around), None
    except Damage as damage:
        cause = str(damage)
    recovery = _recover(files, around, cause)
    try:
        return _load(files, around), recovery
    except Damage as damage:
        raise OutboxGone(f"{files.path}: the medium does not keep what is written to it ({damage})") from None


# --- a sound file ---------------------------------------------------------------------------------------


def _load(files: Files, around: Surroundings) -> Core:
    """Open and check. Raises Damage; OutboxRefused, OutboxGone."""
    _look_before(files)
    connection = connect(files.path)
    try:
        core = _checked(connection, around, files.path.name, Mark.load(files.mark), files)
    except BaseException:
        connection.close()
        raise
    files.path.chmod(FILE_MODE)
    return core


def _look_before(files: Files) -> None:
    """What must be seen before SQLite opens the file, because SQLite would tidy it away. Raises Damage."""
    try:
        with files.path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        raise Damage("the file is missing") from None
    if not (header.startswith(_HEADER_MAGIC) and header[18:20] in _HEADER_VERSIONS):
        raise Damage("the file's header is not that of an outbox")
    if wal.scan(files.wal).broken:
        raise Damage("the write-ahead log does not verify")


def _checked(
    connection: sqlite3.Connection, around: Surroundings, name: str, marked: Marked | None, files: Files | None
) -> Core:
    try:
        secure(connection, around.limits, name, in_memory=files is None)
        book, devices = check_all(connection, name=name, edge=around.edge, limits=around.limits, marked=marked)
        core = Core(
            connection,
            book,
            devices,
            clock=around.clock,
            random=around.random,
            limits=around.limits,
            mark=Mark.open(files.mark) if files else None,
        )
    except sqlite3.Error as error:
        code = getattr(error, "sqlite_errorcode", None)
        if code is not None and code not in _UNREADABLE and code & 0xFF in _ENVIRONMENT:
            raise OutboxGone(f"{name}: {error}") from error
        raise Damage(f"SQLite: {error}") from None
    except (ValueError, TypeError, OverflowError) as error:
        raise Damage(f"a stored document makes no sense: {error}") from None
    if book.forking is not None:
        _carry_on(core)
    return core


def _carry_on(core: Core) -> None:
    log.warning("a fork was cut short; carrying on")
    try:
        finish_fork(core)
    except OutboxDamaged as error:
        core.close()
        raise Damage(str(error)) from None


def _open_in_memory(connection: sqlite3.Connection, around: Surroundings, name: str) -> Core:
    connection.isolation_level = None
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    try:
        if not tables:
            build(connection, SCHEMA)
            secure(connection, around.limits, name, in_memory=True)
            book = new_book(around.edge, around.random(16).hex())
            with _core_of(connection, book, around).transaction():
                pass
        return _checked(connection, around, name, None, None)
    except Damage as damage:
        raise OutboxDamaged(f"{name}: {damage}") from None


# --- a new file -----------------------------------------------------------------------------------------


def _core_of(connection: sqlite3.Connection, book: Book, around: Surroundings) -> Core:
    return Core(connection, book, {}, clock=around.clock, random=around.random, limits=around.limits, mark=None)


def _make(files: Files, around: Surroundings, book: Book, number: int, fill: Callable[[Core], None]) -> None:
    """Make a new file beside the old ones, fill it, and let it take their place."""
    connection = connect(files.new_stage())
    try:
        build(connection, SCHEMA)
        secure(connection, around.limits, files.path.name)
        # Nothing of it counts before it is complete and flushed as a whole; a flush per step would only wear the card.
        connection.execute("PRAGMA synchronous = OFF")
        core = _core_of(connection, book, around)
        with core.transaction():
            pass
        fill(core)
        # Closing would do the same, but says nothing when the disk has no room for it.
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        if busy:
            raise OutboxGone(f"{files.path}: the new file could not be completed")
    except sqlite3.Error as error:
        raise OutboxGone(f"{files.path}: {error}") from error
    finally:
        connection.close()
    files.stage_done(number)


def _recover(files: Files, around: Surroundings, cause: str) -> Recovery:
    """Build a new file from the damaged one. Sets of earlier damage give way when the disk is full."""
    number = max(files.sets(), default=0) + 1
    set_aside = files.set_name(number) if files.path.exists() else ""
    marked = Mark.load(files.mark)
    with Wreck(files.path, files.wal) as wreck:
        recovered: list[Recovery] = []

        def fill(core: Core) -> None:
            recovered.append(salvage.refill(core, wreck, marked, edge=around.edge, cause=cause, set_aside=set_aside))

        def make() -> None:
            book = salvage.book_after(wreck, marked, around.edge, around.random(16).hex())
            _make(files, around, book, number, fill)

        try:
            make()
        except OutboxGone:
            if not files.sets():
                raise
            for old in files.sets():
                files.forget_set(old)
            make()
    return recovered[-1]
