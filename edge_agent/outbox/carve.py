"""Records out of a database that SQLite may no longer be able to read.

Nothing of the tree is believed, neither the header nor the counts nor the links between pages. Every page is looked at
for cells that decode to a row of ours, and every row has to match its own digest. So a page is worth reading whatever
happened to its neighbours, and what is found is true.

    cell of a table leaf   payload length, row id (both varints), payload, first overflow page if it does not fit
    payload                header length, one serial type per column (all varints), then the columns' bytes

A page stands in the database file and perhaps several times in the log. The newest copy counts; only when that one does
not verify are older copies asked as well.

Memory: one small tuple per page and per gap of the file, one page's rows at a time.

Source: "Database File Format", sqlite.org/fileformat2.html §1.6, §2.1, §4.
"""

import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple, Self

from edge_agent.outbox import wal
from edge_agent.outbox.book import LANE_NO, SEQ_BITS, SEQ_MASK, Book, decode, digest
from edge_agent.outbox.connection import PAGE_BYTES
from wire.errors import Malformed, UnknownTopic
from wire.records import RECORD_BYTES_MAX, Gap, Record, decode_record, record_lane
from wire.topics import LANES, Lane

RECORD_COLUMNS: Final = 11
DOCUMENT_COLUMNS: Final = 3
LOCAL_BYTES_MAX: Final = PAGE_BYTES - 35
LOCAL_BYTES_MIN: Final = (PAGE_BYTES - 12) * 32 // 255 - 23
PAYLOAD_BYTES_MAX: Final = RECORD_BYTES_MAX + 1024
_LEAF_HEADER_BYTES: Final = 8
_CELL_BYTES_MIN: Final = 4
# First byte of an index page. Three bits and more from that of a table leaf (13), so no flipped bit made one of these.
_INDEX_PAGES: Final = frozenset({2, 10})
_INTEGER_BYTES: Final = {0: 0, 1: 1, 2: 2, 3: 3, 4: 4, 5: 6, 6: 8, 7: 8, 8: 0, 9: 0}

Value = int | bytes | None


class Carved(NamedTuple):
    """One verified record. lane: where it belongs; at, seq: lane and number under which it was filed."""

    lane: Lane
    at: Lane
    seq: int
    record: Record
    body: bytes


class _Cell(NamedTuple):
    key: int
    values: list[Value]


class Wreck:
    """The damaged files, open for reading; a context manager. book: the newest one that verifies."""

    def __init__(self, database: Path, log: Path) -> None:
        """Raises OSError only when a file that exists cannot be opened."""
        self._database = _open(database)
        self._log = _open(log)
        self._copies: dict[int, list[wal.Frame]] = defaultdict(list)
        for frame in reversed(_frames(log)):
            self._copies[frame.page].append(frame)
        size = database.stat().st_size if self._database else 0
        self._order: list[tuple[int, int]] = []
        self._gaps: dict[Lane, list[tuple[int, int]]] = defaultdict(list)
        self.book: Book | None = None
        for page in sorted({*range(1, -(-size // PAGE_BYTES) + 1), *self._copies}):
            self._look_at(page)
        for gaps in self._gaps.values():
            gaps.sort()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in (self._database, self._log):
            if file is not None:
                file.close()

    def _look_at(self, page: int) -> None:
        """Note where a page's records belong, and the newest book that verifies."""
        keys: list[int] = []
        for age, image in enumerate(self._images(page)):
            for cell in self._cells(image):
                if _is_row(cell):
                    keys.append(cell.key)
                    if age == 0 and (gap := _gap(cell)) is not None:
                        self._gaps[gap[0]].append(gap[1:])
                elif (book := _book(cell)) is not None and (self.book is None or book.commit > self.book.commit):
                    self.book = book
        if keys:
            # The middle of the page's keys: one of them may be the damaged one.
            self._order.append((sorted(keys)[len(keys) // 2], page))

    def records(self) -> Iterator[Carved]:
        """Every record that verifies, lane by lane in the order of its numbers, some of them more than once.

        A row whose number was hit by the damage comes at another place of its lane. Rows that newer copies show as
        dropped are left out.
        """
        for _, page in sorted(self._order):
            yield from self._page_records(page)

    def _page_records(self, page: int) -> Iterator[Carved]:
        found: dict[bytes, Carved] = {}
        for image in self._images(page):
            for cell in self._cells(image):
                carved = _carved(cell) if _is_row(cell) else None
                if carved is not None and not self._was_dropped(carved):
                    found.setdefault(carved.body, carved)
        yield from sorted(found.values(), key=lambda carved: (LANE_NO[carved.at], carved.seq))

    def _was_dropped(self, carved: Carved) -> bool:
        """Whether a gap stands in the newest copies for this record's number: then only an old copy still has it."""
        gaps = self._gaps.get(carved.at, [])
        at = bisect_right(gaps, (carved.seq, SEQ_MASK))
        return at > 0 and carved.seq <= gaps[at - 1][1]

    # --- pages and cells --------------------------------------------------------------------------------

    def _images(self, page: int) -> Iterator[bytes]:
        """Copies of a page, newest first, through the first that its log frame vouches for."""
        for frame in self._copies.get(page, ()):
            image = _read(self._log, frame.offset)
            if image:
                yield image
            if frame.sound:
                return
        if image := _read(self._database, (page - 1) * PAGE_BYTES):
            yield image

    def _cells(self, image: bytes) -> Iterator[_Cell]:
        """Cells of a page that have the shape of a row of ours, in the order of its pointers.

        The count of cells in the page's header is not believed: pointers are followed as long as they can be.
        """
        if not any(image) or image[0] in _INDEX_PAGES:
            return
        start = len(image)
        at = _LEAF_HEADER_BYTES
        while at + 2 <= start:
            (pointer,) = struct.unpack_from(">H", image, at)
            at += 2
            if not at <= pointer <= len(image) - _CELL_BYTES_MIN:
                continue
            cell = self._cell(image, pointer)
            if cell is not None:
                # Pointers end where the lowest cell begins.
                start = min(start, pointer)
                yield cell

    def _cell(self, image: bytes, at: int) -> _Cell | None:
        try:
            size, at = _varint(image, at)
            key, at = _varint(image, at)
            if not 0 < size <= PAYLOAD_BYTES_MAX:
                return None
            return _Cell(key, values) if (values := _values(self._payload(image, at, size))) is not None else None
        except IndexError:
            return None

    def _payload(self, image: bytes, at: int, size: int) -> bytes:
        if size <= LOCAL_BYTES_MAX:
            return image[at : at + size]
        local = LOCAL_BYTES_MIN + (size - LOCAL_BYTES_MIN) % (PAGE_BYTES - 4)
        local = local if local <= LOCAL_BYTES_MAX else LOCAL_BYTES_MIN
        parts = [image[at : at + local]]
        left, page = size - local, int.from_bytes(image[at + local : at + local + 4], "big")
        while left > 0:
            overflow = next(self._images(page), b"") if page else b""
            if len(overflow) < PAGE_BYTES:
                return b""
            page = int.from_bytes(overflow[:4], "big")
            parts.append(overflow[4 : 4 + left])
            left -= PAGE_BYTES - 4
        return b"".join(parts)


def _frames(log: Path) -> list[wal.Frame]:
    try:
        return wal.scan(log).frames
    except OSError:
        return []


def _open(path: Path) -> BinaryIO | None:
    try:
        return path.open("rb")
    except FileNotFoundError:
        return None


def _read(file: BinaryIO | None, offset: int) -> bytes:
    """A page, or what there is of it; nothing where the medium cannot be read."""
    if file is None:
        return b""
    try:
        file.seek(offset)
        return file.read(PAGE_BYTES)
    except OSError:
        return b""


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """A variable-length integer and where it ends. Raises IndexError at the end of data."""
    value = 0
    for _ in range(8):
        byte = data[at]
        at += 1
        value = value << 7 | byte & 0x7F
        if byte < 0x80:
            return value, at
    return value << 8 | data[at], at + 1


def _values(payload: bytes) -> list[Value] | None:
    """The columns of a payload; None unless it is exactly as long as its header says and has a shape of ours."""
    if not payload:
        return None
    header_end, at = _varint(payload, 0)
    serials: list[int] = []
    while at < header_end:
        serial, at = _varint(payload, at)
        serials.append(serial)
        if len(serials) > RECORD_COLUMNS:
            return None
    if at != header_end or len(serials) not in {RECORD_COLUMNS, DOCUMENT_COLUMNS}:
        return None
    values: list[Value] = []
    for serial in serials:
        if serial >= 12 and serial % 2 == 0:
            size = (serial - 12) // 2
            values.append(payload[at : at + size])
        elif serial in _INTEGER_BYTES and serial != 7:
            size = _INTEGER_BYTES[serial]
            values.append(_integer(serial, payload[at : at + size]))
        else:
            return None
        at += size
    return values if at == len(payload) else None


def _integer(serial: int, data: bytes) -> int | None:
    if serial == 0:
        return None
    return serial - 8 if serial >= 8 else int.from_bytes(data, "big", signed=True)


# --- rows of ours ---------------------------------------------------------------------------------------


def _is_row(cell: _Cell) -> bool:
    """Whether a cell is a row of `record` whose body matches its digest, filed in a lane that exists."""
    if len(cell.values) != RECORD_COLUMNS or cell.key >> SEQ_BITS not in range(len(LANES)):
        return False
    stored, body = cell.values[8], cell.values[10]
    return isinstance(body, bytes) and isinstance(stored, bytes) and digest(body) == stored


def _gap(cell: _Cell) -> tuple[Lane, int, int] | None:
    through, gap = cell.values[6], cell.values[7]
    if not (isinstance(through, int) and isinstance(gap, int)):
        return None
    return LANES[cell.key >> SEQ_BITS], cell.key & SEQ_MASK, through


def _carved(cell: _Cell) -> Carved | None:
    body = cell.values[10]
    if not isinstance(body, bytes) or _gap(cell) is not None:
        return None
    try:
        record = decode_record(body)
    except Malformed:
        return None
    at = LANES[cell.key >> SEQ_BITS]
    try:
        lane = record_lane(record)
    except UnknownTopic:
        lane = at
    return None if isinstance(record, Gap) else Carved(lane, at, cell.key & SEQ_MASK, record, body)


def _book(cell: _Cell) -> Book | None:
    if len(cell.values) != DOCUMENT_COLUMNS or cell.key != 1:
        return None
    _, body, stored = cell.values
    if not (isinstance(body, bytes) and isinstance(stored, bytes) and digest(body) == stored):
        return None
    try:
        return decode(body, Book)
    except ValueError:
        return None
