"""Hikvision ISAPI alertStream: what cameras and recorders say, in the words of `edge_agent/codecs/hik_camera.py`."""

from collections.abc import Mapping
from typing import Final

from device_profiles.protocols import TEXT, TRUTH, WHOLE, FieldType, OnlyOne, ProtocolModel, only_one

_FIELDS: Final[Mapping[str, FieldType]] = {
    "event_type": TEXT,  # the device's own word in small letters: vmd, diskfull, shelteralarm, …
    "event_state": FieldType(frozenset({str}), words=frozenset({"active", "inactive"})),
    "channel_id": WHOLE,
    "input_port": WHOLE,  # of an alarm input
    "assumed": TRUTH,  # the device never said that it ended; it only stopped saying that it lasts
}

PROTOCOL: Final = ProtocolModel(
    name="hik-camera",
    transports=frozenset({"http-stream"}),
    messages={"alert": frozenset(_FIELDS)},
    fields=_FIELDS,
    address=OnlyOne,
    address_key=only_one,
)
