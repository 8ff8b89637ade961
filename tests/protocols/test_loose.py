"""A value reads the same whether its message could be read at once or had to be read again with all of it raw."""

import json
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.codecs import loose
from edge_agent.codecs.loose import ABSENT, Loose

READERS = {
    "scalar": loose.scalar,
    "blank": loose.blank,
    "text": lambda value: loose.text(value, 64),
    "printable": lambda value: loose.printable(value, 64),
    "token": loose.token,
    "enumeration": loose.enumeration,
    "count": loose.count,
    "measure": loose.measure,
}


class Line(msgspec.Struct):
    one: Loose = None
    two: Loose = msgspec.field(default=None, name="Two")
    inner: msgspec.Raw = ABSENT


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=80),
    st.sampled_from(["", "0", " 7 ", "-3", "1.5", "entr", "not a token", "x" * 60_000, 10**18, -(10**18), 2**48]),
)


@given(VALUES)
def test_a_value_reads_the_same_raw(value: object) -> None:
    data = json.dumps({"one": value}).encode()
    quick = loose.struct(data, Line)
    # An object where a scalar belongs makes all of them raw.
    raw = loose.struct(json.dumps({"one": value, "Two": {}}).encode(), Line)
    assert quick is not None
    assert raw is not None
    assert isinstance(raw.one, msgspec.Raw)
    for name, read in READERS.items():
        assert read(quick.one) == read(raw.one), name


@pytest.mark.parametrize("reader", READERS)
def test_what_is_absent_is_nothing(reader: str) -> None:
    for line in (loose.struct(b"{}", Line), loose.struct(b'{"Two":[]}', Line)):
        assert line is not None
        assert READERS[reader](line.one) == (True if reader == "blank" else None)


def test_one_odd_value_does_not_cost_the_others() -> None:
    line = loose.struct(b'{"one":"7","Two":{"a":1},"inner":{"b":[2]}}', Line)
    assert line is not None
    assert (loose.enumeration(line.one), loose.scalar(line.two), bytes(line.inner)) == (7, None, b'{"b":[2]}')


@pytest.mark.parametrize("text", [b'{"one":1e999}', b'{"one":1e999,"Two":"3"}'])
def test_a_number_that_is_none_is_no_number(text: bytes) -> None:
    line = loose.struct(text, Line)
    assert line is not None
    assert loose.measure(line.one) is None
    assert not loose.blank(line.one)


@pytest.mark.parametrize("text", [b"", b"[]", b'"a"', b"{", b'{"one":1} x', b'{"one":1'])
def test_what_is_no_object_is_told(text: bytes) -> None:
    assert loose.struct(text, Line) is None


def test_what_is_not_asked_for_is_not_looked_into() -> None:
    line = loose.struct(b'{"name":"\xe5\xbc\xa0","pic":"' + b"A" * 100_000 + b'","one":21.5}', Line)
    assert line is not None
    assert math.isclose(loose.measure(line.one) or 0, 21.5)
