"""Modbus: where a value stands in a unit's tables, in EdgeX's words. Everything else is in the profile.

attributes:
primary_table: holding_registers      coils | discrete_inputs | input_registers | holding_registers
starting_address: 0x0001              as it goes over the wire, so counted from 0
raw_type: int16                       bool in coils and inputs; registers: what their bits are
word_order: low_first                 of values of several registers; byte_order: within each register

attributes of the whole device:
registers_max: 60                     in one request, of a device that answers no more; 125 otherwise
forbidden:                            what must not be read in vain between two values
  - {primary_table: input_registers, first: 0x0020, last: 0x0045}
"""

from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, Field, model_validator
from pydantic_core import PydanticCustomError

from device_profiles.protocols import ProtocolModel, StrictModel

Table = Literal["coils", "discrete_inputs", "input_registers", "holding_registers"]
RawType = Literal["bool", "int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64", "string"]
Order = Literal["high_first", "low_first"]

BIT_TABLES: Final = frozenset({"coils", "discrete_inputs"})
WRITABLE_TABLES: Final = frozenset({"coils", "holding_registers"})
REGISTERS: Final = {
    "int16": 1,
    "uint16": 1,
    "int32": 2,
    "uint32": 2,
    "int64": 4,
    "uint64": 4,
    "float32": 2,
    "float64": 4,
}


class Address(StrictModel):
    """unit_id: of the unit on its line or behind its gateway; a device that is alone behind a TCP port is mostly 1.

    inverted: two-valued resources that are wired the other way round than the profile says, for example a door contact
    that opens its circuit when the door is closed.
    """

    unit_id: Annotated[int, Field(ge=1, le=247)]
    inverted: Annotated[tuple[str, ...], Field(strict=False, max_length=32)] = ()


class Span(StrictModel):
    """Registers or bits of a table, both ends included."""

    primary_table: Table
    first: Annotated[int, Field(ge=0, le=0xFFFF)]
    last: Annotated[int, Field(ge=0, le=0xFFFF)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.last < self.first:
            raise PydanticCustomError("finding.span_inverted", "", {"first": self.first, "last": self.last})
        return self


class DeviceAttributes(StrictModel):
    """See the module."""

    registers_max: Annotated[int, Field(ge=1, le=125)] = 125
    forbidden: Annotated[tuple[Span, ...], Field(strict=False, max_length=64)] = ()


class Attributes(StrictModel):
    """See the module. length: registers of a text. invalid: raw values by which the unit says that it has none.

    timed: a coil that is written with a number, for which the unit itself holds it (Waveshare's flash, in units of
    100 ms). alone: never read together with a neighbour.
    """

    primary_table: Table
    starting_address: Annotated[int, Field(ge=0, le=0xFFFF)]
    raw_type: RawType | None = None
    word_order: Order = "high_first"
    byte_order: Order = "high_first"
    length: Annotated[int, Field(ge=1, le=125)] = 1
    invalid: Annotated[tuple[int, ...], Field(strict=False, max_length=16)] = ()
    timed: bool = False
    inverted: bool = False
    alone: bool = False

    @property
    def raw(self) -> RawType:
        """What stands there."""
        return self.raw_type or ("bool" if self.primary_table in BIT_TABLES else "uint16")

    @property
    def count(self) -> int:
        """Registers, or 1 bit."""
        return self.length if self.raw == "string" else REGISTERS.get(self.raw, 1)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.raw == "bool") != (self.primary_table in BIT_TABLES):
            raise PydanticCustomError("finding.raw_type_unfit", "", {"table": self.primary_table, "type": self.raw})
        if self.timed and self.primary_table != "coils":
            raise PydanticCustomError("finding.timed_unfit", "", {"table": self.primary_table})
        if self.starting_address + self.count > 0x10000:
            raise PydanticCustomError("finding.beyond_table", "", {"count": self.count})
        return self


def _key(address: BaseModel) -> str:
    return str(Address.model_validate(address).unit_id)


PROTOCOL: Final = ProtocolModel(
    name="modbus",
    transports=frozenset({"modbus-tcp", "modbus-rtu"}),
    messages={},
    fields={},
    address=Address,
    address_key=_key,
    attributes=Attributes,
    device_attributes=DeviceAttributes,
    names_resources=("inverted",),
)
