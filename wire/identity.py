"""Names that last: event ids, source keys, pseudonyms, the chain.

- event id: 128 bits made at the first durable write, 96 of them random and a count of the run of the box behind them;
  survives renumbering.
- source key: (device, device_epoch, record_no) where the device numbers its own records. The same key with the
  same fingerprint is a repeat; with another it is a conflict.
- ref: first 16 bytes of HMAC-SHA256(campus key, normal form) of a card number or person number. The raw number
  does not leave the function that makes the ref.
- chain: first 16 bytes of SHA-256(previous chain + SHA-256(stored bytes)). It covers the hash, so that a body can
  be blanked (retention, erasure) and the chain still be checked.
"""

import hashlib
import hmac
import re
from typing import Annotated, Final

import msgspec

EventId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Epoch = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Chain = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Ref = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]

CHAIN_START: Final = bytes(16)
_UID = re.compile(r"(?:[0-9A-F]{2}){3,10}\Z")


def record_hash(body: bytes) -> bytes:
    """SHA-256 of the stored bytes of a record, 32 bytes."""
    return hashlib.sha256(body).digest()


def chain_next(previous: bytes, body_hash: bytes) -> bytes:
    """The chain after one more record. previous: 16 bytes; body_hash: 32 bytes. Returns 16 bytes."""
    return hashlib.sha256(previous + body_hash).digest()[:16]


def derived_id(*parts: str | int) -> str:
    """An event id for a fact that follows from others, equal whenever it is computed again. 32 hex digits."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).hexdigest()[:32]


class SourceKey(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """A device's own number for a record. epoch counts restarts of the device's index, from 0.

    A device that counts its kinds of records apart has several spaces of numbers, see `source_no`. Each space grows
    and restarts for itself, so a restart is looked for within one space only.
    """

    record_no: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
    epoch: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)] = 0


SOURCE_SPACE_SHIFT: Final = 48
SOURCE_SPACES_MAX: Final = 1 << 14


def source_no(number: int, space: int = 0) -> int:
    """The record_no of a device's number within one of its spaces: the space in the bits from 48 up.

    number: 0 <= number < 2**48; space: 0 <= space < 2**14. Raises ValueError outside these.
    """
    if not (0 <= number < 1 << SOURCE_SPACE_SHIFT and 0 <= space < SOURCE_SPACES_MAX):
        raise ValueError(f"record number {number} in space {space}")
    return space << SOURCE_SPACE_SHIFT | number


def source_space(record_no: int) -> int:
    """The space of numbers a record_no belongs to."""
    return record_no >> SOURCE_SPACE_SHIFT


# Numbers made of a record's content, for devices that count nothing and send a record again unchanged. They come in no
# order, so that "lower than the last" says nothing about a device in this space.
CONTENT_SPACE: Final = SOURCE_SPACES_MAX - 1


def content_no(ref: str) -> int:
    """The record_no of a record without a number. ref: of its content, see `Pseudonymiser.ref`.

    The campus key in it is what keeps a person's number from being guessed back. 48 bits: two of a million records of
    one device share a number in one case of 500, which costs neither of them (they differ in time or in content).
    """
    return source_no(int(ref[: SOURCE_SPACE_SHIFT // 4], 16), CONTENT_SPACE)


def is_ordered(record_no: int) -> bool:
    """Whether a device counts upwards in the space of this number."""
    return source_space(record_no) != CONTENT_SPACE


class Pseudonymiser:
    """Turns numbers of people and cards into refs with the campus key. Prints as nothing."""

    __slots__ = ("_keyed",)

    def __init__(self, campus_key: bytes) -> None:
        """campus_key: at least 16 random bytes, the same on every box of one campus."""
        if len(campus_key) < 16:
            raise ValueError("campus key must have at least 16 bytes")
        self._keyed = hmac.new(campus_key, digestmod=hashlib.sha256)

    def __repr__(self) -> str:
        """Never the key."""
        return "Pseudonymiser(…)"

    def ref(self, domain: str, normal_form: str) -> str:
        """The ref of a number. domain keeps a card `17` apart from a person `17`. 32 hex digits."""
        keyed = self._keyed.copy()
        keyed.update(f"{domain}\x1f{normal_form}".encode())
        return keyed.hexdigest()[:32]


def card_normal_form(uid: bytes, technology: str) -> str:
    """UID as upper hex in air order, its length in bits, the technology: `04A1B2C3/32/iso14443a`.

    uid: 3 to 10 bytes, first byte as first sent over the air. Raises ValueError outside that.
    """
    text = uid.hex().upper()
    if not _UID.match(text):
        raise ValueError(f"card number of {len(uid)} bytes; expected 3 to 10")
    return f"{text}/{len(uid) * 8}/{technology}"


def tail(text: str) -> str:
    """The last four characters, which is all of a card number that is ever printed."""
    return text[-4:]
