"""What our own terminal says is understood, and what it sends as garbage is not."""

import json
import random

import pytest

from edge_agent.codecs import Decoded
from edge_agent.codecs.facesluice import SPEC
from edge_agent.message import Discard, Message
from simulators.device import Kept, RecordKey
from simulators.facesluice_messages import REC, SNAP, TerminalConfig
from simulators.garbage import SPOILS, spoil

CONFIG = TerminalConfig(device_id="1026701", prefix=SPEC.topic_prefix, scene=True)
TIME = "2026-09-01 07:55:10"


def kept(series: str, number: int) -> Kept:
    fields: dict[str, object] = {
        "facesluiceId": "1026701",
        "customId": "20260001",
        "personName": "张三",
        "VerifyStatus": "1",
        "isNoMask": "0",
        "targetPosInScene": [1, 2, 3, 4],
    }
    return Kept(RecordKey(series, 0, number), TIME, 0.0, 1, "1", fields)


def decoded(topic: str, payload: bytes) -> list[Decoded]:
    return list(SPEC.decode(SPEC.topic_prefix, topic, payload))


@pytest.mark.parametrize(("series", "kind", "ack_type"), [(REC, "rec_push", 2), (SNAP, "snap_push", 1)])
def test_a_record_is_understood_and_told_in_its_own_counter(series: str, kind: str, ack_type: int) -> None:
    topic, payload, _ = CONFIG.record(kept(series, 42), 0, in_time=True)
    ((address, message),) = decoded(topic, payload)
    assert isinstance(message, Message)
    assert (address, message.kind, message.device_time, message.replayed) == ("1026701", kind, TIME, False)
    (told,) = SPEC.acknowledgements(SPEC.topic_prefix, address, message)
    assert json.loads(told.payload)["info"] == {"PushAckType": ack_type, "SnapOrRecordID": 42}


def test_life_and_what_is_said_once_is_understood() -> None:
    said = [
        CONFIG.basic("Online", TIME),
        CONFIG.basic("Offline", TIME),
        CONFIG.heartbeat(TIME),
        CONFIG.said("QRCodePush", "QRCode", TIME, {"szQrCodeData": "VISIT-42"}),
        CONFIG.said("CardPush", "Card", TIME, {"RFIDCard": "0012345678"}),
        CONFIG.said("AlarmInfoPush", "Alarm", TIME, {"alarmType": "tamper"}),
    ]
    messages = [content for topic, payload, _ in said for _, content in decoded(topic, payload)]
    assert [message.kind for message in messages if isinstance(message, Message)] == [
        *("online", "offline", "heartbeat", "qr_code_push", "card_push", "alarm_push")
    ]


@pytest.mark.parametrize("seed", range(20 * len(SPOILS)))
@pytest.mark.parametrize("series", [REC, SNAP])
def test_garbage_is_never_taken_for_a_record(series: str, seed: int) -> None:
    topic, payload, _ = CONFIG.record(kept(series, 42), 0, in_time=True)
    ((_, content),) = decoded(topic, spoil(payload, random.Random(seed)))
    assert isinstance(content, Discard)
