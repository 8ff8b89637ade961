"""An MQTT broker that devices speak to."""

from collections.abc import Mapping
from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from edge_agent.transports import Broker, Only, Transport


class MqttTransport(Broker, Transport):
    """client_id: stable, since the broker keeps our session under it. topic_prefix: the devices' own, if not the
    protocol's factory setting.
    """

    channel: ClassVar[str] = "mqtt"
    # Two sessions under one id would put each other out of the door for ever.
    only: ClassVar[Only] = Only("session", ("host", "port", "client_id"))
    needs: ClassVar[Mapping[str, str]] = Broker.needs

    kind: Literal["mqtt"]
    topic_prefix: Annotated[str, Field(pattern=r"^[^#+\s/][^#+\s]*$", max_length=128)] | None = None
    client_id: Annotated[str, Field(min_length=1, max_length=64)] | None = None
    version: Literal[4, 5] = 5


TRANSPORT: Final = MqttTransport
