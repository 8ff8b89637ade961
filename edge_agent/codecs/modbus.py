"""Modbus registers and what they mean. Pure: words in, values out, and the way back.

A register is 16 bits; the order of bytes within it and of registers within a longer value is the unit's own taste, and
so is scale. Value = raw * scale + offset. A float of 32 bits has seven digits; more would be invented. What a unit
writes for "no value" (`invalid`, NaN, infinity) is a value of quality `unknown`, what lies outside its range one of
quality `out_of_range`: told, and marked.

Source: Modbus Application Protocol V1.1b3; the four orders of 230.2 as in devices' manuals.
"""

import math
import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from operator import getitem
from typing import Final, Literal

from device_profiles.model import DeviceProfile, DeviceResource, ResourceProperties
from device_profiles.protocols.modbus import BIT_TABLES, WRITABLE_TABLES, Attributes, DeviceAttributes, RawType
from edge_agent.codecs.kinds.modbus import Decode, Layout, ModbusCodec, Point, Span, Write
from wire.records import Scalar, Value

ON: Final = 0xFF00
_FORMATS: Final = {
    "int16": ">h",
    "uint16": ">H",
    "int32": ">i",
    "uint32": ">I",
    "int64": ">q",
    "uint64": ">Q",
    "float32": ">f",
    "float64": ">d",
}
_TEXT_MAX: Final = 250
# A scale with no more of them is taken for the decimal number that it stands for.
DECIMAL_PLACES: Final = 10**9


def points(profile: DeviceProfile, inverted: frozenset[str]) -> dict[str, Point]:
    """Every resource that can be read."""
    return {
        resource.name: _point(resource, inverted)
        for resource in profile.device_resources
        if "R" in resource.properties.read_write
    }


def layout(profile: DeviceProfile) -> Layout:
    """How the device may be asked."""
    given = DeviceAttributes.model_validate(profile.attributes)
    return Layout(given.registers_max, tuple(Span(one.primary_table, one.first, one.last) for one in given.forbidden))


def _point(resource: DeviceResource, inverted: frozenset[str]) -> Point:
    attributes = Attributes.model_validate(resource.attributes)
    return Point(
        resource=resource.name,
        table=attributes.primary_table,
        address=attributes.starting_address,
        count=attributes.count,
        alone=attributes.alone,
        decode=_decoder(resource, attributes, turned=attributes.inverted != (resource.name in inverted)),
    )


# --- words to values ----------------------------------------------------------------------------------
# A decoder is made once for each point, with all that its profile says in it, because it runs for every value.


def _decoder(resource: DeviceResource, attributes: Attributes, *, turned: bool) -> Decode:
    if attributes.raw == "bool":
        return _bit(resource.name, turned=turned)
    if attributes.raw == "string":
        return _text(resource.name, attributes)
    return _number(resource, attributes)


def _bit(name: str, *, turned: bool) -> Decode:
    values = [Value(resource=name, value=value != turned) for value in (False, True)]
    return lambda words, at=0: values[bool(words[at])]


def _text(name: str, attributes: Attributes) -> Decode:
    data = _data(attributes)

    def decode(words: Sequence[int], at: int = 0) -> Value:
        text = data(words, at).split(b"\0", 1)[0].decode("ascii", errors="replace").strip()
        shown = "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text)
        return Value(resource=name, value=shown[:_TEXT_MAX])

    return decode


def _number(resource: DeviceResource, attributes: Attributes) -> Decode:
    name, properties = resource.name, resource.properties
    unit = properties.units
    low = -math.inf if properties.minimum is None else properties.minimum
    high = math.inf if properties.maximum is None else properties.maximum
    raw_of, scaled = _raw(attributes, properties.mask), _scaled(properties, attributes.raw)
    none = Value(resource=name, value=None, unit=unit, quality="unknown")

    def decode(words: Sequence[int], at: int = 0) -> Value:
        try:
            value = scaled(raw_of(words, at))
        except (OverflowError, ValueError):
            return none
        if low <= value <= high:
            return Value(resource=name, value=value, unit=unit)
        return Value(resource=name, value=value, unit=unit, quality="out_of_range")

    return decode


def _raw(attributes: Attributes, mask: int | None) -> Callable[[Sequence[int], int], int | float]:
    """What stands in the registers. Raises ValueError for what the unit writes when it has no value."""
    if attributes.raw == "uint16" and attributes.byte_order == "high_first":
        stands: Callable[[Sequence[int], int], int | float] = getitem
    else:
        data, unpack = _data(attributes), struct.Struct(_FORMATS[attributes.raw]).unpack

        def stands(words: Sequence[int], at: int) -> int | float:
            raw: int | float = unpack(data(words, at))[0]
            return raw

    invalid = frozenset(attributes.invalid)
    if not invalid and mask is None:
        return stands

    def meant(words: Sequence[int], at: int) -> int | float:
        raw = stands(words, at)
        if raw in invalid:
            raise ValueError(raw)
        return raw & mask if mask is not None and isinstance(raw, int) else raw

    return meant


def _data(attributes: Attributes) -> Callable[[Sequence[int], int], bytes]:
    """The bytes of the registers, in the order of a network."""
    count, step = attributes.count, 1 if attributes.word_order == "high_first" else -1
    pack = struct.Struct(f"{'>' if attributes.byte_order == 'high_first' else '<'}{count}H").pack
    return lambda words, at: pack(*words[at : at + count][::step])


def _scaled(properties: ResourceProperties, kind: RawType) -> Callable[[int | float], int | float]:
    """The value of a raw number. Raises OverflowError or ValueError when it is none, or none that could be sent on."""
    scale, offset = properties.scale, properties.offset
    digits = ".7g" if kind == "float32" else ".12g"
    whole = properties.value_type not in {"Float32", "Float64"}
    if whole and _as_it_stands(properties) and kind not in {"float32", "float64"}:
        return lambda raw: raw
    if whole:
        return lambda raw: round(raw * scale + offset)
    if kind not in {"float32", "float64"} and (ratio := _decimal_ratio(scale, offset)) is not None:
        times, plus, by = ratio
        return lambda raw: (raw * times + plus) / by

    def scaled(raw: float) -> float:
        value = float(f"{raw * scale + offset:{digits}}")
        if not math.isfinite(value):
            raise ValueError(value)
        return value

    return scaled


def _decimal_ratio(scale: float, offset: float) -> tuple[int, int, int] | None:
    """What makes (raw * times + plus) / by of raw * scale + offset: one division, whose result is rounded once and so
    is the very number that a person would write. None where scale or offset are not given in a few decimal places.
    """
    times, plus = Fraction(str(scale)) * DECIMAL_PLACES, Fraction(str(offset)) * DECIMAL_PLACES
    if times.denominator != 1 or plus.denominator != 1:
        return None
    shared = math.gcd(times.numerator, plus.numerator, DECIMAL_PLACES)
    return times.numerator // shared, plus.numerator // shared, DECIMAL_PLACES // shared


def _as_it_stands(properties: ResourceProperties) -> bool:
    # Without this a number of 64 bits would lose its last digits on its way through a float.
    return properties.scale == 1 and properties.offset == 0


# --- the way back -------------------------------------------------------------------------------------


def write(profile: DeviceProfile, name: str, value: Scalar) -> Write:
    """The request that gives a resource a value. Raises ValueError when it cannot be written so."""
    resource = next((one for one in profile.device_resources if one.name == name), None)
    if resource is None:
        raise ValueError(f"no resource {name}")
    attributes = Attributes.model_validate(resource.attributes)
    if attributes.primary_table not in WRITABLE_TABLES:
        raise ValueError(f"{name} stands in a table that nobody writes")
    words = _words(attributes, resource.properties, value)
    return Write(attributes.primary_table, attributes.starting_address, words)


def _words(attributes: Attributes, properties: ResourceProperties, value: Scalar) -> tuple[int, ...]:
    if attributes.primary_table in BIT_TABLES and not attributes.timed:
        if not isinstance(value, bool):
            raise ValueError("a coil is true or false")
        return (ON if value != attributes.inverted else 0,)
    if isinstance(value, bool | str):
        raise ValueError("a register takes a number")  # noqa: TRY004  of a profile, not of a programmer
    if attributes.raw == "string" or not properties.scale:
        raise ValueError("no number can be made of it")
    raw = value if _as_it_stands(properties) else (value - properties.offset) / properties.scale
    if attributes.timed:
        if not 1 <= round(raw) <= 0x7FFF:
            raise ValueError("longer than the unit can hold a coil")
        return (round(raw),)
    try:
        data = struct.pack(_FORMATS[attributes.raw], raw if attributes.raw.startswith("float") else round(raw))
    except (struct.error, OverflowError):
        raise ValueError(f"{value} does not fit {attributes.raw}") from None
    order: Literal["big", "little"] = "big" if attributes.byte_order == "high_first" else "little"
    words = tuple(int.from_bytes(data[index : index + 2], order) for index in range(0, len(data), 2))
    return words if attributes.word_order == "high_first" else words[::-1]


SPEC: Final = ModbusCodec(
    protocol="modbus",
    records=frozenset(),
    signs={},
    harmless_keys=frozenset(),
    points=points,
    layout=layout,
    write=write,
)
