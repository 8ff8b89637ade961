"""Any bytes on any topic give messages, discards or nothing, and never an exception; what they say of people stays
behind.
"""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from edge_agent.codecs import Decoded
from edge_agent.codecs import codec as codec_of
from edge_agent.codecs.kinds.mqtt import MqttCodec
from edge_agent.message import Discard, Message
from edge_agent.redact import HEAD_BYTES_MAX, redact
from tests.protocols.cases import all_cases
from wire.records import Scalar

CODECS = {"facesluice": codec_of("facesluice", MqttCodec)}
SAMPLES = [
    (CODECS[case.protocol], topic, payload)
    for case in all_cases("facesluice")
    for topic, payload in case.mqtt_messages()
]
VALID = [
    (codec, topic, payload)
    for codec, topic, payload in SAMPLES
    if any(isinstance(one.content, Message) for one in codec.decode(codec.topic_prefix, topic, payload))
]
protocols = pytest.mark.parametrize("codec", CODECS.values(), ids=CODECS.keys())


def checked(codec: MqttCodec, topic: str, payload: bytes) -> list[Decoded]:
    """Decode, and hold the result against the promises of edge_agent.message."""
    decoded = list(codec.decode(codec.topic_prefix, topic, payload))
    for address, content in decoded:
        assert len(address) <= 64
        assert address.isascii()
        if isinstance(content, Discard):
            assert content.reason.isidentifier()
            continue
        assert content.kind in codec.records | codec.signs.keys() | {"online", "heartbeat", "command_ack"}
        for value in content.fields.values():
            assert_plain(value)
        assert content.record_no is None or 0 <= content.record_no < 2**63
        assert content.device_time is None or (content.device_time.isascii() and 0 < len(content.device_time) <= 64)
        for downlink in codec.acknowledgements(codec.topic_prefix, address, content):
            assert json.loads(downlink.payload)
    return decoded


def assert_plain(value: Scalar) -> None:
    if isinstance(value, str):
        assert len(value) <= 64
        assert value.isascii()
    else:
        assert abs(value) < 2**63


@protocols
@given(leaf=st.text(max_size=40), payload=st.binary(max_size=300))
def test_random_bytes_raise_nothing(codec: MqttCodec, leaf: str, payload: bytes) -> None:
    checked(codec, f"{codec.topic_prefix}/{leaf}", payload)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=8,
)


@settings(max_examples=300)
@given(data=st.data())
def test_a_valid_message_with_any_of_its_values_exchanged_raises_nothing(data: st.DataObject) -> None:
    codec, topic, payload = data.draw(st.sampled_from(VALID))
    message: dict[str, Any] = json.loads(payload.decode(errors="replace"))
    part = data.draw(st.sampled_from([message, message["info"]]))
    if part:
        part[data.draw(st.sampled_from(sorted(part)))] = data.draw(json_values)
    checked(codec, topic, json.dumps(message).encode())


@settings(max_examples=300)
@given(data=st.data())
def test_a_valid_message_with_any_byte_exchanged_raises_nothing(data: st.DataObject) -> None:
    codec, topic, payload = data.draw(st.sampled_from(VALID))
    position = data.draw(st.integers(0, len(payload) - 1))
    checked(codec, topic, payload[:position] + data.draw(st.binary(max_size=3)) + payload[position + 1 :])


@pytest.mark.parametrize(("codec", "topic", "payload"), VALID)
def test_no_truncation_of_a_valid_message_is_taken_for_a_message(codec: MqttCodec, topic: str, payload: bytes) -> None:
    for length in range(len(payload)):
        (decoded,) = checked(codec, topic, payload[:length])
        assert isinstance(decoded.content, Discard)


@pytest.mark.parametrize(
    "payload",
    [
        b"[" * 1_000_000,
        b'{"info":' + b"[" * 200_000,
        b'{"x":' + b'{"a":' * 200_000,
        b'{"operator":' + b"9" * 100_000 + b"}",
    ],
    ids=["array", "info", "object", "number"],
)
@protocols
def test_depth_and_length_are_bounded(codec: MqttCodec, payload: bytes) -> None:
    (decoded,) = checked(codec, f"{codec.topic_prefix}/1026701/Rec", payload)
    assert isinstance(decoded.content, Discard)


@protocols
def test_a_payload_over_the_limit_is_not_looked_into(codec: MqttCodec) -> None:
    payload = b" " * (codec.payload_bytes_max + 1)
    (decoded,) = checked(codec, f"{codec.topic_prefix}/1026701/Rec", payload)
    assert decoded.content == Discard("too_large")


CANARY_NAME = "欧阳询Canary"
CANARY_DIGITS = "86420975318642"
PERSONAL = (
    "personName",
    "persionName",
    "idCard",
    "telnum",
    "telnum1",
    "address",
    "pic",
    "scene",
    "similarity1",
    "name",
)


def poisoned(payload: bytes) -> bytes:
    """The message with a name and a number in every key that speaks of a person, known or not, and around them."""
    message: dict[str, Any] = json.loads(payload.decode(errors="replace"))
    for part in (message, message["info"]):
        for key in (*PERSONAL, "unknownKey", "备注"):
            part[key] = f"{CANARY_NAME} {CANARY_DIGITS}"
        part["nested"] = {"personName": CANARY_NAME, "list": [CANARY_DIGITS]}
    message["info"]["customId"] = message["info"]["RFIDCard"] = CANARY_DIGITS
    message["info"]["direction"] = message["info"]["otype"] = CANARY_NAME
    return json.dumps(message, ensure_ascii=False).encode()


def reveals(text: str) -> bool:
    return any(part in text for part in (CANARY_NAME, "Canary", "欧阳", CANARY_DIGITS))


@pytest.mark.parametrize(("codec", "topic", "payload"), VALID)
def test_nothing_of_a_person_can_be_read_in_a_message(codec: MqttCodec, topic: str, payload: bytes) -> None:
    for address, content in checked(codec, topic, poisoned(payload)):
        assert isinstance(content, Message)
        assert not reveals(f"{address} {content} {content!r}")
        assert not reveals(str(codec.acknowledgements(codec.topic_prefix, address, content)))


@pytest.mark.parametrize(("codec", "topic", "payload"), VALID)
def test_nothing_of_a_person_can_be_read_in_quarantine(codec: MqttCodec, topic: str, payload: bytes) -> None:
    bad = poisoned(payload)
    for length in range(0, len(bad), 7):
        for kept in (redact(bad[:length], codec.harmless_keys), redact(bad[length:], codec.harmless_keys)):
            assert not reveals(kept.decode())
            assert len(kept) <= HEAD_BYTES_MAX


@given(st.binary(max_size=5000))
@example(b'"' * 3000)
@example(b'"\\' * 2000)
@example(b"\xe5\xbc\xa0" * 400)
def test_anything_can_be_redacted(raw: bytes) -> None:
    kept = redact(raw)
    assert len(kept) <= HEAD_BYTES_MAX
    kept.decode()


def test_redacted_text_keeps_its_shape() -> None:
    raw = (
        '{"operator":"RecPush","info":{"customId":"20260001","personName":"李雷","time":"2026-09-01 07:55:10","pic":"/9'
    )
    assert redact(raw.encode(), frozenset({"operator", "time"})).decode() == (
        '{"operator":"RecPush","info":{"customId":"00000000","personName":"xx","time":"2026-09-01 07:55:10","pic":"/0'
    )


def test_a_name_of_two_words_is_masked_even_where_a_code_may_stay() -> None:
    assert redact(b'{"direction":"Ann Other"}', frozenset({"direction"})) == b'{"direction":"aaa aaaaa"}'


def test_a_long_run_is_elided() -> None:
    assert redact(b'{"pic":"' + b"iVBORw0KGgo" * 400).decode() == '{"pic":"…'
