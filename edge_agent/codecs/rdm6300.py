"""RDM6300 and its like: a 125 kHz reader that says the number of the tag in its field, again and again.

    02 | 10 hex digits: version byte, then the tag's 32 bits | 2 hex digits: XOR of those five bytes | 03

9600 baud, 8N1, receive only; a tag in the field is said every 50 to 65 ms. A body holds hex digits only, so 02 and 03
never stand within it and a frame that was cut or damaged costs that frame alone.

A tag's number is a person's: it leaves here as a `Secret`, in the order in which the tag says it on the air.
"""

from collections.abc import Sequence
from typing import Final

from edge_agent.codecs.kinds.serial import Framed, SerialCodec
from edge_agent.message import Discard, Message, RawCredential, Secret
from wire.records import CredentialKind

BEGIN: Final = 0x02
END: Final = 0x03
FRAME_LENGTH: Final = 14
NOISE_BYTES_MAX: Final = 64
_HEX: Final = frozenset(b"0123456789ABCDEFabcdef")


class Rdm6300Framer:
    """See edge_agent.codecs.kinds.serial.Framer. Holds a frame and NOISE_BYTES_MAX bytes at most."""

    __slots__ = ("_frame", "_noise")

    def __init__(self) -> None:
        self._frame = bytearray()
        self._noise = bytearray()

    @property
    def begun(self) -> bool:
        """See Framer."""
        return bool(self._frame or self._noise)

    def feed(self, data: bytes) -> Sequence[Framed]:
        """See Framer."""
        found: list[Framed] = []
        for byte in data:
            self._take(byte, found)
        return found

    def idle(self) -> Sequence[Framed]:
        """See Framer."""
        found: list[Framed] = []
        self._spoil(found)
        self._say_noise(found)
        return found

    def _take(self, byte: int, found: list[Framed]) -> None:
        frame = self._frame
        if byte == BEGIN:
            self._spoil(found)
            frame.append(byte)
        elif not frame:
            self._add_noise(bytes((byte,)), found)
        elif byte == END if len(frame) == FRAME_LENGTH - 1 else byte in _HEX:
            frame.append(byte)
            if len(frame) == FRAME_LENGTH:
                self._say_noise(found)
                found.append(Framed(bytes(frame), _read(frame)))
                frame.clear()
        else:
            frame.append(byte)
            self._spoil(found)

    def _spoil(self, found: list[Framed]) -> None:
        """What was begun is no frame."""
        begun = bytes(self._frame)
        self._frame.clear()
        self._add_noise(begun, found)

    def _add_noise(self, data: bytes, found: list[Framed]) -> None:
        self._noise += data
        if len(self._noise) >= NOISE_BYTES_MAX:
            self._say_noise(found)

    def _say_noise(self, found: list[Framed]) -> None:
        if self._noise:
            found.append(Framed(bytes(self._noise), Discard("noise")))
            self._noise.clear()


def _read(frame: bytearray) -> Message | Discard:
    *number, check = bytes.fromhex(frame[1:-1].decode("ascii"))
    for byte in number:
        check ^= byte
    if check:
        return Discard("checksum")
    return Message(kind="tag", credential=RawCredential(CredentialKind.CARD, Secret(bytes(number).hex().upper())))


SPEC: Final = SerialCodec(
    protocol="rdm6300",
    records=frozenset({"tag"}),
    signs={},
    harmless_keys=frozenset(),
    framer=Rdm6300Framer,
    # Fourteen bytes take 15 ms.
    idle_gap_s=0.1,
    quiet=True,
)
