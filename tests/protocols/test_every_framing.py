"""What every codec promises, held against every codec there is, with what its golden cases say as material.

Any pieces give the same as the whole; garbage around it, every truncation and random bytes raise nothing. A codec
without a golden case, or on a wire that has no `Wire` here, fails: nobody has looked at what bad bytes do to it. What
is particular to a protocol stands in its own `test_<protocol>_framing.py`.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edge_agent.codecs
from edge_agent.cases import http_push, payload_of, stream
from edge_agent.codecs import Codec
from edge_agent.codecs import codec as codec_of
from edge_agent.codecs.kinds.http_push import Head, HttpPushCodec, Visit
from edge_agent.codecs.kinds.modbus import ModbusCodec, Point
from edge_agent.codecs.kinds.mqtt import MqttCodec
from edge_agent.codecs.kinds.serial import SerialCodec
from edge_agent.codecs.kinds.stream import StreamCodec
from edge_agent.codecs.multipart import Multipart
from edge_agent.message import Discard, Message
from tests.protocols.cases import Case, all_cases

Row = Mapping[str, Any]
Content = Message | Discard
GARBAGE = (b"\x00", b"\xff\xfe", b"}", b"\r\n\r\n", b"--boundary", b"\x02", b"A=1\t")


@dataclass(frozen=True)
class Wire:
    """How a wire is fed. bytes_of: of one line of a case. feed: codec, profile, line, pieces -> what came of it.
    pieces: whether the wire has no borders of its own, so that what is said may come in any pieces.
    """

    bytes_of: Callable[[Row], bytes]
    feed: Callable[[Any, Case, Row, Sequence[bytes]], list[Content]]
    pieces: bool = False


def over_mqtt(codec: MqttCodec, _case: Case, row: Row, pieces: Sequence[bytes]) -> list[Content]:
    decoded = codec.decode(codec.topic_prefix, row["topic"], b"".join(pieces))
    for address, content in decoded:
        assert len(address) <= 64
        if isinstance(content, Message):
            codec.acknowledgements(codec.topic_prefix, address, content)
            codec.standing(content)
            if codec.orders is not None:
                codec.orders.answer(content)
    return [content for _, content in decoded]


def pushed(codec: HttpPushCodec, _case: Case, row: Row, pieces: Sequence[bytes]) -> list[Content]:
    head = Head(row["method"], row["path"], row.get("query", ""))
    found = codec.decode(head, b"".join(pieces))
    if found is None:
        return []
    codec.answer(found, Visit(taken=True, wall_ns=0, zone="Asia/Shanghai"))
    for content, _ in found.rows:
        if isinstance(content, Message) and codec.orders is not None:
            codec.orders.answer(content)
    return [content for content, _ in found.rows]


def on_a_line(codec: SerialCodec, _case: Case, _row: Row, pieces: Sequence[bytes]) -> list[Content]:
    framer = codec.framer()
    found = [one.content for piece in pieces for one in framer.feed(piece)]
    return found + [one.content for one in framer.idle()]


def streamed(codec: StreamCodec, _case: Case, _row: Row, pieces: Sequence[bytes]) -> list[Content]:
    reader = Multipart(stream.BOUNDARY.encode(), codec.media_types, codec.part_bytes_max)
    parts = [part for piece in pieces for part in reader.feed(piece)]
    found = [Discard("too_large") if one.too_large else codec.decode(one.media_type, one.body) for one in parts]
    for content in found:
        if isinstance(content, Message) and content.kind in codec.records:
            codec.standing(content)
    return found


@cache
def points_of(codec_name: str, case: Case) -> tuple[Point, ...]:
    return tuple(codec_of(codec_name, ModbusCodec).points(case.profile(), frozenset()).values())


def asked(codec: ModbusCodec, case: Case, _row: Row, pieces: Sequence[bytes]) -> list[Content]:
    """The wire's own frames are pymodbus'; what it hands over is registers, as many as were asked for."""
    data = b"".join(pieces)
    found: list[Content] = []
    for point in points_of(codec.protocol, case):
        bits = point.table in {"coils", "discrete_inputs"}
        size = 1 if bits else 2 * point.count
        raw = data[:size].ljust(size, b"\0")
        words = [raw[0] & 1] if bits else [int.from_bytes(raw[at : at + 2], "big") for at in range(0, size, 2)]
        value = point.decode(words)
        found.append(Message(kind=value.resource, fields={} if value.value is None else {"value": value.value}))
    return found


WIRES = {
    "mqtt": Wire(payload_of, over_mqtt),
    "http_push": Wire(http_push._body, pushed),
    "serial": Wire(lambda row: payload_of(row) if row.keys() & {"text", "hex"} else b"", on_a_line, pieces=True),
    "stream": Wire(stream._bytes_of, streamed, pieces=True),
    "modbus": Wire(
        lambda row: b"".join((word & 0xFFFF).to_bytes(2, "big") for word in row.get("words", ())),
        asked,
    ),
}


def every_codec() -> Iterator[Codec]:
    for module in iter_modules(edge_agent.codecs.__path__):
        spec = getattr(import_module(f"edge_agent.codecs.{module.name}"), "SPEC", None)
        if spec is not None:
            yield spec


CODECS = list(every_codec())
codecs = pytest.mark.parametrize("codec", CODECS, ids=lambda one: one.protocol)


def samples(codec: Codec) -> list[tuple[Case, Row, bytes]]:
    wire = WIRES[codec.wire]
    cases = all_cases(codec.protocol.replace("-", "_"))
    found = [(case, row, wire.bytes_of(row)) for case in cases for row in case.rows()]
    return [(case, row, data) for case, row, data in found if data]


def fed(codec: Codec, sample: tuple[Case, Row, bytes], *pieces: bytes) -> list[Content]:
    """What the pieces come to, held against what a message and a discard may be."""
    case, row, _ = sample
    found = WIRES[codec.wire].feed(codec, case, row, pieces)
    for content in found:
        if isinstance(content, Discard):
            assert content.reason.isidentifier()
            continue
        assert content.kind.isidentifier()
        assert content.device_time is None or (content.device_time.isascii() and 0 < len(content.device_time) <= 64)
        for value in content.fields.values():
            if isinstance(value, str):
                assert value.isascii()
                assert len(value) <= 250
            elif isinstance(value, float):
                assert abs(value) < float("inf")
            else:
                assert abs(value) < 2**64
    return found


@codecs
def test_there_is_something_to_spoil(codec: Codec) -> None:
    assert samples(codec)
    assert any(isinstance(one, Message) for sample in samples(codec) for one in fed(codec, sample, sample[2]))


@codecs
def test_every_truncation_raises_nothing(codec: Codec) -> None:
    for sample in samples(codec):
        data = sample[2]
        for length in range(0, len(data), 1 + len(data) // 2000):
            fed(codec, sample, data[:length])


@codecs
def test_garbage_around_raises_nothing(codec: Codec) -> None:
    for sample in samples(codec):
        for garbage in GARBAGE:
            for spoilt in (garbage + sample[2], sample[2] + garbage, garbage + sample[2] + garbage + sample[2]):
                fed(codec, sample, spoilt)


@codecs
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_random_bytes_and_spoilt_bytes_raise_nothing(codec: Codec, data: st.DataObject) -> None:
    sample = data.draw(st.sampled_from(samples(codec)))
    fed(codec, sample, data.draw(st.binary(max_size=300)))
    whole = sample[2]
    begin = data.draw(st.integers(0, len(whole)))
    end = data.draw(st.integers(begin, min(len(whole), begin + 8)))
    fed(codec, sample, whole[:begin] + data.draw(st.binary(max_size=8)) + whole[end:])


@pytest.mark.parametrize("codec", [one for one in CODECS if WIRES[one.wire].pieces], ids=lambda one: str(one.protocol))
@settings(max_examples=200, deadline=None)
@given(data=st.data())
def test_any_pieces_give_the_same(codec: Codec, data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(samples(codec)), min_size=1, max_size=4))
    whole = b"".join(sample[2] for sample in chosen)
    cuts = data.draw(st.lists(st.integers(0, len(whole)), max_size=20))
    ends = sorted({*cuts, len(whole)})
    pieces = [whole[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]
    assert fed(codec, chosen[0], *pieces) == fed(codec, chosen[0], whole)
    assert fed(codec, chosen[0], *(bytes((byte,)) for byte in whole[:2000])) == fed(codec, chosen[0], whole[:2000])
