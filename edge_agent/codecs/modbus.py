"""Modbus registers and what they mean. Pure: words in, values out, and the way back.

A register is 16 bits; the order of bytes within it and of registers within a longer value is the unit's own taste, and
so is scale. Value = raw * scale + offset. A float of 32 bits has seven digits; more would be invented. What a unit
writes for "no value" (`invalid`, NaN, infinity) is a value of quality `unknown`, what lies outside its range one of
quality `out_of_range`: told, and marked.

Source: Modbus Application Protocol V1.1b3; the four orders of 230.2 as in devices' manuals.
"""

import math
import struct
from collections.abc import Sequence
from typing import Final, Literal

from device_profiles.model import DeviceProfile, DeviceResource, ResourceProperties
from device_profiles.protocols.modbus import BIT_TABLES, WRITABLE_TABLES, Attributes, DeviceAttributes
from edge_agent.codecs.kinds.modbus import Layout, ModbusCodec, Point, Span, Write
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
    turned = attributes.inverted != (resource.name in inverted)
    return Point(
        resource=resource.name,
        table=attributes.primary_table,
        address=attributes.starting_address,
        count=attributes.count,
        alone=attributes.alone,
        decode=lambda words: _decode(resource.name, attributes, resource.properties, words, turned=turned),
    )


def _decode(
    name: str, attributes: Attributes, properties: ResourceProperties, words: Sequence[int], *, turned: bool
) -> Value:
    raw = _raw(attributes, words)
    if isinstance(raw, bool):
        return Value(resource=name, value=raw != turned)
    if isinstance(raw, str):
        return Value(resource=name, value=raw)
    if raw in attributes.invalid or (isinstance(raw, float) and not math.isfinite(raw)):
        return Value(resource=name, value=None, unit=properties.units, quality="unknown")
    if isinstance(raw, int) and properties.mask is not None:
        raw &= properties.mask
    value = _scaled(raw, properties, attributes.raw)
    if value is None:
        return Value(resource=name, value=None, unit=properties.units, quality="unknown")
    low, high = properties.minimum, properties.maximum
    within = (low is None or value >= low) and (high is None or value <= high)
    return Value(resource=name, value=value, unit=properties.units, quality="good" if within else "out_of_range")


def _raw(attributes: Attributes, words: Sequence[int]) -> bool | int | float | str:
    kind = attributes.raw
    if kind == "bool":
        return bool(words[0])
    data = _bytes(words, attributes)
    if kind == "string":
        text = data.split(b"\0", 1)[0].decode("ascii", errors="replace").strip()
        return "".join(sign if sign.isascii() and sign.isprintable() else "?" for sign in text)[:_TEXT_MAX]
    (raw,) = struct.unpack(_FORMATS[kind], data)
    return raw if isinstance(raw, int) else float(raw)


def _bytes(words: Sequence[int], attributes: Attributes) -> bytes:
    ordered = words if attributes.word_order == "high_first" else words[::-1]
    order = _order(attributes)
    return b"".join(word.to_bytes(2, order) for word in ordered)


def _order(attributes: Attributes) -> Literal["big", "little"]:
    return "big" if attributes.byte_order == "high_first" else "little"


def _scaled(raw: float, properties: ResourceProperties, kind: str) -> int | float | None:
    """None: too large for any number that could be sent on."""
    whole = properties.value_type not in {"Float32", "Float64"}
    if whole and _as_it_stands(properties) and isinstance(raw, int):
        return raw
    value = raw * properties.scale + properties.offset
    if not math.isfinite(value):
        return None
    if whole:
        return round(value)
    return float(f"{value:.7g}" if kind == "float32" else f"{value:.12g}")


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
    order = _order(attributes)
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
