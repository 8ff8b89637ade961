"""Finds the parts of a multipart stream that never ends, as devices really write it. Pure; bounded; raises nothing.

    --boundary CRLF  Content-Type: application/xml CRLF  Content-Length: 512 CRLF CRLF  <EventNotificationAlert>…

Nothing that a device says of a part is relied on alone. A part is over at whatever comes first: the text that ends a
document of its kind, the next delimiter, or, for kinds without such a text, its length. So a wrong length costs
nothing, an event is there with its last byte and not with the next event, and where a delimiter is missing the header
lines of the next part begin it. Parts of other kinds (pictures) are passed over byte by byte and never kept.
"""

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

LINE_BYTES_MAX: Final = 1024
HEADERS_MAX: Final = 32
HEAD_KEPT: Final = 512
_LENGTH_DIGITS_MAX: Final = 9
_HEADER: Final = re.compile(rb"Content-[A-Za-z-]{1,32}[ \t]*:", re.IGNORECASE)


class Part(NamedTuple):
    """One part. body: whole; of one that was too large its head."""

    media_type: str
    body: bytes
    too_large: bool = False


class Multipart:
    """One stream's. Holds one part at most."""

    def __init__(self, boundary: bytes, kept: Mapping[str, bytes], part_bytes_max: int) -> None:
        """kept: media types that are wanted, in small letters -> the text that ends such a document; empty: none."""
        # Devices that write the two hyphens into the parameter do not write them twice into the stream.
        self._delimiter = boundary if boundary.startswith(b"--") else b"--" + boundary
        self._kept = kept
        self._max = part_bytes_max
        self._buffer = bytearray()
        self._found: list[Part] = []
        self._step: Callable[[], bool] = self._between
        self._overlong = False
        self._headers: dict[bytes, bytes] = {}
        self._media_type = ""
        self._length: int | None = None
        self._scanned = 0

    def feed(self, data: bytes) -> list[Part]:
        """The next bytes of the stream; the parts that are over with them."""
        self._buffer += data
        while self._step():
            pass
        found, self._found = self._found, []
        return found

    # --- between parts, and their headers ---------------------------------------------------------------

    def _between(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line.startswith(self._delimiter):
            self._begin()
        elif _HEADER.match(line):
            self._begin()
            self._header(line)
        return True

    def _begin(self) -> None:
        self._headers = {}
        self._step = self._head

    def _head(self) -> bool:
        line = self._line()
        if line is None:
            return False
        if line.startswith(self._delimiter):
            self._begin()
        elif line:
            self._header(line)
        else:
            self._enter()
        return True

    def _header(self, line: bytes) -> None:
        name, colon, value = line.partition(b":")
        if colon:
            self._headers[name.strip().lower()] = value.strip()
        if len(self._headers) > HEADERS_MAX:
            self._leave()

    def _line(self) -> bytes | None:
        """The next line that is no longer than a line may be, without its end; None when it is not there yet."""
        while True:
            end = self._buffer.find(b"\n")
            if end < 0:
                if len(self._buffer) > LINE_BYTES_MAX:
                    self._overlong = True
                    self._buffer.clear()
                return None
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            if not self._overlong and end <= LINE_BYTES_MAX:
                return line.rstrip(b"\r")
            self._overlong = False

    # --- bodies -----------------------------------------------------------------------------------------

    def _enter(self) -> None:
        self._media_type = self._headers.get(b"content-type", b"").split(b";")[0].strip().lower().decode("latin-1")
        length = self._headers.get(b"content-length", b"")
        valid = length.isdigit() and len(length) <= _LENGTH_DIGITS_MAX
        # The end of the blank line stays in front of the body, so that a delimiter always stands behind a line end.
        self._buffer[:0] = b"\n"
        self._length = int(length) + 1 if valid else None
        self._scanned = 0
        self._step = self._body if self._media_type in self._kept else self._passing

    def _leave(self) -> None:
        self._step = self._between

    def _body(self) -> bool:
        buffer, mark = self._buffer, self._kept[self._media_type]
        ends: list[tuple[int, int, int]] = []  # (known when so much is here, body ends, next begins)
        delimiter = b"\n" + self._delimiter
        if (at := buffer.find(delimiter, max(0, self._scanned - len(delimiter)))) >= 0:
            ends.append((at + len(delimiter), at, at + 1))
        if mark and (at := buffer.find(mark, max(0, self._scanned - len(mark)))) >= 0:
            ends.append((at + len(mark), at + len(mark), at + len(mark)))
        if not mark and self._length is not None and len(buffer) >= self._length:
            ends.append((self._length, self._length, self._length))
        if len(buffer) > self._max:
            ends.append((self._max + 1, 0, 0))
        if not ends:
            self._scanned = len(buffer)
            return False
        _, end, begin = min(ends)
        if not begin:
            self._found.append(Part(self._media_type, bytes(buffer[1 : HEAD_KEPT + 1]), too_large=True))
            self._length = None
            self._step = self._passing
            return True
        if body := bytes(buffer[1:end]).strip():
            self._found.append(Part(self._media_type, body))
        del buffer[:begin]
        self._leave()
        return True

    def _passing(self) -> bool:
        """A body that nobody wants."""
        buffer, delimiter = self._buffer, b"\n" + self._delimiter
        at = buffer.find(delimiter)
        if at >= 0 and (self._length is None or at + len(delimiter) <= self._length):
            del buffer[: at + 1]
            self._leave()
            return True
        if self._length is not None and len(buffer) >= self._length:
            del buffer[: self._length]
            self._leave()
            return True
        passed = max(0, len(buffer) - len(delimiter) + 1)
        del buffer[:passed]
        if self._length is not None:
            self._length -= passed
        return False


def boundary_of(content_type: str) -> bytes | None:
    """The boundary in the Content-Type of an answer; b"boundary" when it names none, as some firmware does; None when
    the answer is no multipart stream.
    """
    media_type, _, parameters = content_type.partition(";")
    if not media_type.strip().lower().startswith("multipart/"):
        return None
    for one in parameters.split(";"):
        name, _, value = one.partition("=")
        value = value.strip().strip('"')
        if name.strip().lower() == "boundary" and value and value.isascii() and len(value) <= 70 + 2:
            return value.encode()
    return b"boundary"
