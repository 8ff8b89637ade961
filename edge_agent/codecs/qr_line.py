"""Code scanners that write what they read as a line of text: CR, LF or CR LF at its end, UTF-8 or GBK.

A campus code is opaque, works once and only for a moment, and whoever has it is taken for its owner: it leaves here as
a `Secret` and stands in no log.

A line longer than LINE_BYTES_MAX is dropped to its end and said once. A line that stops in the middle (a plug pulled, a
scanner reset) must not become the head of the next one, so a pause ends it.
"""

from collections.abc import Sequence
from typing import Final

from edge_agent.codecs.kinds.serial import Framed, SerialCodec
from edge_agent.message import Discard, Message, RawCredential, Secret
from wire.records import CredentialKind

# The largest QR code there is holds 4,296 characters.
LINE_BYTES_MAX: Final = 4296
RAW_BYTES_MAX: Final = 512
_ENDS: Final = b"\r\n"


class LineFramer:
    """See edge_agent.codecs.kinds.serial.Framer. Holds a line at most."""

    __slots__ = ("_line", "_overlong")

    def __init__(self) -> None:
        self._line = bytearray()
        self._overlong = False

    @property
    def begun(self) -> bool:
        """See Framer."""
        return bool(self._line)

    def feed(self, data: bytes) -> Sequence[Framed]:
        """See Framer."""
        found: list[Framed] = []
        at = 0
        while at < len(data):
            ends = [end for sign in _ENDS if (end := data.find(sign, at)) >= 0]
            end = min(ends, default=len(data))
            self._add(data[at:end])
            if ends:
                self._finish(found)
            at = end + 1
        return found

    def idle(self) -> Sequence[Framed]:
        """See Framer."""
        raw = bytes(self._line[:RAW_BYTES_MAX])
        reason = "too_long" if self._overlong else "unfinished"
        self._line.clear()
        self._overlong = False
        return [Framed(raw, Discard(reason))] if raw else []

    def _add(self, piece: bytes) -> None:
        room = LINE_BYTES_MAX - len(self._line)
        self._line += piece[:room]
        self._overlong |= len(piece) > room

    def _finish(self, found: list[Framed]) -> None:
        line, overlong = bytes(self._line), self._overlong
        self._line.clear()
        self._overlong = False
        if line:
            found.append(Framed(line[:RAW_BYTES_MAX], Discard("too_long") if overlong else _read(line)))


def _read(line: bytes) -> Message | Discard:
    for encoding in ("utf-8", "gbk"):
        try:
            text = line.decode(encoding).strip()
        except UnicodeDecodeError:
            continue
        if not text.isprintable():
            return Discard("control_characters")
        if not text:
            return Discard("blank")
        return Message(kind="code", credential=RawCredential(CredentialKind.QR, Secret(text)))
    return Discard("not_text")


SPEC: Final = SerialCodec(
    protocol="qr-line",
    records=frozenset({"code"}),
    signs={},
    harmless_keys=frozenset(),
    framer=LineFramer,
    # Far above the time between two bytes at 9600 baud; scanners on radio and USB pause between packets.
    idle_gap_s=0.2,
    quiet=True,
)
