"""Frames: messages to bytes and back, with hard limits on everything foreign.

    byte 0   version, 1
    byte 1   encoding of the rest: 0 = plain, 1 = one zstd frame that declares its content size
    rest     lines of JSON, separated by LF, none after the last:
             line 1   header: {"kind": …, …}
             line 2…  raw lines: the records of a batch, or the one signed line of a signed message

A raw line goes on the wire exactly as it was stored; it never holds an LF because JSON escapes it. A signed message
(hello, welcome, cmd, doc) carries its message as line 2 and in the header the Ed25519 signature over
`campus/v1` LF topic LF line 2, so that nothing has to be brought into a canonical form.
"""

from typing import Annotated, Final, Literal, TypeVar

import msgspec
import zstandard

from wire.commands import Command
from wire.delivery import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Ack, Batch, DocumentChunk, Heartbeat, Hello, Welcome
from wire.errors import Malformed
from wire.records import RECORD_BYTES_MAX
from wire.topics import PROTOCOL

VERSION: Final = 1
PLAIN: Final = 0
ZSTD: Final = 1

# Below this zstd saves less than its own frame costs.
COMPRESS_FROM_BYTES: Final = 512
FRAME_BYTES_MAX: Final = BATCH_BYTES_MAX + 8 * 1024

_Signature = Annotated[str, msgspec.Meta(max_length=128)]
M = TypeVar("M", Hello, Welcome, Command, DocumentChunk)


class _SignedHeader(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    kind: Literal["hello", "welcome", "cmd", "doc"]
    signature: _Signature = ""


class Signed(msgspec.Struct, frozen=True):
    """A signed message as it arrived: the raw line, and the signature in hex (empty when unsigned)."""

    line: bytes
    signature: str


_encoder = msgspec.json.Encoder(order="deterministic")
_SIGNED_KIND: Final[dict[type, Literal["hello", "welcome", "cmd", "doc"]]] = {
    Hello: "hello",
    Welcome: "welcome",
    Command: "cmd",
    DocumentChunk: "doc",
}


def signing_input(topic: str, line: bytes) -> bytes:
    """The bytes an Ed25519 signature covers. topic: the MQTT topic the message travels on."""
    return f"{PROTOCOL}\n{topic}\n".encode() + line


def encode_line(message: Hello | Welcome | Command | DocumentChunk) -> bytes:
    """The one line of a signed message."""
    return _encoder.encode(message)


def encode_signed(message_type: type[M], line: bytes, signature: str = "") -> bytes:
    """A frame with one signed line. signature: hex."""
    header = _encoder.encode(_SignedHeader(kind=_SIGNED_KIND[message_type], signature=signature))
    return _pack(header + b"\n" + line)


def decode_signed(frame: bytes, message_type: type[M]) -> tuple[M, Signed]:
    """A signed message and what its signature covers; the caller verifies it. Raises Malformed."""
    lines = _unpack(frame).split(b"\n")
    if len(lines) != 2:
        raise Malformed(f"signed message of {len(lines)} lines; expected 2")
    header = _convert(lines[0], _SignedHeader)
    if header.kind != _SIGNED_KIND[message_type]:
        raise Malformed(f"kind {header.kind!r}; expected {_SIGNED_KIND[message_type]!r}")
    return _convert(lines[1], message_type), Signed(lines[1], header.signature)


def encode_batch(batch: Batch, records: list[bytes]) -> bytes:
    """A frame with a run of stored records."""
    return _pack(b"\n".join([_encoder.encode(batch), *records]))


def decode_batch(frame: bytes) -> tuple[Batch, list[bytes]]:
    """Header and raw records; the records are not looked into. Raises Malformed."""
    head, *records = _unpack(frame).split(b"\n")
    batch = _convert(head, Batch)
    if len(records) != batch.count or batch.count > BATCH_RECORDS_MAX:
        raise Malformed(f"batch of {len(records)} records; its header says {batch.count}")
    if not batch.first <= batch.through:
        raise Malformed("batch ends before it begins - at `$.through`")
    return batch, records


def encode_ack(ack: Ack) -> bytes:
    """A frame with an ack."""
    return _pack(_encoder.encode(ack))


def decode_ack(frame: bytes) -> Ack:
    """Raises Malformed."""
    return _convert(_unpack(frame), Ack)


def encode_heartbeat(heartbeat: Heartbeat) -> bytes:
    """A frame with a heartbeat."""
    return _pack(_encoder.encode(heartbeat))


def decode_heartbeat(frame: bytes) -> Heartbeat:
    """Raises Malformed."""
    return _convert(_unpack(frame), Heartbeat)


def _pack(payload: bytes) -> bytes:
    if len(payload) > FRAME_BYTES_MAX:
        raise Malformed(f"frame of {len(payload)} bytes; at most {FRAME_BYTES_MAX}")
    if len(payload) < COMPRESS_FROM_BYTES:
        return bytes((VERSION, PLAIN)) + payload
    return bytes((VERSION, ZSTD)) + zstandard.ZstdCompressor(level=1).compress(payload)


def _unpack(frame: bytes) -> bytes:
    if len(frame) < 3 or len(frame) > FRAME_BYTES_MAX + 2:
        raise Malformed(f"frame of {len(frame)} bytes; expected 3 to {FRAME_BYTES_MAX + 2}")
    if frame[0] != VERSION:
        raise Malformed(f"frame version {frame[0]}; this side speaks {VERSION}")
    if frame[1] == PLAIN:
        return bytes(frame[2:])
    if frame[1] != ZSTD:
        raise Malformed(f"frame encoding {frame[1]}; expected 0 or 1")
    return _inflate(frame[2:])


def _inflate(data: bytes) -> bytes:
    # The size that a frame declares is what decompress() allocates, so it is judged first; decompress() then holds the
    # frame to it, and refuses one that was cut or that has something behind it.
    try:
        size = zstandard.get_frame_parameters(data).content_size
        if size > FRAME_BYTES_MAX:
            declared = "no size" if size == zstandard.CONTENTSIZE_UNKNOWN else f"{size} bytes"
            raise Malformed(f"zstd frame declares {declared}; at most {FRAME_BYTES_MAX}")
        return zstandard.ZstdDecompressor().decompress(data, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise Malformed(f"zstd: {error}") from None


T = TypeVar("T")


def _convert(line: bytes, message_type: type[T]) -> T:
    if len(line) > FRAME_BYTES_MAX:
        raise Malformed("line too long")
    try:
        return msgspec.json.decode(line, type=message_type)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(str(error)) from None


# A record that alone would not fit a batch can never leave the box, so it must not enter it.
assert RECORD_BYTES_MAX < BATCH_BYTES_MAX  # noqa: S101  of two constants, at import
