"""SQLite's write-ahead log, read without SQLite.

    header   magic 377f0682/83, version, page size, checkpoint number, salt x 2, checksum x 2        8 x u32, big-endian
    frame    page number, database pages after commit (0: no commit), salt x 2, checksum x 2, then one page

The checksum of a frame continues that of the frame before it, and salts change when the log starts over, so whatever
does not continue is left over from an earlier round. That is how SQLite finds the end of the log after a crash, and
also why it takes a log with one flipped bit for a log that ends there: what was committed behind the bit vanishes
without a word. Read before SQLite touches it, the log still shows it: frames of this round, a commit among them,
behind the place where the checksum breaks.

Source: "Database File Format", sqlite.org/fileformat2.html §4.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from edge_agent.outbox.connection import PAGE_BYTES

HEADER: Final = struct.Struct(">8I")
FRAME: Final = struct.Struct(">6I")
MAGIC: Final = 0x377F0682  # the lowest bit says in which byte order the checksum reads its words
_MASK: Final = 0xFFFFFFFF


class Frame(NamedTuple):
    """One frame of the present round. offset: of its page in the log; sound: its checksum continues the one before."""

    page: int
    offset: int
    sound: bool
    commit: bool


@dataclass(frozen=True, slots=True)
class WalScan:
    """frames: of the present round, through its last commit. broken: commits lie behind a place that does not hold."""

    frames: list[Frame]
    broken: bool


def scan(path: Path) -> WalScan:
    """Read a log. A missing or empty one has no frames. Raises OSError."""
    try:
        with path.open("rb") as file:
            return _scan(file)
    except FileNotFoundError:
        return WalScan([], broken=False)


def _scan(file: BinaryIO) -> WalScan:
    raw = file.read(HEADER.size)
    if len(raw) < HEADER.size:
        return WalScan([], broken=False)
    magic, _, page_size, _, salt_1, salt_2, sum_1, sum_2 = HEADER.unpack(raw)
    order = ">" if magic & 1 else "<"
    header_sound = (
        magic & ~1 == MAGIC and page_size == PAGE_BYTES and _checksum(order, 0, 0, raw[:24]) == (sum_1, sum_2)
    )
    salts = (salt_1, salt_2) if header_sound else None
    before = (sum_1, sum_2)
    frames: list[Frame] = []
    unbroken = header_sound
    last_commit, committed = -1, -1
    for offset, head, page in _frames(file):
        number, pages_after, *frame_salts, frame_1, frame_2 = FRAME.unpack(head)
        # Without a header the first frame speaks for the round: the log is always written from its start.
        salts = salts or (frame_salts[0], frame_salts[1])
        if (frame_salts[0], frame_salts[1]) != salts:
            unbroken = False
            before = (frame_1, frame_2)
            continue
        sound = _checksum(order, *before, head[:8] + page) == (frame_1, frame_2)
        before = (frame_1, frame_2)
        unbroken = unbroken and sound
        frames.append(Frame(number, offset, sound, commit=pages_after != 0))
        if pages_after:
            last_commit = len(frames) - 1
            if unbroken:
                committed = last_commit
    return WalScan(frames[: last_commit + 1], broken=last_commit > committed)


def _frames(file: BinaryIO) -> Iterator[tuple[int, bytes, bytes]]:
    offset = HEADER.size
    while True:
        head, page = file.read(FRAME.size), file.read(PAGE_BYTES)
        if len(page) < PAGE_BYTES:
            return
        yield offset + FRAME.size, head, page
        offset += FRAME.size + PAGE_BYTES


def _checksum(order: str, first: int, second: int, data: bytes) -> tuple[int, int]:
    words = iter(struct.unpack(f"{order}{len(data) // 4}I", data))
    for word in words:
        first = (first + word + second) & _MASK
        second = (second + next(words) + first) & _MASK
    return first, second
