"""Whether a file still is what was written: asked once at every start, before a single record is taken.

SQLite's own check sees broken pages but no flipped bit inside a body; the chain sees bodies but no lost end of a log;
the mark sees the lost end. Together they leave little room. What fails here is not repaired in place: the caller sets
the file aside and builds a new one from every record that verifies.
"""

import sqlite3
from collections.abc import Mapping
from typing import Final

from edge_agent.outbox.book import (
    LANE_NO,
    SCHEMA,
    SEQ_BITS,
    SEQ_MASK,
    Book,
    Device,
    LaneBook,
    decode,
    digest,
    key_of,
    schema_of,
)
from edge_agent.outbox.connection import BUILT_IN, expected_schema, schema_rows
from edge_agent.outbox.files import Marked
from edge_agent.outbox.gaps import decode_note
from edge_agent.outbox.model import OutboxLimits, OutboxRefused
from wire.identity import chain_next, record_hash
from wire.topics import Lane

FINDINGS_MAX: Final = 5


class Damage(Exception):
    """The stored bytes are not what was written; the text says how that shows."""


def refuse_newer(connection: sqlite3.Connection, name: str) -> None:
    """Raises OutboxRefused for a file of a later schema.

    Believed only when the file's header and its book agree on it: a flipped bit in the header must not lock a box out
    of its own outbox.
    """
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version <= SCHEMA:
        return
    row = connection.execute("SELECT body, digest FROM state WHERE id = 1").fetchone()
    if row and digest(row[0]) == row[1] and schema_of(row[0]) == version:
        raise OutboxRefused(
            f"{name}: written by a newer version (schema {version}, this one knows {SCHEMA}); install that again"
        )
    raise Damage(f"header says schema {version}, the book does not")


def check_structure(connection: sqlite3.Connection, *, thorough: bool) -> None:
    """Header, tables and pages. thorough: also every index against its table. Raises Damage."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version != SCHEMA:
        raise Damage(f"header says schema {version}; expected {SCHEMA}")
    for pragma, wanted in BUILT_IN.items():
        (given,) = connection.execute(f"PRAGMA {pragma}").fetchone()
        if given != wanted:
            raise Damage(f"{pragma} is {given}; expected {wanted}")
    if schema_rows(connection) != expected_schema():
        raise Damage("tables are not ours")
    pragma = "integrity_check" if thorough else "quick_check"
    findings = connection.execute(f"PRAGMA {pragma}({FINDINGS_MAX})").fetchall()
    if findings != [("ok",)]:
        raise Damage(f"{pragma}: {findings[0][0]}")


def load_book(connection: sqlite3.Connection) -> Book:
    """The book, verified. Raises Damage."""
    row = connection.execute("SELECT body, digest FROM state WHERE id = 1").fetchone()
    if row is None or digest(row[0]) != row[1]:
        raise Damage("the book is missing or does not match its digest")
    book = decode(row[0], Book)
    for lane, lane_book in book.lanes.items():
        if not (lane_book.balanced and lane_book.base <= lane_book.acked <= lane_book.last):
            raise Damage(f"lane {lane}: counters of the book contradict one another")
    return book


def load_devices(connection: sqlite3.Connection) -> dict[int, Device]:
    """All devices by their short number, verified. Raises Damage."""
    devices: dict[int, Device] = {}
    for number, body, kept in connection.execute("SELECT id, body, digest FROM device"):
        if digest(body) != kept:
            raise Damage(f"device {number} does not match its digest")
        devices[number] = decode(body, Device)
    return devices


def check_mark(book: Book, marked: Marked | None) -> None:
    """Raises Damage when the database is behind what was once committed."""
    if marked is None or marked.epoch != book.epoch or book.forking is not None:
        return
    lost = {lane: last - book.lanes[lane].last for lane, last in marked.last.items() if last > book.lanes[lane].last}
    if lost:
        raise Damage(f"commits are missing: {', '.join(f'{lane} {count}' for lane, count in lost.items())}")


def check_rows(connection: sqlite3.Connection, book: Book, rows_max: int | None) -> None:
    """The rows against the book, and the chain of the newest rows_max rows of each lane (None: of all).

    Raises Damage.
    """
    counted: Mapping[int, tuple[int, int]] = {
        lane_no: (kept, body_bytes)
        for lane_no, kept, body_bytes in connection.execute(
            "SELECT key >> ?, count(*) - count(gap), sum(length(body)) FROM record GROUP BY 1", (SEQ_BITS,)
        )
    }
    if not set(counted) <= set(LANE_NO.values()):
        raise Damage("rows of a lane that does not exist")
    for lane, lane_book in book.lanes.items():
        if counted.get(LANE_NO[lane], (0, 0)) != (lane_book.kept, lane_book.body_bytes):
            raise Damage(f"lane {lane}: rows and book count differently")
        _check_lane(connection, lane, lane_book, rows_max)


def _check_lane(connection: sqlite3.Connection, lane: Lane, book: LaneBook, rows_max: int | None) -> None:
    low, high = key_of(lane, book.base), key_of(lane, SEQ_MASK)
    (queued,) = connection.execute(
        "SELECT count(*) - count(gap) FROM record WHERE key > ? AND key <= ?", (key_of(lane, book.acked), high)
    ).fetchone()
    if queued != book.queued:
        raise Damage(f"lane {lane}: {queued} records wait, the book says {book.queued}")
    at, chain = book.base, book.base_chain
    if rows_max is not None:
        row = connection.execute(
            "SELECT key, through, chain FROM record WHERE key > ? AND key <= ? ORDER BY key DESC LIMIT 1 OFFSET ?",
            (low, high, rows_max),
        ).fetchone()
        if row:
            at, chain = row[1] or row[0] & SEQ_MASK, row[2]
    for key, through, gap, stored, body in connection.execute(
        "SELECT key, through, gap, chain, body FROM record WHERE key > ? AND key <= ? ORDER BY key",
        (key_of(lane, at), high),
    ):
        seq = key & SEQ_MASK
        if seq != at + 1:
            raise Damage(f"lane {lane}: number {at + 1} is missing")
        if gap is None:
            at, chain = seq, chain_next(chain, record_hash(body))
            if chain != stored:
                raise Damage(f"lane {lane}: chain broken at {seq}")
        else:
            decode_note(body)
            at, chain = through, stored
            if through < seq:
                raise Damage(f"lane {lane}: gap ends before it begins at {seq}")
        if at == book.acked and chain != book.acked_chain:
            raise Damage(f"lane {lane}: chain at {at} is not the one acknowledged")
    if (at, chain) != (book.last, book.chain):
        raise Damage(f"lane {lane}: ends at {at}, the book says {book.last}")


def check_all(
    connection: sqlite3.Connection, *, name: str, edge: str, limits: OutboxLimits, marked: Marked | None
) -> tuple[Book, dict[int, Device]]:
    """Everything above. Raises Damage, OutboxRefused for what a person has to settle, sqlite3.Error."""
    refuse_newer(connection, name)
    thorough = marked is not None and marked.suspect
    check_structure(connection, thorough=thorough)
    book, devices = load_book(connection), load_devices(connection)
    if book.edge != edge:
        raise OutboxRefused(f"{name}: belongs to edge node {book.edge!r}, not to {edge!r}; move it away or fix `edge`")
    check_mark(book, marked)
    if book.forking is None:
        check_rows(connection, book, None if thorough else limits.check_rows)
    return book, devices
