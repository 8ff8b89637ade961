"""What registers mean: the four orders, types, scale, values that are none; and that nothing a unit says raises."""

import math
import struct
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_profiles.catalogue import load_catalogue
from device_profiles.model import DeviceProfile, DeviceResource, ResourceProperties
from edge_agent.codecs.kinds.modbus import Span, Write
from edge_agent.codecs.modbus import SPEC
from wire.records import Scalar, Value

XY_MD02 = load_catalogue().profiles["xy-md02"]
HOLDING = {"primary_table": "holding_registers", "starting_address": 7}


def profile(attributes: dict[str, Any], value_type: str = "Float64", **properties: Any) -> DeviceProfile:
    resource = DeviceResource(
        name="value",
        attributes={**HOLDING, **attributes},
        properties=ResourceProperties(value_type=value_type, read_write="RW", **properties),
    )
    return XY_MD02.model_copy(update={"device_resources": (resource,)})


def decoded(words: list[int], attributes: dict[str, Any], value_type: str = "Float64", **properties: Any) -> Value:
    point = SPEC.points(profile(attributes, value_type, **properties), frozenset())["value"]
    assert point.count == len(words)
    return point.decode(words)


ORDERS = {
    ("high_first", "high_first"): "43 66 33 33",
    ("low_first", "high_first"): "33 33 43 66",
    ("high_first", "low_first"): "66 43 33 33",
    ("low_first", "low_first"): "33 33 66 43",
}


@pytest.mark.parametrize(("order", "shown"), ORDERS.items())
def test_the_four_orders_of_a_float(order: tuple[str, str], shown: str) -> None:
    """230.2 as the manuals of four makers print it."""
    words = list(struct.unpack(">HH", bytes.fromhex(shown)))
    attributes = {"raw_type": "float32", "word_order": order[0], "byte_order": order[1]}
    assert decoded(words, attributes).value == 230.2
    assert SPEC.write(profile(attributes), "value", 230.2) == Write("holding_registers", 7, tuple(words))


@pytest.mark.parametrize(
    ("raw_type", "words", "value"),
    [
        ("uint16", [0xFFCB], 65483),
        ("int16", [0xFFCB], -53),
        ("uint32", [0x0000, 0x1BDD], 7133),
        ("int32", [0xFFFF, 0xFFFE], -2),
        ("uint64", [0, 0, 1, 0], 65536),
        ("int64", [0xFFFF] * 4, -1),
        # More than a float of 64 bits could hold.
        ("int64", [0x7FFF, 0xFFFF, 0xFFFF, 0xFFFF], 2**63 - 1),
        ("float64", [0x4009, 0x21FB, 0x5444, 0x2D18], 3.14159265359),
    ],
)
def test_numbers_of_every_width(raw_type: str, words: list[int], value: float) -> None:
    kind = "Float64" if raw_type.startswith("float") else "Int64"
    assert decoded(words, {"raw_type": raw_type}, kind).value == value
    if kind == "Int64":
        assert SPEC.write(profile({"raw_type": raw_type}, kind), "value", value).words == tuple(words)


def test_scale_offset_mask_and_range() -> None:
    tenths = decoded([253], {"raw_type": "int16"}, "Float32", scale=0.1, offset=-10, units="Cel")
    assert (tenths.value, tenths.unit, tenths.quality) == (15.3, "Cel", "good")
    assert decoded([0x1234], {}, "Uint16", mask=0x00FF).value == 0x34
    assert decoded([1500], {}, "Float32", scale=0.1, maximum=100).quality == "out_of_range"
    assert decoded([1], {}, "Float32", minimum=5).quality == "out_of_range"


@pytest.mark.parametrize("scale", ["0.1", "0.01", "0.001", "0.05", "2.5", "-3"])
@pytest.mark.parametrize("offset", ["0", "-40", "0.3"])
def test_a_scaled_value_is_the_number_that_a_person_would_write(scale: str, offset: str) -> None:
    numbers = profile({"raw_type": "int16"}, "Float32", scale=float(scale), offset=float(offset))
    decode = SPEC.points(numbers, frozenset())["value"].decode
    for raw in (*range(-32768, 32768, 7), 32767):
        assert decode([raw & 0xFFFF]).value == float(Decimal(raw) * Decimal(scale) + Decimal(offset))


def test_an_integer_of_many_digits_keeps_them_when_it_is_scaled() -> None:
    assert decoded([0x11, 0x2233, 0x4455, 0x6677], {"raw_type": "uint64"}, scale=0.01).value == 48226781892051.11


def test_of_a_scale_that_is_no_short_decimal_twelve_digits_are_told() -> None:
    assert decoded([1000], {"raw_type": "int16"}, scale=1 / 3).value == 333.333333333


def test_what_a_unit_writes_for_no_value_is_none() -> None:
    assert decoded([0x7FFF], {"raw_type": "int16", "invalid": [0x7FFF]}) == Value(
        resource="value", value=None, quality="unknown"
    )
    for strange in (math.nan, math.inf, -math.inf):
        words = list(struct.unpack(">HH", struct.pack(">f", strange)))
        assert decoded(words, {"raw_type": "float32"}).quality == "unknown"


def test_a_text_ends_at_its_zero_and_is_ascii() -> None:
    words = list(struct.unpack(">4H", b"SDM120\0\xff"))
    assert decoded(words, {"raw_type": "string", "length": 4}, "String").value == "SDM120"
    # Names of people, if any were in it, are no ASCII; control characters do not reach a log.
    words = list(struct.unpack(">4H", "王\x1b[2J".encode().ljust(8, b"x")))
    assert "王" not in str(decoded(words, {"raw_type": "string", "length": 4}, "String").value)


@pytest.mark.parametrize(
    ("attributes", "value_type", "value"),
    [
        ({"raw_type": "uint16"}, "Uint16", 65536),
        ({"raw_type": "int16"}, "Int16", -40000),
        ({"raw_type": "float32"}, "Float32", 1e300),
        ({"raw_type": "string", "length": 4}, "String", 1),
        ({"raw_type": "uint16"}, "Uint16", True),
        ({"raw_type": "uint16"}, "Uint16", "on"),
        ({"primary_table": "coils"}, "Bool", 1),
        ({"primary_table": "coils", "timed": True}, "Float32", 0.0),
        ({"primary_table": "coils", "timed": True}, "Float32", 40_000.0),
        ({"primary_table": "input_registers"}, "Uint16", 1),
    ],
)
def test_what_cannot_be_written_is_a_value_error(attributes: dict[str, Any], value_type: str, value: Scalar) -> None:
    with pytest.raises(ValueError, match=r"."):
        SPEC.write(profile(attributes, value_type), "value", value)


@given(st.data())
def test_no_words_raise_and_every_value_can_be_sent(data: st.DataObject) -> None:
    raw = data.draw(st.sampled_from(["int16", "uint16", "int32", "uint32", "int64", "uint64", "float32", "float64"]))
    attributes = {
        "raw_type": raw,
        "word_order": data.draw(st.sampled_from(["high_first", "low_first"])),
        "byte_order": data.draw(st.sampled_from(["high_first", "low_first"])),
    }
    value_type = data.draw(st.sampled_from(["Float32", "Float64", "Int64", "Uint64"]))
    scale = data.draw(st.sampled_from([1, 0.1, 1000.0, -3.5, 1e300]))
    point = SPEC.points(profile(attributes, value_type, scale=scale), frozenset())["value"]
    words = data.draw(st.lists(st.integers(0, 0xFFFF), min_size=point.count, max_size=point.count))
    value = point.decode(words)
    assert value.quality in {"good", "unknown", "out_of_range"}
    assert value.value is None or math.isfinite(float(value.value))


@pytest.mark.parametrize("value_type", ["Int64", "Float64"])
def test_a_number_too_large_for_any_other_is_none(value_type: str) -> None:
    words = [*struct.unpack(">HHHH", struct.pack(">d", 1.7e308))]
    assert decoded(words, {"raw_type": "float64"}, value_type, scale=10.0, units="V") == Value(
        resource="value", value=None, unit="V", quality="unknown"
    )


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 9_007_199_254_740_993])
def test_a_number_of_64_bits_is_read_as_it_was_written(value: int) -> None:
    attributes = {"raw_type": "int64"}
    write = SPEC.write(profile(attributes, "Int64"), "value", value)
    assert decoded([*write.words], attributes, "Int64").value == value


def test_a_device_says_how_it_may_be_asked() -> None:
    given_ = {
        "registers_max": 60,
        "forbidden": [{"primary_table": "input_registers", "first": 0x20, "last": 0x45}],
    }
    layout = SPEC.layout(XY_MD02.model_copy(update={"attributes": given_}))
    assert (layout.registers_max, layout.forbidden) == (60, (Span("input_registers", 0x20, 0x45),))
    assert SPEC.layout(XY_MD02).forbidden == ()
