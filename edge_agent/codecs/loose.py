"""Reads JSON of devices whose types lie: numbers as strings, strings as numbers, blanks for nothing.

A protocol declares a msgspec struct of the keys it wants, each as `msgspec.Raw`. Every other key is skipped without
being decoded, so what is not asked for (a picture, a name) never becomes an object and cannot spoil the message.
Each reader below takes one raw value and gives it in the wanted type, or None when it is absent, empty, of another type
or over its bound. None of them raises.
"""

import math
from collections.abc import Callable, Mapping
from typing import Final, TypeVar

import msgspec

from edge_agent.codecs import TOKEN_LENGTH_MAX, is_token
from wire.identity import SOURCE_SPACE_SHIFT
from wire.records import Scalar

ABSENT: Final = msgspec.Raw(b"null")

ENUMERATION_LENGTH_MAX: Final = 16
# Below 10**18, so that it fits 64 bits with its sign.
_DIGITS_MAX: Final = 18
# JSON may escape one character in up to 12 bytes; the largest text anyone asks for is a QR code of 4,296 characters.
_VALUE_BYTES_MAX: Final = 12 * 4296 + 2

T = TypeVar("T")
S = TypeVar("S", bound=msgspec.Struct)

_decoder: Final = msgspec.json.Decoder(str | int | float | bool | None)


def utf8(payload: bytes) -> bytes | None:
    """The payload as UTF-8; None when it is neither that nor GBK, which Chinese firmware may write anyway.

    Bytes that are no text are not looked into: a key that was damaged on its way would be passed over as unknown, and
    the rest taken for a whole record.
    """
    if payload.isascii():
        return payload
    for encoding in ("utf-8", "gbk"):
        try:
            text = payload.decode(encoding)
        except UnicodeDecodeError:
            continue
        return payload if encoding == "utf-8" else text.encode()
    return None


def struct(data: bytes | msgspec.Raw, struct_type: type[S]) -> S | None:
    """The object in data; None when data is no JSON object. Text after the object counts as none."""
    try:
        return msgspec.json.decode(data, type=struct_type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return None


def scalar(raw: msgspec.Raw) -> Scalar | None:
    """Text, number or truth value as it is written."""
    if memoryview(raw).nbytes > _VALUE_BYTES_MAX:
        return None
    try:
        value: Scalar | None = _decoder.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, ValueError):
        return None
    return value


def blank(raw: msgspec.Raw) -> bool:
    """Whether the key is absent, null or nothing but blanks: how devices say that they have no value."""
    value = scalar(raw)
    if isinstance(value, str):
        return not value.strip()
    return value is None and bytes(raw) == b"null"


def text(raw: msgspec.Raw, length_max: int) -> str | None:
    """Text without blanks around it, or a whole number as text."""
    value = scalar(raw)
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value) if abs(value) < 10**_DIGITS_MAX else ""
    if not isinstance(value, str):
        return None
    stripped = value.strip()
    return stripped if 0 < len(stripped) <= length_max else None


def printable(raw: msgspec.Raw, length_max: int) -> str | None:
    """As `text`, with `?` for whatever is not printable ASCII."""
    found = text(raw, length_max)
    if found is None:
        return None
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in found)


def token(raw: msgspec.Raw) -> str | None:
    """An id; see `edge_agent.codecs.is_token`."""
    found = text(raw, TOKEN_LENGTH_MAX)
    return found if found is not None and is_token(found) else None


def enumeration(raw: msgspec.Raw) -> int | str | None:
    """A code: a whole number however it is written, else a token of at most ENUMERATION_LENGTH_MAX characters."""
    value = scalar(raw)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 10**_DIGITS_MAX:
        return int(value)
    found = text(raw, ENUMERATION_LENGTH_MAX + _DIGITS_MAX)
    if found is None:
        return None
    number = _whole(found)
    if number is not None:
        return number
    return found if is_token(found) and len(found) <= ENUMERATION_LENGTH_MAX else None


def count(raw: msgspec.Raw) -> int | None:
    """A device's number of a record: 0 <= number < 2**48."""
    number = None if isinstance(scalar(raw), bool) else enumeration(raw)
    return number if isinstance(number, int) and 0 <= number < 1 << SOURCE_SPACE_SHIFT else None


def measure(raw: msgspec.Raw) -> float | None:
    """A finite number however it is written."""
    value = scalar(raw)
    if value is None or isinstance(value, bool):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def first(read: Callable[[msgspec.Raw], T | None], *raws: msgspec.Raw) -> T | None:
    """The first of several keys, by firmware, that holds something."""
    return next((value for value in map(read, raws) if value is not None), None)


def present(fields: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    """Without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def _whole(digits: str) -> int | None:
    unsigned = digits.removeprefix("-")
    return int(digits) if unsigned.isascii() and unsigned.isdigit() and len(unsigned) <= _DIGITS_MAX else None
