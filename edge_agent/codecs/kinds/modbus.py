"""Protocols on a Modbus wire: units with tables, which we ask."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple, Protocol

from device_profiles.model import DeviceProfile
from edge_agent.codecs import Codec
from wire.records import Scalar, Value

Table = Literal["coils", "discrete_inputs", "input_registers", "holding_registers"]


class Decode(Protocol):
    """What a resource's registers or bit mean. at: where among the words they begin."""

    def __call__(self, words: Sequence[int], at: int = 0) -> Value:
        """Raises nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """Where one resource stands. count: registers, or 1 bit. alone: never read together with a neighbour."""

    resource: str
    table: Table
    address: int
    count: int
    alone: bool
    decode: Decode

    @property
    def end(self) -> int:
        """The first address after it."""
        return self.address + self.count


class Write(NamedTuple):
    """One request that changes something. words: registers; of a coil 0xFF00, 0, or for how long it is held."""

    table: Table
    address: int
    words: tuple[int, ...]


def inverted_of(given: Mapping[str, object]) -> frozenset[str]:
    """Resources that are wired the other way round, as a device's address in the settings says."""
    names = given.get("inverted", ())
    return frozenset(map(str, names if isinstance(names, list | tuple) else ()))


class Span(NamedTuple):
    """Registers or bits of a table, both ends included."""

    table: Table
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Layout:
    """What holds for every request to a device. registers_max: in one request; forbidden: not to be read in vain."""

    registers_max: int = 125
    forbidden: tuple[Span, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ModbusCodec(Codec):
    """points: profile, resources that are wired the other way round -> every point that can be read, by name.
    layout: profile -> how its device may be asked. write: profile, name of a resource, value -> a request. Raises
    ValueError when the value has no such form.
    """

    wire: ClassVar[str] = "modbus"

    points: Callable[[DeviceProfile, frozenset[str]], dict[str, Point]]
    layout: Callable[[DeviceProfile], Layout]
    write: Callable[[DeviceProfile, str, Scalar], Write]
