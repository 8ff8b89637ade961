"""Foreign bytes: whatever comes, it is a message within its limits or it is Malformed."""

import contextlib
import json
import tracemalloc
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.contract.samples import FrameSample, frame_samples
from wire import codec
from wire.commands import Command
from wire.delivery import BATCH_BYTES_MAX, BATCH_RECORDS_MAX, Batch, DocumentChunk, Hello, Welcome
from wire.errors import Malformed
from wire.records import decode_record

DECODERS: dict[str, Callable[[bytes], Any]] = {
    "hello": lambda frame: codec.decode_signed(frame, Hello),
    "welcome": lambda frame: codec.decode_signed(frame, Welcome),
    "cmd": lambda frame: codec.decode_signed(frame, Command),
    "doc": lambda frame: codec.decode_signed(frame, DocumentChunk),
    "batch": codec.decode_batch,
    "ack": codec.decode_ack,
    "hb": codec.decode_heartbeat,
}
SAMPLES = frame_samples()
PLAIN_HEAD, ZSTD_HEAD = bytes((codec.VERSION, codec.PLAIN)), bytes((codec.VERSION, codec.ZSTD))


def zstd(payload: bytes, **options: Any) -> bytes:
    return ZSTD_HEAD + zstandard.ZstdCompressor(**options).compress(payload)


def sample(name: str) -> FrameSample:
    return next(one for one in SAMPLES if one.name == name)


def batch_and_records() -> tuple[Batch, list[bytes]]:
    return codec.decode_batch(sample("batch.events").plain)


@pytest.mark.parametrize("one", SAMPLES, ids=str)
def test_a_compressed_frame_cut_anywhere_is_malformed(one: FrameSample) -> None:
    for length in range(len(one.zstd)):
        with pytest.raises(Malformed):
            DECODERS[one.kind](one.zstd[:length])


@pytest.mark.parametrize("one", SAMPLES, ids=str)
def test_a_plain_frame_cut_anywhere_is_malformed_or_has_a_cut_last_record(one: FrameSample) -> None:
    whole = DECODERS[one.kind](one.plain)
    for length in range(len(one.plain)):
        try:
            batch, bodies = DECODERS[one.kind](one.plain[:length])
        except Malformed:
            continue
        # A plain batch does not say how long its records are; the record judges itself, and the chain tells the box.
        assert one.kind == "batch"
        assert (batch, bodies[:-1]) == (whole[0], whole[1][:-1])
        with pytest.raises(Malformed):
            decode_record(bodies[-1])


@pytest.mark.parametrize("one", SAMPLES, ids=str)
def test_a_compressed_frame_with_something_behind_it_is_malformed(one: FrameSample) -> None:
    for behind in (b"\0", b"\n", one.zstd[2:]):
        with pytest.raises(Malformed):
            DECODERS[one.kind](one.zstd + behind)


@pytest.mark.parametrize("kind", DECODERS)
@given(st.binary(max_size=600), st.sampled_from([b"", PLAIN_HEAD, ZSTD_HEAD]))
def test_random_bytes_are_malformed(kind: str, data: bytes, head: bytes) -> None:
    with pytest.raises(Malformed):
        DECODERS[kind](head + data)


@pytest.mark.parametrize("one", SAMPLES, ids=str)
@given(st.data())
def test_a_frame_with_a_changed_byte_is_a_message_or_malformed(one: FrameSample, data: st.DataObject) -> None:
    frame = bytearray(data.draw(st.sampled_from([one.plain, one.zstd])))
    frame[data.draw(st.integers(0, len(frame) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(Malformed):
        DECODERS[one.kind](bytes(frame))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)


@pytest.mark.parametrize("one", SAMPLES, ids=str)
@given(st.data())
def test_a_message_with_any_field_replaced_is_a_message_or_malformed(one: FrameSample, data: st.DataObject) -> None:
    lines = one.payload.split(b"\n")
    which = data.draw(st.integers(0, len(lines) - 1))
    fields = json.loads(lines[which])
    fields[data.draw(st.sampled_from(sorted(fields)))] = data.draw(JSON)
    lines[which] = json.dumps(fields).encode()
    with contextlib.suppress(Malformed):
        DECODERS[one.kind](PLAIN_HEAD + b"\n".join(lines))


@pytest.mark.parametrize("one", SAMPLES, ids=str)
def test_a_frame_of_another_kind_is_malformed(one: FrameSample) -> None:
    for kind, decoder in DECODERS.items():
        if kind != one.kind:
            with pytest.raises(Malformed):
                decoder(one.plain)


@pytest.mark.parametrize(
    ("head", "told"), [(b"\x00\x00", "version 0"), (b"\x02\x00", "version 2"), (b"\x01\x02", "encoding 2")]
)
def test_a_version_or_encoding_that_we_do_not_speak_is_named(head: bytes, told: str) -> None:
    with pytest.raises(Malformed, match=told):
        codec.decode_ack(head + sample("ack.taken").payload)


@pytest.mark.parametrize("options", [{"level": 1}, {"level": 19}, {"level": 1, "write_content_size": False}])
def test_a_zstd_bomb_is_refused_before_it_unfolds(options: dict[str, Any]) -> None:
    bomb = zstd(bytes(64 * 1024 * 1024), **options)
    assert len(bomb) < codec.FRAME_BYTES_MAX
    tracemalloc.start()
    try:
        with pytest.raises(Malformed, match="declares"):
            codec.decode_batch(bomb)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2 * 1024 * 1024


@pytest.mark.parametrize("size", [0, 1, 99, 101, 255])
def test_a_frame_that_lies_about_its_size_is_malformed(size: int) -> None:
    payload = sample("ack.taken").payload
    honest = zstd(payload)
    # One byte of content size follows magic and descriptor in a frame below 256 bytes.
    assert honest[2 + 5] == len(payload)
    with pytest.raises(Malformed):
        codec.decode_ack(honest[:7] + bytes((size,)) + honest[8:])


def test_a_compressed_frame_must_declare_its_size() -> None:
    with pytest.raises(Malformed, match="declares no size"):
        codec.decode_ack(zstd(sample("ack.taken").payload, write_content_size=False))


def test_a_frame_over_the_limit_is_refused_unread() -> None:
    with pytest.raises(Malformed, match="frame of"):
        codec.decode_ack(PLAIN_HEAD + b" " * (codec.FRAME_BYTES_MAX + 1))


def test_a_full_batch_fits_a_frame_and_comes_back_as_it_was() -> None:
    batch, bodies = batch_and_records()
    room = BATCH_BYTES_MAX // BATCH_RECORDS_MAX - 1
    full = [body[:1] + b" " * (room - len(body)) + body[1:] if len(body) < room else body[:room] for body in bodies]
    records = [full[number % 3] for number in range(BATCH_RECORDS_MAX)]
    batch = msgspec.structs.replace(batch, count=len(records), through=batch.first + len(records) - 1)
    frame = codec.encode_batch(batch, records)
    assert len(frame) < BATCH_BYTES_MAX // 10
    assert codec.decode_batch(frame) == (batch, records)


def test_a_frame_over_the_limit_is_not_written() -> None:
    batch, bodies = batch_and_records()
    with pytest.raises(Malformed, match="at most"):
        codec.encode_batch(batch, [*bodies, b" " * codec.FRAME_BYTES_MAX])


@pytest.mark.parametrize("change", [{"count": 2}, {"count": 4}, {"count": 501}, {"first": 204}, {"first": 0}])
def test_a_batch_whose_header_does_not_fit_is_malformed(change: dict[str, int]) -> None:
    header, *bodies = sample("batch.events").payload.split(b"\n")
    header = json.dumps({**json.loads(header), **change}).encode()
    with pytest.raises(Malformed):
        codec.decode_batch(PLAIN_HEAD + b"\n".join([header, *bodies]))


def test_a_record_that_makes_no_sense_does_not_spoil_its_batch() -> None:
    header, first, *rest = sample("batch.events").payload.split(b"\n")
    _, bodies = codec.decode_batch(PLAIN_HEAD + b"\n".join([header, b"\xff not json", *rest]))
    assert bodies == [b"\xff not json", *rest]
    assert first not in bodies


@pytest.mark.parametrize("lines", [1, 3])
def test_a_signed_message_has_two_lines(lines: int) -> None:
    payload = b"\n".join((sample("hello.first").payload.split(b"\n") * 2)[:lines])
    with pytest.raises(Malformed, match="lines; expected 2"):
        codec.decode_signed(PLAIN_HEAD + payload, Hello)


def test_deeply_nested_json_is_malformed() -> None:
    header = sample("ack.taken").payload
    deep = b'{"kind":"ack","x":' + b"[" * 60_000 + b"]" * 60_000 + b"}"
    assert codec.decode_ack(PLAIN_HEAD + header).through == 203
    with pytest.raises(Malformed):
        codec.decode_ack(PLAIN_HEAD + deep)


def test_small_frames_stay_readable_and_large_ones_are_compressed() -> None:
    assert codec.encode_ack(codec.decode_ack(sample("ack.taken").plain))[:2] == PLAIN_HEAD
    assert codec.encode_batch(*batch_and_records())[:2] == ZSTD_HEAD
