"""A line is one MQTT message: {"topic", and "payload", "text" or "hex"}, under the protocol's factory prefix."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from device_profiles.model import DeviceProfile
from edge_agent.cases import Heard, Replay, payload_of
from edge_agent.codecs.kinds.mqtt import Downlink, MqttCodec
from edge_agent.message import Message


def replay(spec: MqttCodec, _profile: DeviceProfile) -> Replay:
    """See edge_agent.cases."""
    prefix = spec.topic_prefix

    def heard(row: Mapping[str, Any]) -> Sequence[Heard]:
        return [
            Heard(one, [_told(downlink) for downlink in _acknowledgements(one.address, one.content)])
            for one in spec.decode(prefix, row["topic"], payload_of(row))
        ]

    def _acknowledgements(address: str, content: object) -> Sequence[Downlink]:
        return spec.acknowledgements(prefix, address, content) if isinstance(content, Message) else ()

    return heard


def _told(downlink: Downlink) -> dict[str, Any]:
    try:
        return {"topic": downlink.topic, "payload": json.loads(downlink.payload)}
    except ValueError:
        return {"topic": downlink.topic, "hex": downlink.payload.hex()}
