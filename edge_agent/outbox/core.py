"""What every operation of the outbox stands on: one connection, one book, one way to write.

`with core.transaction() as draft` opens a transaction and a draft of the book. Rows and draft are changed together; the
draft is stored by the same commit and becomes the book only after it. Any error undoes both. An error of the disk
closes the core for good (see OutboxGone).
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final, NoReturn

from edge_agent.outbox.book import SEQ_MASK, Book, Device, Space, digest, encode, key_of
from edge_agent.outbox.connection import PAGE_BYTES
from edge_agent.outbox.files import Mark
from edge_agent.outbox.model import OutboxDamaged, OutboxGone, OutboxLimits
from wire.clock import Clock
from wire.identity import CHAIN_START
from wire.topics import Lane

_DAMAGE_CODES: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

_WRITE_BOOK: Final = "INSERT OR REPLACE INTO state (id, body, digest) VALUES (1, ?, ?)"
_WRITE_DEVICE: Final = "INSERT OR REPLACE INTO device (id, body, digest) VALUES (?, ?, ?)"


@dataclass(slots=True)
class Draft:
    """What one transaction changes besides rows. devices, latest: only the changed ones. discard: undo it all."""

    book: Book
    discard: bool = False
    devices: dict[int, Device] = field(default_factory=dict)
    latest: dict[int, int] = field(default_factory=dict)


class Core:
    """See the module. Used from one thread."""

    def __init__(
        self,
        connection: sqlite3.Connection,
        book: Book,
        devices: dict[int, Device],
        *,
        clock: Clock,
        random: Callable[[int], bytes],
        limits: OutboxLimits,
        mark: Mark | None,
    ) -> None:
        """mark: absent for a database without a file."""
        self.connection = connection
        self.book = book
        self.clock = clock
        self.random = random
        self.limits = limits
        self.unsaved: dict[str, int] = {}
        self.warned = False
        self.devices = devices
        self._device_no = {device.name: number for number, device in devices.items()}
        self._mark = mark
        self._gone = ""
        self._run_from_ns = clock.mono_ns() - book.run_ns
        # The newest state record of each device: what dropping states must spare.
        self.latest: dict[int, int] = {}
        self.load_latest()
        if mark is not None and book.forking is None:
            mark.write(book)

    # --- writing --------------------------------------------------------------------------------------

    @contextmanager
    def transaction(self) -> Iterator[Draft]:
        """One transaction, on disk when it ends. Raises OutboxGone when the disk fails, and sqlite3.IntegrityError."""
        self.refuse_when_gone()
        draft = Draft(self.book.draft())
        for what, count in self.unsaved.items():
            draft.book.count(what, count)
        try:
            self.connection.execute("BEGIN IMMEDIATE")
            yield draft
            if draft.discard:
                self.connection.execute("ROLLBACK")
                return
            self._store(draft)
            self.connection.execute("COMMIT")
        except sqlite3.IntegrityError:
            self._undo()
            raise
        except sqlite3.Error as error:
            self._undo()
            self.fail(error)
        except BaseException:
            self._undo()
            raise
        self.unsaved.clear()
        self.book = draft.book
        for number, device in draft.devices.items():
            self.devices[number] = device
            self._device_no[device.name] = number
        self.latest.update(draft.latest)
        if self._mark is not None and self.book.forking is None:
            self._mark.write(self.book)

    def _store(self, draft: Draft) -> None:
        if draft.devices:
            rows = [(number, body := encode(device), digest(body)) for number, device in draft.devices.items()]
            self.connection.executemany(_WRITE_DEVICE, rows)
        draft.book.commit += 1
        draft.book.run_ns = self.run_ns()
        body = encode(draft.book)
        self.connection.execute(_WRITE_BOOK, (body, digest(body)))

    def _undo(self) -> None:
        # A commit that failed on a full disk has already rolled back.
        if self.connection.in_transaction:
            try:
                self.connection.execute("ROLLBACK")
            except sqlite3.Error as error:
                self._gone = f"rollback failed: {error}"

    # --- failing --------------------------------------------------------------------------------------

    def refuse_when_gone(self) -> None:
        """Raises OutboxGone once the disk has failed."""
        if self._gone:
            raise OutboxGone(self._gone)

    def fail(self, error: sqlite3.Error) -> NoReturn:
        """The disk failed: nothing more is done. Raises OutboxGone, OutboxDamaged when SQLite found damage."""
        code = getattr(error, "sqlite_errorcode", None)
        if isinstance(error, sqlite3.ProgrammingError) or code == sqlite3.SQLITE_MISUSE:
            raise error
        if code is not None and code & 0xFF in _DAMAGE_CODES:
            self.damaged(str(error))
        name = getattr(error, "sqlite_errorname", "")
        self._gone = f"outbox cannot go on: {error} {name}".rstrip()
        raise OutboxGone(self._gone) from error

    def damaged(self, cause: str) -> NoReturn:
        """Stored bytes are wrong. The mark carries the suspicion over the restart. Raises OutboxDamaged."""
        self._gone = f"outbox is damaged: {cause}"
        if self._mark is not None:
            self._mark.write(self.book, suspect=True)
        raise OutboxDamaged(self._gone)

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The connection, for reads. Raises OutboxGone when they fail."""
        self.refuse_when_gone()
        try:
            yield self.connection
        except sqlite3.Error as error:
            self.fail(error)

    def close(self) -> None:
        """Calling it again does nothing."""
        self._gone = self._gone or "outbox is closed"
        self.connection.close()
        if self._mark is not None:
            self._mark.close()

    # --- what several operations ask ------------------------------------------------------------------

    def run_ns(self) -> int:
        """How long the box has run with this file."""
        return self.clock.mono_ns() - self._run_from_ns

    def used_bytes(self) -> int:
        """Live bytes of the database, free pages not counted."""
        (pages,) = self.connection.execute("PRAGMA page_count").fetchone()
        (free,) = self.connection.execute("PRAGMA freelist_count").fetchone()
        return int(pages - free) * PAGE_BYTES

    def chain_at(self, lane: Lane, seq: int) -> bytes | None:
        """The chain of a lane at a number; None where it is not known (trimmed, inside a gap, not assigned)."""
        book = self.book.lanes[lane]
        known = {book.acked: book.acked_chain, book.last: book.chain, book.base: book.base_chain}
        if seq in known:
            return known[seq]
        if seq == 0 and book.base == 0:
            return CHAIN_START
        row = self.row_at(lane, seq) if book.base < seq < book.last else None
        return row[2] if row and row[1] == seq else None

    def row_at(self, lane: Lane, seq: int) -> tuple[int, int, bytes] | None:
        """(seq, through, chain) of the row that covers a number of a lane."""
        row = self.connection.execute(
            "SELECT key, through, chain FROM record WHERE key > ? AND key <= ? ORDER BY key DESC LIMIT 1",
            (key_of(lane, 0), key_of(lane, seq)),
        ).fetchone()
        if row is None:
            return None
        first = row[0] & SEQ_MASK
        through = row[1] or first
        return (first, through, row[2]) if through >= seq else None

    def count_records(self, lane: Lane, after: int, through: int) -> int:
        """Records kept with after < seq <= through, GAP rows not counted."""
        (count,) = self.connection.execute(
            "SELECT count(*) - count(gap) FROM record WHERE key > ? AND key <= ?",
            (key_of(lane, after), key_of(lane, through)),
        ).fetchone()
        return int(count)

    def device(self, draft: Draft, name: str) -> tuple[int, Device]:
        """A device and its short number, as the draft has it; a new one gets a number."""
        number = self._device_no.get(name)
        if number is not None:
            return number, draft.devices.get(number) or self.devices[number]
        for number, device in draft.devices.items():
            if device.name == name:
                return number, device
        number = 1 + max([*self.devices, *draft.devices], default=0)
        draft.devices[number] = Device(name)
        return number, draft.devices[number]

    def space(self, device: Device, number: int) -> Space:
        """How far a device has counted in one of its spaces of record numbers."""
        return device.spaces.get(number) or Space(epoch=self.book.first_device_epoch)

    def load_latest(self) -> None:
        """Find the newest state record of each device."""
        rows = self.connection.execute(
            "SELECT device, max(key) FROM record WHERE key > ? AND key <= ? AND gap IS NULL GROUP BY device",
            (key_of(Lane.S, 0), key_of(Lane.S, SEQ_MASK)),
        )
        self.latest = {device: key & SEQ_MASK for device, key in rows}
