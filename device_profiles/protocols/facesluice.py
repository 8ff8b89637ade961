"""FaceSluice over MQTT: what its devices say, in the words of `edge_agent/codecs/facesluice.py`."""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from device_profiles.findings import nearest
from device_profiles.protocols import CODE, MEASURE, TEXT, FieldType, MqttTopics, ProtocolModel, StrictModel


class Address(StrictModel):
    """device_id: `facesluiceId`, as it stands in the device's menu and in its topics."""

    device_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Attributes(StrictModel):
    """field: the message field that a resource stands for; with operator, the key in `info` of that command instead.

    The list is short on purpose: what changes people, pictures or firmware is no device resource.
    """

    field: Annotated[str, Field(min_length=1, max_length=64)]
    operator: Literal["Unlock", "SetSysTime", "ManualPushRecords"] | None = None

    @model_validator(mode="after")
    def _field_is_known(self) -> "Attributes":
        if self.operator is None and self.field not in _FIELDS:
            params: dict[str, Any] = {"name": self.field, "nearest": nearest(self.field, _FIELDS)}
            raise PydanticCustomError("finding.unknown_field", "unknown field", params)
        return self


def _key(address: BaseModel) -> str:
    return Address.model_validate(address).device_id


_FIELDS: Final[Mapping[str, FieldType]] = {
    "verify_status": CODE,  # 0 none, 1 allowed, 2 refused, 3 not registered, 22 pending
    "person_type": CODE,  # 0 white list, 1 black list
    "direction": CODE,  # entr, exit, 1, 2
    "otype": CODE,
    "open_door_way": CODE,
    # A number is a code of `isNoMask` that the document does not have.
    "mask": FieldType(frozenset({int, str}), words=frozenset({"worn_or_unchecked", "missing", "missing_allowed"})),
    "temperature": MEASURE,  # degrees Celsius
    "temperature_alarm": CODE,
    "temperature_mode": CODE,
    "alarm_type": CODE,
    "operator": TEXT,  # of a push that has no kind of its own
}
_PUSH: Final = frozenset(_FIELDS) - {"operator"}

# The two shared topics are open to a terminal of its own account, too, because the protocol has no others.
TOPICS: Final = MqttTopics(
    prefix="mqtt/face",
    said=("{prefix}/basic", "{prefix}/heartbeat", "{prefix}/{device}/+"),
    heard=("{prefix}/{device}",),
)

PROTOCOL: Final = ProtocolModel(
    name="facesluice",
    transports=frozenset({"mqtt"}),
    messages={
        "rec_push": _PUSH,
        "snap_push": _PUSH,
        "qr_code_push": _PUSH,
        "id_card_push": _PUSH,
        "card_push": _PUSH,
        "alarm_push": _PUSH,
        "generic_push": _PUSH | {"operator"},
    },
    fields=_FIELDS,
    address=Address,
    address_key=_key,
    attributes=Attributes,
    topics=TOPICS,
)
