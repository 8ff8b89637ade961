"""Any bytes give messages, discards or nothing, and never an exception; what they say of people stays behind."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge_agent.codecs import Decoded
from edge_agent.codecs.esprfid import PAYLOAD_BYTES_MAX, SPEC, answer
from edge_agent.message import Discard, Message
from edge_agent.redact import redact
from tests.protocols.cases import all_cases

PREFIX = SPEC.topic_prefix
TOPIC = f"{PREFIX}/send"
SAMPLES = [payload for case in all_cases("esprfid") for topic, payload in case.mqtt_messages() if topic == TOPIC]
VALID = [payload for payload in SAMPLES if payload.startswith(b"{") and payload.endswith(b"}")]
KINDS = SPEC.records | {"boot", "heartbeat", "other"}
# A card that is a name: no reader says so, and it would be the only way for one through the codec.
CANARY = "欧阳询Canary"


def checked(payload: bytes, topic: str = TOPIC) -> list[Decoded]:
    """Decode, and hold the result against the promises of edge_agent.message."""
    decoded = list(SPEC.decode(PREFIX, topic, payload))
    for address, content in decoded:
        assert len(address) <= 64
        assert address.isascii()
        if isinstance(content, Discard):
            assert content.reason.isidentifier()
            continue
        assert content.kind in KINDS
        for value in content.fields.values():
            assert isinstance(value, bool | str)
            assert str(value).isascii()
            assert len(str(value)) <= 64
        assert content.device_time is None or (content.device_time.isascii() and 0 < len(content.device_time) <= 16)
        answer(content)
    return decoded


@given(topic=st.sampled_from([TOPIC, f"{PREFIX}/cmd", PREFIX, ""]) | st.text(max_size=30), payload=st.binary())
def test_random_bytes_raise_nothing(topic: str, payload: bytes) -> None:
    checked(payload, topic)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300)
@given(data=st.data())
def test_a_message_with_any_of_its_values_exchanged_raises_nothing(data: st.DataObject) -> None:
    message: dict[str, Any] = json.loads(data.draw(st.sampled_from(VALID)))
    message[data.draw(st.sampled_from(sorted(message)))] = data.draw(json_values)
    checked(json.dumps(message).encode())


@settings(max_examples=300)
@given(data=st.data())
def test_a_message_with_any_byte_exchanged_raises_nothing(data: st.DataObject) -> None:
    payload = data.draw(st.sampled_from(SAMPLES))
    position = data.draw(st.integers(0, len(payload) - 1))
    checked(payload[:position] + data.draw(st.binary(max_size=3)) + payload[position + 1 :])


@pytest.mark.parametrize("payload", VALID)
def test_no_truncation_of_a_message_is_taken_for_one(payload: bytes) -> None:
    for length in range(len(payload)):
        (decoded,) = checked(payload[:length])
        assert isinstance(decoded.content, Discard)


@pytest.mark.parametrize("payload", VALID)
def test_garbage_around_a_message_is_not_looked_through(payload: bytes) -> None:
    for noise in (b"\xff", b"x", b"}", b'{"type":"boot"}'):
        for spoilt in (noise + payload, payload + noise):
            (decoded,) = checked(spoilt)
            assert isinstance(decoded.content, Discard)


@pytest.mark.parametrize(
    "payload", [b"[" * 4000, b'{"access":' + b"[" * 4000, b'{"a":' * 1000, b'{"time":' + b"9" * 4000]
)
def test_depth_is_bounded(payload: bytes) -> None:
    (decoded,) = checked(payload)
    assert isinstance(decoded.content, Discard)


def test_a_payload_over_the_limit_is_not_looked_into() -> None:
    (decoded,) = checked(b" " * (PAYLOAD_BYTES_MAX + 1))
    assert decoded.content == Discard("too_large")


def poisoned(payload: bytes) -> bytes:
    """With a name and a number wherever a person may stand, and in keys that nobody knows."""
    message: dict[str, Any] = json.loads(payload)
    for key in ("username", "user", "data", "doorName", "备注", "configfile"):
        message[key] = f"{CANARY} 86420975318642"
    if str(message.get("uid", "")).strip():
        message["uid"] = "8642097531"
    if message.get("type") in {"INFO", "WARN", "ERRO"}:
        message["desc"] = CANARY
    return json.dumps(message, ensure_ascii=False).encode()


@pytest.mark.parametrize("payload", VALID)
def test_nothing_of_a_person_can_be_read_in_a_message_nor_in_quarantine(payload: bytes) -> None:
    bad = poisoned(payload)
    for address, content in checked(bad):
        shown = f"{address} {content} {content!r}"
        assert not any(part in shown for part in (CANARY, "Canary", "8642097531"))
        assert not isinstance(content, Message) or content.holder is None
    for length in range(0, len(bad), 5):
        for kept in (redact(bad[:length], SPEC.harmless_keys), redact(bad[length:], SPEC.harmless_keys)):
            assert not any(part in kept.decode() for part in (CANARY, "Canary", "8642097531"))


def test_only_what_was_opened_for_an_order_answers_one() -> None:
    def said(username: str) -> bool:
        line = {"type": "access", "hostname": "lab", "isKnown": "true", "access": "Always", "username": username}
        (decoded,) = checked(json.dumps({**line, "uid": " "}).encode())
        assert isinstance(decoded.content, Message)
        return answer(decoded.content) is not None

    assert said("MQTT")
    assert not said("Button")
    assert not said(CANARY)


def test_a_person_called_like_an_order_is_a_person() -> None:
    line = {"type": "access", "hostname": "lab", "isKnown": "true", "access": "Always", "username": "MQTT"}
    (decoded,) = checked(json.dumps({**line, "uid": "4596b78a"}).encode())
    assert isinstance(decoded.content, Message)
    assert decoded.content.kind == "access"
    assert answer(decoded.content) is None
