"""The files of one outbox, and how they change places without a moment in which a crash would hurt.

    outbox.sqlite             the database; beside it SQLite's own -wal and -shm
    outbox.sqlite.lock        held with flock by the one process that writes
    outbox.sqlite.mark        how far each lane was known to have come (Mark)
    outbox.sqlite.stage       a new database while it is being filled; of no value after a crash
    outbox.sqlite.ready-7     a new database, complete, about to take the place of what becomes set 7
    outbox.damaged-7.sqlite   set 7 of damaged files, with its own -wal; the newest three sets are kept

A database is always made as `stage`, closed, renamed to `ready-n`, and only then the old files step aside and it takes
their place. Whoever finds a `ready-n` at start carries on from there; whoever finds a `stage` throws it away. So a
file under the real name is always complete, and anything else under that name is damage.
"""

import fcntl
import os
import re
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from edge_agent.outbox.book import Book
from edge_agent.outbox.model import OutboxBusy
from wire.topics import LANES, Lane

SETS_KEPT: Final = 3
FILE_MODE: Final = 0o600


class Files:
    """Names and moves. All moves are renames within one folder."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.folder = path.parent
        self.wal = self._beside("-wal")
        self.lock = self._beside(".lock")
        self.mark = self._beside(".mark")
        self.stage = self._beside(".stage")
        self._ready = re.compile(re.escape(path.name) + r"\.ready-(\d{1,9})\Z")
        self._aside = re.compile(re.escape(path.stem) + r"\.damaged-(\d{1,9})" + re.escape(path.suffix) + r"(-wal)?\Z")

    def _beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)

    def set_name(self, number: int) -> str:
        """The name of the database file of a set of damaged files."""
        return f"{self.path.stem}.damaged-{number}{self.path.suffix}"

    def sets(self) -> list[int]:
        """Numbers of the sets of damaged files, oldest first."""
        return sorted({int(match[1]) for path in self.folder.iterdir() if (match := self._aside.match(path.name))})

    def prepare(self) -> None:
        """Make the folder, finish a change of places that a crash cut short, remove what is only half made."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in list(self.folder.iterdir()):
            if match := self._ready.match(path.name):
                self.take_place(int(match[1]))
        self.drop_stage()

    def drop_stage(self) -> None:
        """Remove a half made database."""
        for suffix in ("", "-wal", "-shm", "-journal"):
            self.stage.with_name(self.stage.name + suffix).unlink(missing_ok=True)

    def new_stage(self) -> Path:
        """An empty file to make a database in, readable by its owner only."""
        self.drop_stage()
        os.close(os.open(self.stage, os.O_CREAT | os.O_EXCL | os.O_RDWR, FILE_MODE))
        return self.stage

    def stage_done(self, number: int) -> None:
        """The stage is complete and closed; number: the set that the files in its place will become."""
        _flush(self.stage)
        self.stage.rename(self._beside(f".ready-{number}"))
        _flush(self.folder)
        self.take_place(number)

    def take_place(self, number: int) -> None:
        """Set the present files aside as set number, give the complete one their place, forget the oldest sets.

        The database moves before its log: a database without its log would look whole, only older.
        """
        aside = self.path.with_name(self.set_name(number))
        if self.path.exists():
            self.path.rename(aside)
        if self.wal.exists():
            self.wal.rename(aside.with_name(aside.name + "-wal"))
        self._beside("-shm").unlink(missing_ok=True)
        self._beside(f".ready-{number}").rename(self.path)
        for old in self.sets()[:-SETS_KEPT]:
            self.forget_set(old)
        _flush(self.folder)

    def forget_set(self, number: int) -> None:
        """Delete one set of damaged files."""
        for suffix in ("", "-wal", "-shm"):
            self.path.with_name(self.set_name(number) + suffix).unlink(missing_ok=True)


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class Lock:
    """One writer per outbox, also across processes; the kernel lets go when the process dies, however it dies."""

    def __init__(self, path: Path) -> None:
        """Raises OutboxBusy."""
        self._descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise OutboxBusy(f"{path.name}: another process has this outbox open") from None

    def release(self) -> None:
        """Let the next one in. Calling it again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


@dataclass(frozen=True, slots=True)
class Marked:
    """The content of a mark. last: highest number committed, by lane. suspect: a read met damage; look everywhere."""

    epoch: str
    last: dict[Lane, int]
    suspect: bool


_MARK: Final = struct.Struct(">4s16s5Q?3x")
_MAGIC: Final = b"OBM1"


class Mark:
    """How far each lane was known to have come, written after each commit and never flushed.

    It costs no flush because it may be old: the database is flushed first, so a mark behind it means nothing. But a
    database behind its mark has lost commits that were once safe (a log cut short, a card that lied about a flush, an
    old copy put back), which SQLite itself takes for a clean start.
    """

    def __init__(self, descriptor: int) -> None:
        """Use `open`."""
        self._descriptor = descriptor
        self._written = b""

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open for writing; made if missing."""
        return cls(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, FILE_MODE))

    @staticmethod
    def load(path: Path) -> Marked | None:
        """What a mark says; None when there is none or it cannot be believed."""
        try:
            raw = path.read_bytes()
        except OSError:
            return None
        if len(raw) != _MARK.size + 4 or zlib.crc32(raw[:-4]).to_bytes(4, "big") != raw[-4:]:
            return None
        magic, epoch, *last, suspect = _MARK.unpack(raw[:-4])
        if magic != _MAGIC:
            return None
        return Marked(epoch.hex(), dict(zip(LANES, last, strict=True)), suspect)

    def write(self, book: Book, *, suspect: bool = False) -> None:
        """Say how far book has come. A mark that cannot be written stops nothing: it only ever adds certainty."""
        last = [book.lanes[lane].last for lane in LANES]
        content = _MARK.pack(_MAGIC, bytes.fromhex(book.epoch), *last, suspect)
        if content == self._written or self._descriptor < 0:
            return
        self._written = content
        try:
            os.pwrite(self._descriptor, content + zlib.crc32(content).to_bytes(4, "big"), 0)
        except OSError:
            self._written = b""

    def close(self) -> None:
        """Calling it again does nothing."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
