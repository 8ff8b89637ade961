"""Whatever comes over an event stream, in whatever pieces: nothing raises, no picture and no free text is kept, and an
event that is whole is there with its last byte.
"""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs import codec as codec_of
from edge_agent.codecs.hik_camera import SPEC, decode, standing
from edge_agent.codecs.kinds.stream import StreamCodec
from edge_agent.codecs.multipart import LINE_BYTES_MAX, Multipart, Part, boundary_of
from edge_agent.message import Discard, Message
from edge_agent.redact import redact
from tests.protocols.cases import all_cases

XML = "application/xml"
REASONS = {"no_event_type", "odd_event_state", "no_xml", "no_json", "not_text", "doctype", "unknown_document"}
CANARY = "欧阳询Canary86420975318642"


def alert(kind: str = "VMD", state: str = "active", more: str = "") -> bytes:
    said = f"<channelID>1</channelID><eventType>{kind}</eventType><eventState>{state}</eventState>"
    return f"<EventNotificationAlert>{said}{more}</EventNotificationAlert>".encode()


def part(body: bytes, media_type: str = XML, length: int | None = None) -> bytes:
    said = len(body) if length is None else length
    return f"--boundary\r\nContent-Type: {media_type}\r\nContent-Length: {said}\r\n\r\n".encode() + body + b"\r\n"


def reader() -> Multipart:
    return Multipart(b"boundary", SPEC.media_types, SPEC.part_bytes_max)


def parts_of(*pieces: bytes) -> list[Part]:
    one = reader()
    return [found for piece in pieces for found in one.feed(piece)]


def pieces_of(data: bytes, cuts: list[int]) -> list[bytes]:
    ends = sorted({min(cut, len(data)) for cut in cuts} | {len(data)})
    return [data[begin:end] for begin, end in zip([0, *ends], ends, strict=False)]


def checked(media_type: str, body: bytes) -> Message | Discard:
    """Decode, and hold the outcome against its promises."""
    content = decode(media_type, body)
    if isinstance(content, Discard):
        assert content.reason in REASONS
        return content
    assert content.kind in {"alert", "heartbeat"}
    assert content.holder is None
    assert content.credential is None
    assert content.device_time is None or (content.device_time.isascii() and 0 < len(content.device_time) <= 64)
    for value in content.fields.values():
        if isinstance(value, str):
            assert value.isascii()
            assert 0 < len(value) <= 64
            assert " " not in value
        else:
            assert 0 <= value <= 65_535
    if content.kind in SPEC.records:
        state = standing(content)
        assert state is not None
        assert state.active == (content.fields["event_state"] == "active")
        assert state.over is None or state.over.fields["assumed"] is True
    return content


# What devices and bad lines put on a stream.
bodies = st.one_of(
    st.sampled_from([alert(), alert("diskfull", more="<eventDescription>x</eventDescription>")]),
    st.binary(max_size=200),
)
lengths = st.one_of(st.none(), st.integers(0, 2000))
chunks = st.one_of(
    st.builds(part, bodies, st.sampled_from([XML, "application/json", "image/jpeg"]), lengths),
    st.builds(lambda body: body + b"\r\n", bodies),
    st.sampled_from(
        [b"--boundary\r\n", b"--boundary--\r\n", b"\r\n\r\n", b"Content-Type: application/xml\r\n\r\n", b"\n"]
    ),
    st.binary(max_size=60),
)


@given(stream=st.lists(chunks, max_size=8).map(b"".join), cuts=st.lists(st.integers(0, 3000), max_size=30))
def test_pieces_do_not_change_what_was_said(stream: bytes, cuts: list[int]) -> None:
    whole = parts_of(stream)
    assert parts_of(*pieces_of(stream, cuts)) == whole
    assert parts_of(*(bytes((byte,)) for byte in stream)) == whole


@given(before=st.lists(chunks, max_size=4).map(b"".join))
def test_whatever_came_before_the_second_event_is_there(before: bytes) -> None:
    """What was begun may swallow one part; never two."""
    found = parts_of(before + b"\r\n" + part(alert("diskfull")) + part(alert("nicbroken")))
    assert Part(XML, alert("nicbroken")) in found


@pytest.mark.parametrize("length", [None, 0, 1, 10, 99, 5000, 10**8])
def test_a_wrong_length_costs_nothing(length: int | None) -> None:
    stream = part(alert("a1"), length=length) + part(alert("a2"), length=length) + part(alert("a3"))
    assert [body for _, body, _ in parts_of(stream)] == [alert("a1"), alert("a2"), alert("a3")]


@pytest.mark.parametrize("end", range(1, len(part(alert()))))
def test_an_event_that_breaks_off_costs_itself_and_what_it_swallows(end: int) -> None:
    found = parts_of(part(alert())[:end], part(alert("diskfull")), part(alert("nicbroken")))
    assert found[-1] == Part(XML, alert("nicbroken"))


def test_an_event_is_there_with_its_last_byte() -> None:
    stream = part(alert()).rstrip(b"\r\n")
    one = reader()
    assert one.feed(stream[:-1]) == []
    assert one.feed(stream[-1:]) == [Part(XML, alert())]


def test_json_is_there_with_its_last_byte_too() -> None:
    body = json.dumps({"eventType": "VMD", "eventState": "active"}).encode()
    one = reader()
    assert one.feed(part(body, "application/json")[: -len(b"\r\n")]) == [Part("application/json", body)]


def test_pictures_are_passed_over_whatever_their_length_says() -> None:
    picture = b"\xff\xd8" + bytes(range(256)) * 400 + b"\xff\xd9"
    for length in (None, 0, 7, len(picture) - 1, 10**8):
        stream = part(picture, "image/jpeg", length) + part(alert("diskfull"))
        assert parts_of(stream) == [Part(XML, alert("diskfull"))]


def test_no_more_than_a_part_is_held_however_long_the_stream() -> None:
    one = reader()
    for _ in range(40):
        assert one.feed(part(b"\xff" * 10_000, "image/jpeg")[:9_000]) == []
        assert len(one._buffer) < 2 * LINE_BYTES_MAX
    assert one.feed(b"x" * 100_000) == []
    assert len(one._buffer) < 2 * LINE_BYTES_MAX


@pytest.mark.parametrize("cut", [1, 1000, 70_000, 200_000])
def test_a_document_that_does_not_end_is_said_once_and_left(cut: int) -> None:
    stream = part(b"<EventNotificationAlert>" + b"x" * 150_000) + part(alert("diskfull"))
    found = parts_of(*(stream[begin : begin + cut] for begin in range(0, len(stream), cut)))
    assert [one.too_large for one in found] == [True, False]
    assert len(found[0].body) <= 512
    assert found[1] == Part(XML, alert("diskfull"))


def test_the_boundary_is_the_one_that_was_announced() -> None:
    for written, announced in ((b"--MIME_b", b"MIME_b"), (b"--myboundary", b"--myboundary")):
        one = Multipart(announced, SPEC.media_types, SPEC.part_bytes_max)
        assert one.feed(part(alert()).replace(b"--boundary", written)) == [Part(XML, alert())]


@pytest.mark.parametrize(
    ("content_type", "boundary"),
    [
        ("multipart/mixed; boundary=boundary", b"boundary"),
        ('Multipart/Mixed; charset="x"; Boundary="MIME_b"', b"MIME_b"),
        ("multipart/mixed", b"boundary"),
        ("multipart/mixed; boundary=", b"boundary"),
        ("multipart/mixed; boundary=" + "x" * 100, b"boundary"),
        ("text/html; boundary=boundary", None),
        ("", None),
    ],
)
def test_the_boundary_is_read_or_guessed(content_type: str, boundary: bytes | None) -> None:
    assert boundary_of(content_type) == boundary


@given(body=st.binary(max_size=300), media_type=st.sampled_from(sorted(SPEC.media_types)))
def test_random_bytes_raise_nothing(body: bytes, media_type: str) -> None:
    checked(media_type, body)


texts = st.text(max_size=30)


@given(said=st.dictionaries(st.sampled_from(["eventType", "eventState", "channelID", "dateTime", "x"]), texts))
def test_any_text_in_any_place_raises_nothing(said: dict[str, str]) -> None:
    inner = "".join(f"<{name}>{text.replace('&', '').replace('<', '')}</{name}>" for name, text in said.items())
    checked(XML, f"<EventNotificationAlert>{inner}</EventNotificationAlert>".encode("utf-8", "surrogatepass"))
    checked("application/json", json.dumps(said).encode())


ROWS = [row for case in all_cases("hik_camera") for row in case.rows()]
VALID = [(XML, row["xml"].encode()) for row in ROWS if "xml" in row]
VALID += [("application/json", json.dumps(row["json"]).encode()) for row in ROWS if "json" in row]


@pytest.mark.parametrize(("media_type", "body"), VALID, ids=range(len(VALID)))
def test_every_truncation_raises_nothing(media_type: str, body: bytes) -> None:
    for end in range(len(body)):
        checked(media_type, body[:end])


@pytest.mark.parametrize("place", ["eventDescription", "channelName", "name", "eventType", "eventState", "channelID"])
def test_free_text_is_not_kept_wherever_it_stands(place: str) -> None:
    xml = alert(more=f"<{place}>{CANARY}</{place}>")
    as_json = json.dumps({"eventType": "VMD", "eventState": "active", "channelID": 1, place: CANARY}).encode()
    for media_type, body in ((XML, xml), ("application/json", as_json)):
        content = checked(media_type, body)
        assert "Canary" not in repr(content)
        assert "欧" not in repr(content)
        kept = redact(body, SPEC.harmless_keys).decode()
        assert "欧阳询" not in kept


@pytest.mark.parametrize(
    "head",
    [
        '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>',
        '<!DOCTYPE x SYSTEM "file:///etc/passwd">',
        '<!DOCTYPE x [<!ENTITY % p SYSTEM "http://192.0.2.1/x"> %p;]>',
    ],
)
def test_a_document_with_entities_is_refused(head: str) -> None:
    assert checked(XML, head.encode() + alert("&b;")) == Discard("doctype")


def test_a_deep_document_is_no_trouble() -> None:
    depth = 20_000
    body = b"<EventNotificationAlert>" + b"<a>" * depth + b"</a>" * depth + alert()[len("<EventNotificationAlert>") :]
    assert isinstance(checked(XML, body), Message)
    assert checked(XML, b"<EventNotificationAlert>" + b"<a>" * depth) == Discard("no_xml")
    assert checked("application/json", b'{"x":' + b"[" * depth + b"]" * depth + b"}").__class__ is Discard


def test_a_device_that_leaves_the_state_away_speaks_while_it_lasts() -> None:
    content = checked(XML, b"<EventNotificationAlert><eventType>VMD</eventType></EventNotificationAlert>")
    assert isinstance(content, Message)
    assert content.fields == {"event_type": "vmd", "event_state": "active"}


def test_lasting_states_have_no_end_of_our_making() -> None:
    for kind, lasting in (("diskfull", True), ("shelteralarm", True), ("VMD", False), ("someNewType", False)):
        content = checked(XML, alert(kind))
        assert isinstance(content, Message)
        state = standing(content)
        assert state is not None
        assert (state.over is None) == lasting


def test_the_codec_is_a_stream() -> None:
    assert codec_of("hik-camera", StreamCodec) is SPEC
    assert len(VALID) >= 30
