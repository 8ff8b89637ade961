"""Any bytes give messages, discards or nothing, and never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs import Decoded
from edge_agent.codecs.nxt_pa import MESSAGES, PAYLOAD_BYTES_MAX, SPEC, answer
from edge_agent.message import Discard, Message
from edge_agent.orders import Performed
from tests.protocols.cases import all_cases

PREFIX = SPEC.topic_prefix
DEVICE = "NXT2204-000001"
TOPIC = f"{PREFIX}/messages/{DEVICE}"
SAMPLES = [payload for case in all_cases("nxt_pa") for _, payload in case.mqtt_messages()]


def checked(topic: str, payload: bytes) -> list[Decoded]:
    decoded = list(SPEC.decode(PREFIX, topic, payload))
    for address, content in decoded:
        assert address.isascii()
        if isinstance(content, Message):
            assert content.kind in SPEC.records | {"online", "offline", "other", "outputs", "output_edit"}
            assert all(isinstance(value, str | int) for value in content.fields.values())
        else:
            assert content.reason.isidentifier()
    return decoded


@given(leaf=st.text(max_size=30), payload=st.binary(max_size=200))
def test_random_bytes_raise_nothing(leaf: str, payload: bytes) -> None:
    checked(f"{PREFIX}/messages/{leaf}", payload)
    checked(leaf, payload)


@given(data=st.data())
def test_a_frame_with_any_byte_exchanged_raises_nothing(data: st.DataObject) -> None:
    payload = data.draw(st.sampled_from(SAMPLES))
    at = data.draw(st.integers(0, len(payload) - 1))
    checked(TOPIC, payload[:at] + data.draw(st.binary(max_size=3)) + payload[at + 1 :])


@pytest.mark.parametrize("payload", SAMPLES, ids=range(len(SAMPLES)))
def test_every_truncation_raises_nothing(payload: bytes) -> None:
    for length in range(len(payload)):
        checked(TOPIC, payload[:length])


def test_a_frame_over_the_limit_is_not_looked_into() -> None:
    (decoded,) = checked(TOPIC, b"\x08" * (PAYLOAD_BYTES_MAX + 1))
    assert decoded.content == Discard("too_large")


def test_what_the_platform_says_itself_is_not_for_us() -> None:
    frame = MESSAGES["PbMsg"](id=231, source=b"campus-edge_0123").SerializeToString()
    assert checked(TOPIC, frame) == []


def test_a_reply_ends_the_order_that_it_names_or_else_the_last_one() -> None:
    order = "1f" * 16
    for target, request_id in ((f"campus-edge_{order}", order), ("web_1", ""), ("", "")):
        body = MESSAGES["TaskReply"](status=0, uuid=b"t").SerializeToString()
        frame = MESSAGES["PbMsg"](id=232, data=body, source=DEVICE.encode(), target=target.encode())
        (decoded,) = checked(TOPIC, frame.SerializeToString())
        assert isinstance(decoded.content, Message)
        found = answer(decoded.content)
        assert found is not None
        assert (found.request_id, found.performed) == (request_id, Performed("succeeded"))


@pytest.mark.parametrize(
    ("kind", "status", "result"),
    [
        ("output_edit", "ok", "succeeded"),
        ("output_edit", "argument", "rejected"),
        ("task_start", "busy", "rejected"),
        ("task_start", "running", "rejected"),
        ("task_start", "not_found", "rejected"),
        ("task_stop", "not_found", "succeeded"),
        ("task_stop", "forbidden", "rejected"),
    ],
)
def test_a_status_is_done_or_not(kind: str, status: str, result: str) -> None:
    found = answer(Message(kind=kind, fields={"status": status}))
    assert found is not None
    assert found.performed is not None
    assert found.performed.result == result
    assert answer(Message(kind="key_press", fields={"key": "mute"})) is None
