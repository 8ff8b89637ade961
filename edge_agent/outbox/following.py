"""The records of an outbox as they come, read beside the agent that owns it. Reads only.

A follower remembers the last record of each lane and asks for what is beyond it. When the agent renumbers (a new epoch)
it looks for those records, and goes on after them. When the file is another one now (the agent healed it) it
is opened anew.
"""

import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self, TypeVar

from edge_agent.outbox.book import Book, key_of
from edge_agent.outbox.check import Damage, load_book, refuse_newer
from edge_agent.outbox.connection import BUSY_TIMEOUT_S
from edge_agent.outbox.model import OutboxDamaged, OutboxRefused
from wire.records import Record, decode_record
from wire.topics import LANES, Lane

T = TypeVar("T")

ROWS_MAX: Final = 500

_FORTH: Final = "SELECT key, body FROM record WHERE key > ? AND key <= ? AND gap IS NULL ORDER BY key LIMIT ?"
_AT: Final = "SELECT body FROM record WHERE key = ? AND gap IS NULL"
_BACK: Final = "SELECT key, body FROM record WHERE key > ? AND key <= ? AND gap IS NULL ORDER BY key DESC"


@dataclass(frozen=True, slots=True)
class Followed:
    """One record where it stands."""

    lane: Lane
    seq: int
    record: Record


class Follower:
    """Use it in `with`. Every call raises FileNotFoundError when there is no outbox, OutboxRefused when it cannot be
    read now, OutboxDamaged when it has to be healed, which the agent does when it starts.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._inode = 0
        self._epoch = ""
        self._version = -1
        self._after: dict[Lane, int] = {}
        self._last_ids: dict[Lane, str] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def begin(self, since_ns: int | None = None) -> None:
        """Go on from the present ends; since_ns: or from the first record of each lane that is as young, UTC."""

        def begin(connection: sqlite3.Connection, book: Book) -> None:
            self._epoch = book.epoch
            for lane in LANES:
                last = book.lanes[lane].last
                self._after[lane] = last if since_ns is None else _older_than(connection, book, lane, since_ns)
                for (body,) in connection.execute(_AT, (key_of(lane, self._after[lane]),)):
                    self._last_ids[lane] = decode_record(body).id

        self._ask(begin)

    def news(self) -> list[Followed]:
        """What has come since the last call, at most ROWS_MAX of each lane, in the order of their stamps."""
        return sorted(self._ask(self._news), key=lambda one: one.record.stamp.wall_ns)

    def _news(self, connection: sqlite3.Connection, book: Book) -> list[Followed]:
        (version,) = connection.execute("PRAGMA data_version").fetchone()
        # While records are being renumbered they stand twice, or nowhere.
        if version == self._version or book.forking is not None:
            return []
        if book.epoch != self._epoch:
            self._epoch = book.epoch
            self._after = {lane: _number_of(connection, book, lane, self._last_ids.get(lane)) for lane in LANES}
        found: list[Followed] = []
        whole = True
        for lane in LANES:
            last = book.lanes[lane].last
            span = (key_of(lane, self._after[lane]), key_of(lane, last), ROWS_MAX)
            rows = connection.execute(_FORTH, span).fetchall()
            found += [Followed(lane, key - key_of(lane, 0), decode_record(body)) for key, body in rows]
            self._after[lane] = rows[-1][0] - key_of(lane, 0) if len(rows) == ROWS_MAX else last
            if rows:
                self._last_ids[lane] = found[-1].record.id
            whole = whole and len(rows) < ROWS_MAX
        self._version = version if whole else -1
        return found

    def _ask(self, call: Callable[[sqlite3.Connection, Book], T]) -> T:
        """Call within one read transaction, so that book and rows are of the same moment."""
        try:
            connection = self._open()
            connection.execute("BEGIN")
            try:
                refuse_newer(connection, self._path.name)
                return call(connection, load_book(connection))
            finally:
                connection.execute("COMMIT")
        except (Damage, ValueError) as error:
            self._close()
            raise OutboxDamaged(f"{self._path}: {error}") from None
        except sqlite3.DatabaseError as error:
            self._close()
            raise OutboxRefused(f"{self._path}: {error}") from None

    def _open(self) -> sqlite3.Connection:
        inode = self._path.stat().st_ino
        if self._connection is None or inode != self._inode:
            self._close()
            uri = f"{self._path.absolute().as_uri()}?mode=ro"
            self._connection = sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
            self._inode, self._version = inode, -1
        return self._connection

    def _close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _older_than(connection: sqlite3.Connection, book: Book, lane: Lane, since_ns: int) -> int:
    """The number after which records are as young as that."""
    for seq, record in _backwards(connection, book, lane):
        if record.stamp.wall_ns < since_ns:
            return seq
    return book.lanes[lane].base


def _number_of(connection: sqlite3.Connection, book: Book, lane: Lane, record_id: str | None) -> int:
    """The present number of a record. Where it is not kept any more, or there was none: the begin of the lane."""
    if record_id is not None:
        for seq, record in _backwards(connection, book, lane):
            if record.id == record_id:
                return seq
    return book.lanes[lane].base


def _backwards(connection: sqlite3.Connection, book: Book, lane: Lane) -> Iterator[tuple[int, Record]]:
    span = (key_of(lane, book.lanes[lane].base), key_of(lane, book.lanes[lane].last))
    for key, body in connection.execute(_BACK, span):
        yield key - key_of(lane, 0), decode_record(body)
