"""FaceSluice over MQTT: what its devices say, in the words of `edge_agent/codecs/facesluice.py`."""

from typing import Annotated, Final

from pydantic import BaseModel, Field

from device_profiles.protocols import ProtocolModel, StrictModel


class Address(StrictModel):
    """device_id: `facesluiceId`, as it stands in the device's menu and in its topics."""

    device_id: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Attributes(StrictModel):
    """field: the message field that a device resource stands for."""

    field: Annotated[str, Field(min_length=1, max_length=64)]


def _key(address: BaseModel) -> str:
    return Address.model_validate(address).device_id


_PUSH: Final = frozenset(
    {
        "verify_status",  # 0 none, 1 allowed, 2 refused, 3 not registered, 22 pending
        "person_type",  # 0 white list, 1 black list
        "direction",  # entr, exit, 1, 2
        "otype",
        "open_door_way",
        "mask",  # worn_or_unchecked, missing, missing_allowed
        "temperature",  # degrees Celsius
        "temperature_alarm",
        "temperature_mode",
        "alarm_type",
    }
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
    address=Address,
    address_key=_key,
    attributes=Attributes,
)
