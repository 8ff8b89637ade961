"""A serial port with one reader or scanner on it."""

from typing import Annotated, ClassVar, Final, Literal

from pydantic import Field

from device_profiles.protocols import StrictModel
from edge_agent.transports import Only, Transport


class Line(StrictModel):
    """A serial port. port: its device file; a path below /dev/serial/by-id stays the same whatever is plugged first."""

    port: Annotated[str, Field(pattern=r"^/.+", max_length=255)]
    baud_rate: Annotated[int, Field(ge=300, le=4_000_000)] = 9600
    parity: Literal["none", "even", "odd"] = "none"
    stop_bits: Literal[1, 2] = 1


class SerialTransport(Line, Transport):
    """See the module."""

    channel: ClassVar[str] = "serial"
    only: ClassVar[Only] = Only("line", ("port",))

    kind: Literal["serial"]


TRANSPORT: Final = SerialTransport
