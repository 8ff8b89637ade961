"""An MQTT broker that devices speak to."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from edge_agent.transports import Broker, Transport


class MqttTransport(Broker, Transport):
    """client_id: stable, since the broker keeps our session under it. topic_prefix: the devices' own, if not the
    protocol's factory setting.
    """

    channel: ClassVar[str] = "mqtt"

    kind: Literal["mqtt"]
    topic_prefix: Annotated[str, Field(pattern=r"^[^#+\s/][^#+\s]*$", max_length=128)] | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    version: Literal[4, 5] = 5


TRANSPORT: Final = MqttTransport
