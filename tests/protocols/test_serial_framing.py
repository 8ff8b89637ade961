"""Whatever stands on a serial line, in whatever pieces it comes: nothing raises, nothing of it stays in clear, and a
frame that is whole is found.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs import codec as codec_of
from edge_agent.codecs import qr_line, rdm6300
from edge_agent.codecs.kinds.serial import Framed, SerialCodec
from edge_agent.message import Discard, Message
from edge_agent.redact import redact
from tests.protocols.cases import all_cases

CODECS = [codec_of(name, SerialCodec) for name in ("rdm6300", "qr-line")]
REASONS = {
    "rdm6300": {"noise", "checksum"},
    "qr-line": {"unfinished", "too_long", "blank", "control_characters", "not_text"},
}
CANARY = b"Canary86420975318642"
TAG = b"\x020400A3C51173\x03"

codecs = pytest.mark.parametrize("codec", CODECS, ids=lambda one: one.protocol)


def tag_frame(number: bytes) -> bytes:
    """As a reader says it."""
    check = 0
    for byte in number:
        check ^= byte
    return b"\x02" + (number + bytes((check,))).hex().upper().encode() + b"\x03"


def fed(codec: SerialCodec, *pieces: bytes, idle: bool = False) -> list[Framed]:
    """What the pieces give, each thing held against the framer's promises."""
    framer = codec.framer()
    found = [one for piece in pieces for one in framer.feed(piece)]
    if idle:
        found += framer.idle()
        assert not framer.begun
    for raw, content in found:
        assert 0 < len(raw) <= 512
        if isinstance(content, Discard):
            assert content.reason in REASONS[codec.protocol]
        else:
            assert content.kind in codec.records
            assert content.fields == {}
            assert content.credential is not None
            assert content.credential.number is not None
    return found


def messages(found: list[Framed]) -> list[Message]:
    return [content for _, content in found if isinstance(content, Message)]


def numbers(found: list[Framed]) -> list[str]:
    return [one.credential.number.reveal() for one in messages(found) if one.credential and one.credential.number]


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


@codecs
@given(data=st.binary(max_size=400), cuts=st.lists(st.integers(0, 400), max_size=20))
def test_pieces_do_not_change_what_was_said(codec: SerialCodec, data: bytes, cuts: list[int]) -> None:
    assert fed(codec, *pieces_of(data, cuts), idle=True) == fed(codec, data, idle=True)


@given(tags=st.lists(st.binary(min_size=5, max_size=5), max_size=6), cuts=st.lists(st.integers(0, 200), max_size=20))
def test_frames_in_any_pieces_are_all_read(tags: list[bytes], cuts: list[int]) -> None:
    line = b"".join(map(tag_frame, tags))
    assert numbers(fed(rdm6300.SPEC, *pieces_of(line, cuts))) == [tag.hex().upper() for tag in tags]


@given(before=st.binary(max_size=40), after=st.binary(max_size=40))
def test_a_frame_amid_noise_is_read(before: bytes, after: bytes) -> None:
    found = fed(rdm6300.SPEC, before + TAG + after)
    assert "0400A3C511" in numbers(found)


@pytest.mark.parametrize("end", range(1, len(TAG)))
def test_a_frame_that_breaks_off_costs_itself_alone(end: int) -> None:
    assert numbers(fed(rdm6300.SPEC, TAG[:end], TAG)) == ["0400A3C511"]
    framer = rdm6300.SPEC.framer()
    assert framer.feed(TAG[:end]) == []
    assert [content for _, content in framer.idle()] == [Discard("noise")]
    assert numbers([*framer.feed(TAG)]) == ["0400A3C511"]


@pytest.mark.parametrize("place", range(1, 13))
@pytest.mark.parametrize("digit", b"0123456789ABCDEF")
def test_no_wrong_digit_passes_the_checksum(place: int, digit: int) -> None:
    frame = bytearray(TAG)
    frame[place] = digit
    found = fed(rdm6300.SPEC, bytes(frame))
    assert len(found) == 1
    assert (digit == TAG[place]) == isinstance(found[0].content, Message)


@given(st.binary(min_size=1, max_size=3000))
def test_noise_is_told_in_bounded_portions(data: bytes) -> None:
    data = bytes(byte for byte in data if byte not in (2, 3)) or b"x"
    found = fed(rdm6300.SPEC, data, idle=True)
    assert b"".join(raw for raw, _ in found) == data
    assert all(len(raw) <= rdm6300.NOISE_BYTES_MAX for raw, _ in found)


line_text = st.text(st.characters(categories=("L", "N", "P")), min_size=1, max_size=60)


@given(
    lines=st.lists(line_text, max_size=6),
    end=st.sampled_from([b"\r", b"\n", b"\r\n"]),
    cuts=st.lists(st.integers(0, 900)),
)
def test_lines_in_any_pieces_are_all_read(lines: list[str], end: bytes, cuts: list[int]) -> None:
    data = b"".join(line.encode() + end for line in lines)
    assert numbers(fed(qr_line.SPEC, *pieces_of(data, cuts))) == lines


@pytest.mark.parametrize("over", [0, 1, 100_000])
def test_a_line_over_the_limit_is_dropped_to_its_end_and_said_once(over: int) -> None:
    framer = qr_line.SPEC.framer()
    found = []
    for _ in range(0, qr_line.LINE_BYTES_MAX + over, 1000):
        found += framer.feed(b"7" * min(1000, qr_line.LINE_BYTES_MAX + over))
    assert found == []
    found = [*framer.feed(b"\r\nnext\r\n")]
    assert [content for content in found if isinstance(content.content, Discard)] == found[:-1]
    assert numbers(found)[-1] == "next"


def test_a_line_of_the_largest_code_is_read_and_one_more_byte_is_too_long() -> None:
    longest = b"7" * qr_line.LINE_BYTES_MAX
    assert numbers(fed(qr_line.SPEC, longest + b"\r")) == [longest.decode()]
    assert [content for _, content in fed(qr_line.SPEC, longest + b"7\r")] == [Discard("too_long")]
    assert [content for _, content in fed(qr_line.SPEC, longest + b"7", idle=True)] == [Discard("too_long")]


def test_a_code_that_breaks_off_is_not_the_head_of_the_next() -> None:
    framer = qr_line.SPEC.framer()
    assert framer.feed(b"CAMPUS-7F3A-") == []
    assert framer.begun
    assert [content for _, content in framer.idle()] == [Discard("unfinished")]
    assert numbers([*framer.feed(b"CAMPUS-7F3B-0002\r")]) == ["CAMPUS-7F3B-0002"]


@codecs
@given(head=st.binary(max_size=30), tail=st.binary(max_size=30))
def test_what_is_kept_of_a_line_names_nobody(codec: SerialCodec, head: bytes, tail: bytes) -> None:
    for raw, content in fed(codec, head + CANARY + tail, idle=True):
        assert CANARY.decode() not in repr(content)
        assert b"Canary" not in redact(raw, codec.harmless_keys)
        assert b"86420975318642" not in redact(raw, codec.harmless_keys)


@codecs
def test_there_are_cases(codec: SerialCodec) -> None:
    assert len(all_cases(codec.protocol.replace("-", "_"))) >= 4
