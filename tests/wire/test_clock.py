import pytest
from hypothesis import given
from hypothesis import strategies as st

from wire.clock import NS_PER_S, SystemTime, parse_utc, utc_text


@pytest.mark.parametrize(
    ("wall_ns", "text"),
    [
        (0, "1970-01-01T00:00:00.000000Z"),
        (999, "1970-01-01T00:00:00.000000Z"),
        (1_788_220_510 * NS_PER_S, "2026-08-31T23:55:10.000000Z"),
        (1_788_220_510_123_456_789, "2026-08-31T23:55:10.123456Z"),
        (951_782_400 * NS_PER_S, "2000-02-29T00:00:00.000000Z"),
    ],
)
def test_a_moment_is_written_in_utc_with_microseconds(wall_ns: int, text: str) -> None:
    assert utc_text(wall_ns) == text


@pytest.mark.parametrize(
    "text", ["2026-09-01T07:55:10+08:00", "2026-08-31T23:55:10Z", "2026-08-31T23:55:10.000000Z", "2026-08-31 23:55:10Z"]
)
def test_every_way_to_write_one_moment_is_read_as_the_same(text: str) -> None:
    assert parse_utc(text) == 1_788_220_510 * NS_PER_S


@pytest.mark.parametrize("text", ["", "now", "2026-09-01", "2026-09-01T07:55:10", "2026-13-01T00:00:00Z", "1788220510"])
def test_a_text_without_an_offset_or_a_sense_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011  the reason is Python's or ours
        parse_utc(text)


@given(st.integers(0, 253_402_300_799_999_999))
def test_what_is_written_is_read_again_to_the_microsecond(microseconds: int) -> None:
    assert parse_utc(utc_text(microseconds * 1000)) == microseconds * 1000


def test_the_machines_monotonic_clock_does_not_go_back() -> None:
    time = SystemTime()
    moments = [time.mono_ns() for _ in range(100)]
    assert moments == sorted(moments)
    assert time.wall_ns() > 1_700_000_000 * NS_PER_S
