"""NXT IP amplifiers: what their devices say, in the words of `edge_agent/codecs/nxt_pa.py`."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from device_profiles.protocols import TEXT, TRUTH, WHOLE, FieldType, MqttTopics, ProtocolModel, StrictModel


class Address(StrictModel):
    """device_id: the device's identity, as it stands in its topics and frames, for example NXT2204-000001."""

    device_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Attributes(StrictModel):
    """part: what of a task or of an output a resource stands for."""

    part: Literal["song", "zones", "volume", "zone"]


def _key(address: BaseModel) -> str:
    return Address.model_validate(address).device_id


_STATUS: Final = FieldType(
    frozenset({str}),
    words=frozenset(
        {"ok", "failed", "not_found", "running", "stopped", "argument", "forbidden", "disk_full", "song_exists"}
        | {"busy", "no_disk", "exists", "unknown"}
    ),
)
_FIELDS: Final[Mapping[str, FieldType]] = {
    "status": _STATUS,
    "task": TEXT,
    "channel": WHOLE,
    "passed": TRUTH,
    "active": TRUTH,
    "fault": FieldType(frozenset({str}), words=frozenset({"broken", "on_backup"})),
    "key": FieldType(
        frozenset({str}), words=frozenset({"paging", "quieter", "mute", "louder", "factory_reset", "unknown"})
    ),
}

TOPICS: Final = MqttTopics(
    prefix="channels/school",
    said=("{prefix}/messages/{device}",),
    heard=("{prefix}/messages/{device}", "{prefix}/messages/common/device"),
)

PROTOCOL: Final = ProtocolModel(
    name="nxt-pa",
    transports=frozenset({"mqtt"}),
    messages={
        "task_start": frozenset({"status", "task"}),
        "task_stop": frozenset({"status", "task"}),
        "speaker_status": frozenset({"channel", "passed"}),
        "output_fault": frozenset({"channel", "fault", "active"}),
        "key_press": frozenset({"key"}),
    },
    fields=_FIELDS,
    address=Address,
    address_key=_key,
    attributes=Attributes,
    topics=TOPICS,
)
