"""A serial line with Modbus RTU units on it."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from edge_agent.transports import Only, Transport
from edge_agent.transports.serial import Line


class ModbusRtuTransport(Line, Transport):
    """reply_within_ms: the slowest unit's worst answer; after a time-out the line stays quiet for as long before it is
    opened anew, so that a late answer is never taken for another. gap_max: registers read in vain to save a request.
    """

    channel: ClassVar[str] = "modbus"
    only: ClassVar[Only] = Only("line", ("port",))

    kind: Literal["modbus-rtu"]
    reply_within_ms: Annotated[int, Field(ge=20, le=10_000)] = 500
    gap_max: Annotated[int, Field(ge=0, le=120)] = 8


TRANSPORT: Final = ModbusRtuTransport
