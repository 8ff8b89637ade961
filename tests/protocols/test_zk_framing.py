"""Any request gives messages, discards or nothing, never an exception; what it says of people stays behind; and what
comes back is one line for each thing said.
"""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.codecs import codec as codec_of
from edge_agent.codecs.iclock import ROWS_MAX
from edge_agent.codecs.kinds.http_push import Head, HttpPushCodec, Pushed, Visit
from edge_agent.codecs.zk_cm_pos import fen
from edge_agent.message import Discard, Message
from edge_agent.redact import redact
from tests.protocols.cases import all_cases
from tests.protocols.test_facesluice_framing import assert_plain

NAMES = ("zk-adms-att", "zk-cm-pos")
CODECS = {name: codec_of(name, HttpPushCodec) for name in NAMES}
UPLOADS = {
    "zk-adms-att": ("/iclock/cdata", ("ATTLOG", "OPERLOG")),
    "zk-cm-pos": ("/iclock/cpos", ("BUYLOG", "FULLLOG", "ALLOWLOG")),
}
EVERY_TABLE = [(CODECS[name], path, table) for name, (path, tables) in UPLOADS.items() for table in tables]
SERIAL = "ACJ1234560001"
KINDS = {"hello", "poll", "time", "empty", "skipped", "command_result"}
CANARY = "欧阳询Canary86420975318642"


def body_of(row: dict[str, Any]) -> bytes:
    if "rows" in row:
        return "\n".join("\t".join(cells) for cells in row["rows"]).encode()
    return bytes.fromhex(row["hex"]) if "hex" in row else row.get("text", "").encode()


SAMPLES = [
    (CODECS[case.protocol], Head(row["method"], row["path"], row.get("query", "")), body_of(row))
    for name in NAMES
    for case in all_cases(name.replace("-", "_"))
    for row in case.rows()
]
VALID = [
    (codec, head, body)
    for codec, head, body in SAMPLES
    if (pushed := codec.decode(head, body))
    and any(isinstance(row.content, Message) and row.content.kind in codec.records for row in pushed.rows)
]


def checked(codec: HttpPushCodec, head: Head, body: bytes) -> Pushed | None:
    """Decode and answer, and hold both against their promises."""
    codec.keeps_body(head)
    pushed = codec.decode(head, body)
    if pushed is None:
        return None
    assert len(pushed.address) <= 64
    assert pushed.address.isascii()
    assert pushed.rows
    for content, _ in pushed.rows:
        if isinstance(content, Discard):
            assert content.reason.isidentifier()
            continue
        assert content.kind in codec.records | KINDS
        for value in content.fields.values():
            assert_plain(value)
        assert content.record_no is None or 0 <= content.record_no < 2**62
        assert content.device_time is None or (content.device_time.isascii() and 0 < len(content.device_time) <= 64)
        if content.kind in codec.records:
            assert (content.record_no is None) != (content.sameness is None)
    for zone in ("Asia/Shanghai", "Asia/Kolkata", "No/Where"):
        for taken in (True, False):
            answer = codec.answer(pushed, Visit(taken=taken, wall_ns=0, zone=zone))
            assert answer.body.isascii()
            assert (answer.status == 200) == taken
            assert taken or "OK" not in answer.body
    return pushed


@pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS)
@given(
    method=st.sampled_from(["GET", "POST", "PUT", ""]),
    path=st.text(max_size=30),
    query=st.text(max_size=60),
    body=st.binary(max_size=300),
)
def test_random_requests_raise_nothing(codec: HttpPushCodec, method: str, path: str, query: str, body: bytes) -> None:
    checked(codec, Head(method, path, query), body)
    checked(codec, Head(method, f"/iclock/{path}", query), body)
    checked(codec, Head(method, "/iclock/devicecmd", f"SN={SERIAL}"), body)
    checked(codec, Head(method, "/iclock/posdevicecmd", f"SN={SERIAL}"), body)


@pytest.mark.parametrize(("codec", "path", "table"), EVERY_TABLE)
@given(body=st.binary(max_size=400))
def test_random_rows_raise_nothing(codec: HttpPushCodec, path: str, table: str, body: bytes) -> None:
    checked(codec, Head("POST", path, f"SN={SERIAL}&table={table}"), body)


@settings(max_examples=300)
@given(data=st.data())
def test_a_valid_request_with_any_byte_exchanged_raises_nothing(data: st.DataObject) -> None:
    codec, head, body = data.draw(st.sampled_from(VALID))
    position = data.draw(st.integers(0, len(body) - 1))
    checked(codec, head, body[:position] + data.draw(st.binary(max_size=3)) + body[position + 1 :])


@settings(max_examples=300)
@given(data=st.data())
def test_a_valid_row_with_any_cell_exchanged_raises_nothing(data: st.DataObject) -> None:
    codec, head, body = data.draw(st.sampled_from(VALID))
    rows = [row.split(b"\t") for row in body.split(b"\n")]
    row = data.draw(st.sampled_from(rows))
    row[data.draw(st.integers(0, len(row) - 1))] = data.draw(st.text(max_size=80)).encode()
    checked(codec, head, b"\n".join(b"\t".join(row) for row in rows))


@pytest.mark.parametrize(("codec", "head", "body"), VALID)
def test_every_truncation_and_garbage_around_raise_nothing_and_keep_the_other_rows(
    codec: HttpPushCodec, head: Head, body: bytes
) -> None:
    whole = codec.decode(head, body)
    assert whole is not None
    for length in range(len(body)):
        checked(codec, head, body[:length])
    noisy = checked(codec, head, b"\xff\xfegarbage\n" + body + b"\n\x00\x01")
    assert noisy is not None
    assert [row for row in noisy.rows if isinstance(row.content, Message)] == [
        row for row in whole.rows if isinstance(row.content, Message)
    ]


@pytest.mark.parametrize(("codec", "path", "table"), EVERY_TABLE)
def test_rows_are_bounded(codec: HttpPushCodec, path: str, table: str) -> None:
    head = Head("POST", path, f"SN={SERIAL}&table={table}")
    pushed = checked(codec, head, b"x\n" * (ROWS_MAX + 1))
    assert pushed is not None
    assert [row.content for row in pushed.rows] == [Discard("too_many_rows")]
    for body in (b"9" * 1_000_000, b"\t" * 1_000_000, b"\n" * ROWS_MAX):
        checked(codec, head, body)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1250", 1250),
        ("12.50", 1250),
        ("-0.50", -50),
        ("0", 0),
        ("0.10", 10),
        ("12.5", None),
        ("12.505", None),
        ("1e3", None),
        ("1,250", None),
        ("", None),
        ("nan", None),
        ("１２", None),
        ("9" * 13, None),
    ],
)
def test_an_amount_is_whole_fen_or_none(text: str, expected: int | None) -> None:
    assert fen(text) == expected


@given(st.integers(-(10**11), 10**11))
def test_no_amount_is_ever_rounded(amount: int) -> None:
    sign, yuan, rest = "-" if amount < 0 else "", *divmod(abs(amount), 100)
    assert fen(f"{sign}{yuan}.{rest:02d}") == fen(str(amount)) == amount


# --- people -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("codec", "head", "body"), VALID)
def test_nothing_of_a_person_can_be_read_in_a_message_or_in_quarantine(
    codec: HttpPushCodec, head: Head, body: bytes
) -> None:
    for row in body.split(b"\n"):
        cells = row.split(b"\t")
        for index in range(len(cells)):
            for text in (CANARY, "86420975318642", "Canary"):
                bad = b"\t".join([*cells[:index], text.encode(), *cells[index + 1 :]])
                pushed = checked(codec, head, bad + b"\tName=" + CANARY.encode("gb2312"))
                assert pushed is not None
                for content, raw in pushed.rows:
                    shown = f"{content!r} {redact(raw, codec.harmless_keys).decode()}"
                    assert "Canary" not in shown
                    assert "欧阳" not in shown


def test_a_person_number_is_nowhere_in_the_clear() -> None:
    codec = CODECS["zk-adms-att"]
    row = b"86420975318642\t2026-09-01 07:55:10\t0\t15\t0"
    (only,) = codec.decode(Head("POST", "/iclock/cdata", f"SN={SERIAL}&table=ATTLOG"), row).rows
    assert isinstance(only.content, Message)
    assert "86420975318642" not in repr(only.content)


@pytest.mark.parametrize(
    "table", ["ATTPHOTO", "BIODATA", "FINGERTMP", "FACE", "BIOPHOTO", "USERPIC", "IDCARD", "", "X"]
)
def test_bodies_of_other_tables_are_not_wanted(table: str) -> None:
    assert not CODECS["zk-adms-att"].keeps_body(Head("POST", "/iclock/cdata", f"SN={SERIAL}&table={table}"))
    assert not CODECS["zk-cm-pos"].keeps_body(Head("POST", "/iclock/cpos", f"SN={SERIAL}&table={table}"))


def test_there_are_samples() -> None:
    assert len(VALID) >= 9
    assert json.dumps([head for _, head, _ in VALID])
