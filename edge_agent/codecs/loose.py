"""Reads JSON of devices whose types lie: numbers as strings, strings as numbers, blanks for nothing.

A protocol declares a msgspec struct of the keys it wants, each as `Loose`, or as `msgspec.Raw` where it may hold a list
or an object. Every other key is skipped without being decoded, so what is not asked for (a picture, a name) never
becomes an object and cannot spoil the message. Each reader below takes one value and gives it in the wanted type, or
None when it is absent, empty, of another type or over its bound. None of them raises.

A Loose value is a scalar as it was written. Only when one of a message's is none (an object where a number belongs) is
the message read again with all of them raw, so that one odd value does not cost the others.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeVar, cast, get_type_hints

import msgspec

from edge_agent.codecs import TOKEN_LENGTH_MAX, is_token
from wire.identity import SOURCE_SPACE_SHIFT
from wire.records import Scalar

# msgspec reads such a field as a scalar.
Loose = msgspec.Raw | str | int | float | bool | None

ABSENT: Final = msgspec.Raw(b"null")

ENUMERATION_LENGTH_MAX: Final = 16
# Below 10**18, so that it fits 64 bits with its sign.
_DIGITS_MAX: Final = 18
_NUMBER_MAX: Final = 10**_DIGITS_MAX
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
    quick, raw = _decoders(struct_type)
    try:
        return cast("S", quick.decode(data))
    except _UNREADABLE:
        pass
    try:
        return cast("S", raw.decode(data))
    except _UNREADABLE:
        return None


_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)


@lru_cache(maxsize=64)
def _decoders(struct_type: type[msgspec.Struct]) -> tuple[msgspec.json.Decoder[object], msgspec.json.Decoder[object]]:
    """Of a struct as it is declared, and of the same with all Loose values raw."""
    hints = get_type_hints(struct_type)
    names = zip(struct_type.__struct_fields__, struct_type.__struct_encode_fields__, strict=True)
    fields = [
        (name, msgspec.Raw, msgspec.field(default=ABSENT, name=key)) for name, key in names if hints[name] == Loose
    ]
    raw_type = msgspec.defstruct(f"{struct_type.__name__}Raw", fields, bases=(struct_type,))
    return msgspec.json.Decoder(struct_type), msgspec.json.Decoder(raw_type)


def scalar(value: Loose) -> Scalar | None:
    """Text, number or truth value as it is written."""
    if not isinstance(value, msgspec.Raw):
        return None if isinstance(value, str) and len(value) > _VALUE_BYTES_MAX else value
    if memoryview(value).nbytes > _VALUE_BYTES_MAX:
        return None
    try:
        decoded: Scalar | None = _decoder.decode(value)
    except _UNREADABLE:
        return None
    return decoded


def blank(value: Loose) -> bool:
    """Whether the key is absent, null or nothing but blanks: how devices say that they have no value."""
    if value is None:
        return True
    written = scalar(value)
    if isinstance(written, str):
        return not written.strip()
    return written is None and isinstance(value, msgspec.Raw) and bytes(value) == b"null"


def text(value: Loose, length_max: int) -> str | None:
    """Text without blanks around it, or a whole number as text."""
    if value is None:
        return None
    written = scalar(value)
    if isinstance(written, int) and not isinstance(written, bool):
        written = str(written) if abs(written) < _NUMBER_MAX else ""
    if not isinstance(written, str):
        return None
    stripped = written.strip()
    return stripped if 0 < len(stripped) <= length_max else None


def printable(value: Loose, length_max: int) -> str | None:
    """As `text`, with `?` for whatever is not printable ASCII."""
    found = text(value, length_max)
    if found is None or (found.isascii() and found.isprintable()):
        return found
    return "".join(character if character.isascii() and character.isprintable() else "?" for character in found)


def token(value: Loose) -> str | None:
    """An id; see `edge_agent.codecs.is_token`."""
    if isinstance(value, str) and is_token(value):
        return value
    found = text(value, TOKEN_LENGTH_MAX)
    return found if found is not None and is_token(found) else None


def enumeration(value: Loose) -> int | str | None:
    """A code: a whole number however it is written, else a token of at most ENUMERATION_LENGTH_MAX characters."""
    if value is None:
        return None
    written = scalar(value) if isinstance(value, msgspec.Raw) else value
    if isinstance(written, str):
        return _code(written)
    if written is None or (isinstance(written, float) and not written.is_integer()):
        return None
    return int(written) if abs(written) < _NUMBER_MAX else None


def count(value: Loose) -> int | None:
    """A device's number of a record: 0 <= number < 2**48."""
    written = scalar(value) if isinstance(value, msgspec.Raw) else value
    number = None if isinstance(written, bool) else enumeration(written)
    return number if isinstance(number, int) and 0 <= number < 1 << SOURCE_SPACE_SHIFT else None


def measure(value: Loose) -> float | None:
    """A finite number however it is written."""
    if value is None:
        return None
    written = scalar(value)
    if written is None or isinstance(written, bool):
        return None
    try:
        number = float(written)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def first(read: Callable[[Loose], T | None], *values: Loose) -> T | None:
    """The first of several keys, by firmware, that holds something."""
    for value in values:
        if value is not None and (found := read(value)) is not None:
            return found
    return None


def present(fields: Mapping[str, Scalar | None]) -> dict[str, Scalar]:
    """Without those that are None."""
    return {name: value for name, value in fields.items() if value is not None}


def _code(written: str) -> int | str | None:
    number = _whole(written)
    if number is not None:
        return number
    found = written.strip()
    if found != written and (number := _whole(found)) is not None:
        return number
    return found if len(found) <= ENUMERATION_LENGTH_MAX and is_token(found) else None


def _whole(digits: str) -> int | None:
    if len(digits) > _DIGITS_MAX + 1 or not digits.isascii():
        return None
    if digits.isdigit():
        return int(digits) if len(digits) <= _DIGITS_MAX else None
    return int(digits) if digits[:1] == "-" and digits[1:].isdigit() else None
