"""Protobuf's wire format, as little of it as a small device needs: no message types, only numbered fields.

A message is a row of fields. Each begins with a varint (number << 3 | kind): kind 0 a varint, 2 a length and so many
bytes, 1 and 5 eight and four bytes, which are passed over. A negative number is the varint of its 64-bit two's
complement. A field that stands twice counts as it stands last; what is zero or empty is not written.
Source: the page "Encoding" of protobuf's own documentation.
"""

from collections.abc import Mapping, Sequence
from typing import Final

Field = int | bytes
Fields = dict[int, Field]
Written = Field | str | Sequence[bytes]

_VARINT_BYTES_MAX: Final = 10
_FIXED: Final = {1: 8, 5: 4}
_WORD: Final = 1 << 64


def write(fields: Mapping[int, Written]) -> bytes:
    """A message. Numbers are written as int32, int64, bool or enum; texts as UTF-8; of several each, also an empty
    one.
    """
    out = bytearray()
    for number, value in sorted(fields.items()):
        if isinstance(value, int):
            if value:
                out += _varint(number << 3) + _varint(value % _WORD)
        elif isinstance(value, bytes | str):
            raw = value.encode() if isinstance(value, str) else value
            out += _lengthy(number, raw) if raw else b""
        else:
            out += b"".join(_lengthy(number, one) for one in value)
    return bytes(out)


def read(data: bytes) -> Fields:
    """The fields of a message. Raises ValueError when it is none."""
    fields: Fields = {}
    at = 0
    while at < len(data):
        tag, at = _read_varint(data, at)
        number, kind = tag >> 3, tag & 7
        if kind == 0:
            fields[number], at = _read_varint(data, at)
            continue
        if kind == 2:
            length, at = _read_varint(data, at)
        elif kind in _FIXED:
            length = _FIXED[kind]
        else:
            raise ValueError("no such kind of field")
        if at + length > len(data):
            raise ValueError("a field ends behind its message")
        if kind == 2:
            fields[number] = data[at : at + length]
        at += length
    return fields


def whole(fields: Mapping[int, Field], number: int) -> int:
    """A field as a signed number, 0 when it is not there. Raises ValueError when it is none."""
    value = fields.get(number, 0)
    if not isinstance(value, int):
        raise ValueError("not a number")  # noqa: TRY004  foreign bytes, not a caller's mistake
    return value - _WORD if value >= _WORD // 2 else value


def raw(fields: Mapping[int, Field], number: int) -> bytes:
    """A field's bytes, none when it is not there. Raises ValueError when it has none."""
    value = fields.get(number, b"")
    if not isinstance(value, bytes):
        raise ValueError("not bytes")  # noqa: TRY004  foreign bytes, as above
    return value


def text(fields: Mapping[int, Field], number: int) -> str:
    """A field as text. Raises ValueError when it is none."""
    return raw(fields, number).decode()


def _lengthy(number: int, raw: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(raw)) + raw


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = 0
    for index in range(_VARINT_BYTES_MAX):
        if at + index >= len(data):
            break
        byte = data[at + index]
        value |= (byte & 0x7F) << (7 * index)
        if not byte & 0x80:
            return value % _WORD, at + index + 1
    raise ValueError("a number does not end")
