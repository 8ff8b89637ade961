"""What the shipped profile makes of a golden case's messages, as it is written in its expected.json."""

from typing import Any

import msgspec

from edge_agent.codecs import Decoded, mqtt_codec
from edge_agent.draft import NO_ID
from edge_agent.message import Message
from edge_agent.translate import DeviceInfo, Unmapped, translate
from tests.translate.profiles import shipped_profile
from wire.identity import Pseudonymiser

DEVICE = DeviceInfo("gate-1/face-1", "Asia/Shanghai")
CAMPUS_KEY = b"golden cases of tests only......"


def events(protocol: str, decoded: Decoded) -> list[dict[str, Any]]:
    """The records of one decoded message, without id and stamp."""
    if not isinstance(decoded.content, Message) or decoded.content.kind not in mqtt_codec(protocol).records:
        return []
    result = translate(shipped_profile(protocol), DEVICE, decoded.content, Pseudonymiser(CAMPUS_KEY))
    if isinstance(result, Unmapped):
        return [{"unmapped": result.kind}]
    shown: list[dict[str, Any]] = []
    for draft in result:
        assert draft.record.id == NO_ID
        record = msgspec.to_builtins(draft.record)
        shown.append({key: value for key, value in record.items() if key not in {"id", "stamp"}})
    return shown
