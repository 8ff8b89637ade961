from collections.abc import Callable
from typing import Any, get_args

import msgspec
import pytest
import zstandard
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.contract.samples import FrameSample, frame_samples
from wire import codec
from wire.commands import Command
from wire.delivery import Ack, Batch, DocumentChunk, Heartbeat, Hello, Welcome
from wire.records import decode_record
from wire.topics import Down, Up, down_topic, up_topic

CAMPUS, EDGE = "demo-school", "gate-1"
BOX_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
CAMPUS_KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32, 64)))

SIGNED: dict[str, tuple[Any, str, Ed25519PrivateKey]] = {
    "hello": (Hello, up_topic(CAMPUS, EDGE, Up.HELLO), BOX_KEY),
    "welcome": (Welcome, down_topic(CAMPUS, EDGE, Down.WELCOME), CAMPUS_KEY),
    "cmd": (Command, down_topic(CAMPUS, EDGE, Down.COMMAND), CAMPUS_KEY),
    "doc": (DocumentChunk, down_topic(CAMPUS, EDGE, Down.DOCUMENT), CAMPUS_KEY),
}


def decode(sample: FrameSample, frame: bytes) -> Any:
    if sample.kind in SIGNED:
        return codec.decode_signed(frame, SIGNED[sample.kind][0])
    plain: dict[str, Callable[[bytes], Any]] = {
        "batch": codec.decode_batch,
        "ack": codec.decode_ack,
        "hb": codec.decode_heartbeat,
    }
    return plain[sample.kind](frame)


def encode(sample: FrameSample, message: Any) -> bytes:
    if sample.kind in SIGNED:
        told, signed = message
        assert codec.encode_line(told) == signed.line
        return codec.encode_signed(SIGNED[sample.kind][0], signed.line, signed.signature)
    if sample.kind == "batch":
        return codec.encode_batch(*message)
    return codec.encode_ack(message) if sample.kind == "ack" else codec.encode_heartbeat(message)


def payload_of(frame: bytes) -> bytes:
    return frame[2:] if frame[1] == codec.PLAIN else zstandard.ZstdDecompressor().decompress(frame[2:])


def test_every_message_of_the_protocol_has_a_sample() -> None:
    assert {sample.kind for sample in frame_samples()} == {*SIGNED, "batch", "ack", "hb"}


def test_every_verdict_of_a_welcome_has_a_sample() -> None:
    hints = {field.name: field.type for field in msgspec.structs.fields(Welcome)}
    told = {codec.decode_signed(one.plain, Welcome)[0].verdict for one in frame_samples() if one.kind == "welcome"}
    assert told == set(get_args(hints["verdict"]))


@pytest.mark.parametrize("message", [Hello, Welcome, Command, DocumentChunk, Batch, Ack, Heartbeat])
def test_the_samples_show_every_field_of_a_message(message: type[msgspec.Struct]) -> None:
    kinds = {**{one[0]: kind for kind, one in SIGNED.items()}, Batch: "batch", Ack: "ack", Heartbeat: "hb"}
    line_no = 1 if kinds[message] in SIGNED else 0
    shown: set[str] = set()
    for sample in frame_samples():
        if sample.kind == kinds[message]:
            shown.update(msgspec.json.decode(sample.payload.split(b"\n")[line_no]))
    implied = {"protocol", "schema"}
    assert shown - {"kind"} | implied >= {field.encode_name for field in msgspec.structs.fields(message)}


@pytest.mark.parametrize("sample", frame_samples(), ids=str)
def test_both_encodings_of_a_sample_say_the_same(sample: FrameSample) -> None:
    assert sample.plain[:2] == b"\x01\x00"
    assert sample.zstd[:2] == b"\x01\x01"
    assert sample.plain[2:] == payload_of(sample.zstd) == sample.payload
    assert decode(sample, sample.plain) == decode(sample, sample.zstd)


@pytest.mark.parametrize("sample", frame_samples(), ids=str)
def test_a_sample_is_written_again_as_the_same_lines(sample: FrameSample) -> None:
    frame = encode(sample, decode(sample, sample.plain))
    assert payload_of(frame) == sample.payload
    assert frame[1] == (codec.ZSTD if len(sample.payload) >= codec.COMPRESS_FROM_BYTES else codec.PLAIN)


@pytest.mark.parametrize("sample", [one for one in frame_samples() if one.kind in SIGNED], ids=str)
def test_a_signature_covers_topic_and_line(sample: FrameSample) -> None:
    _, topic, key = SIGNED[sample.kind]
    signed = decode(sample, sample.plain)[1]
    # Raises when the signature is not of these bytes.
    key.public_key().verify(bytes.fromhex(signed.signature), b"campus/v1\n" + topic.encode() + b"\n" + signed.line)
    assert codec.signing_input(topic, signed.line) == b"campus/v1\n" + topic.encode() + b"\n" + signed.line


@pytest.mark.parametrize("sample", [one for one in frame_samples() if one.kind == "batch"], ids=str)
def test_the_records_of_a_batch_travel_as_they_were_stored(sample: FrameSample) -> None:
    batch, bodies = codec.decode_batch(sample.zstd)
    assert bodies == sample.payload.split(b"\n")[1:]
    assert len([decode_record(body) for body in bodies]) == batch.count


@pytest.mark.parametrize("sample", frame_samples(), ids=str)
def test_a_field_of_a_later_version_is_passed_over(sample: FrameSample) -> None:
    lines = sample.payload.split(b"\n")
    count = 2 if sample.kind in SIGNED else 1
    lines[:count] = [line[:-1] + b',"later":[{}]}' for line in lines[:count]]
    later, now = decode(sample, b"\x01\x00" + b"\n".join(lines)), decode(sample, sample.plain)
    assert (later[0], now[0]) == (now[0], later[0]) if isinstance(now, tuple) else later == now
