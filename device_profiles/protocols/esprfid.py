"""esp-rfid over MQTT: what its doors say, in the words of `edge_agent/codecs/esprfid.py`."""

from collections.abc import Mapping
from typing import Annotated, Final, Literal

from pydantic import BaseModel, Field

from device_profiles.findings import IPV4
from device_profiles.protocols import TEXT, TRUTH, FieldType, MqttTopics, ProtocolModel, StrictModel


class Address(StrictModel):
    """hostname: as it stands on the door's page, which is how it signs. ip: its address on the network, by which it
    knows what is for it; without it the door can be heard and not be opened.
    """

    hostname: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]
    ip: Annotated[str, Field(pattern=IPV4)] | None = None


class Attributes(StrictModel):
    """command: what the door is told when a resource is written.

    The list is short on purpose: what changes people, settings or firmware is no device resource.
    """

    command: Literal["opendoor"]


def _key(address: BaseModel) -> str:
    return Address.model_validate(address).hostname


_FIELDS: Final[Mapping[str, FieldType]] = {
    "access": FieldType(
        frozenset({str}),
        words=frozenset({"always", "admin", "disabled", "expired", "wrong_pin", "denied", "unknown"}),
    ),
    "known": TRUTH,
    # Of a unit with several: the numbers of those that opened, with commas. Absent on a unit that has one.
    "locks": TEXT,
    # Who had the door opened without a card: an order, or the button beside it.
    "by": FieldType(frozenset({str}), words=frozenset({"order", "button", "unknown"})),
    "state": FieldType(frozenset({str}), words=frozenset({"open", "closed"})),
    "part": TEXT,
    "notice": TEXT,
    "severity": FieldType(frozenset({str}), words=frozenset({"info", "warning", "error"})),
}

# The manual's example, without the slash that it begins with there.
TOPICS: Final = MqttTopics(prefix="rfid", said=("{prefix}/send",), heard=("{prefix}/cmd",))

PROTOCOL: Final = ProtocolModel(
    name="esprfid",
    transports=frozenset({"mqtt"}),
    messages={
        "access": frozenset({"access", "known", "locks"}),
        "opened": frozenset({"by"}),
        "door": frozenset({"state"}),
        "notice": frozenset({"part", "notice", "severity"}),
    },
    fields=_FIELDS,
    address=Address,
    address_key=_key,
    attributes=Attributes,
    topics=TOPICS,
)
