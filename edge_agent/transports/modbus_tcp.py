"""A Modbus TCP endpoint: one device, or a gateway with units behind it."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from edge_agent.transports import Host, Only, Port, Transport


class ModbusTcpTransport(Transport):
    """reply_within_ms: how long a unit may take to answer; gap_max: registers read in vain to save a request."""

    channel: ClassVar[str] = "modbus"
    only: ClassVar[Only] = Only("endpoint", ("host", "port"))

    kind: Literal["modbus-tcp"]
    host: Host
    port: Port = 502
    reply_within_ms: Annotated[int, Field(ge=20, le=10_000)] = 500
    gap_max: Annotated[int, Field(ge=0, le=120)] = 8


TRANSPORT: Final = ModbusTcpTransport
