from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.series import EmbeddedSeries, SeriesUnavailable
from aggregator.series.embedded import DAY_NS
from aggregator.storage import Database
from tests.series.making import DEVICE, T0, measured
from wire.clock import NS_PER_S


@pytest.fixture
async def series(tmp_path: Path) -> AsyncIterator[EmbeddedSeries]:
    async with await Database.open(tmp_path / "series.sqlite", "aggregator.series") as db:
        yield EmbeddedSeries(db)


async def test_a_point_written_again_changes_nothing(series: EmbeddedSeries) -> None:
    points = [measured(20 + at, at) for at in range(10)]
    for _ in range(3):
        await series.write(points)
    assert await series.counts() == {"reading": 10}
    (whole,) = await series.curve(DEVICE, "temperature", from_ns=T0, until_ns=T0 + 60 * NS_PER_S, buckets=1)
    assert (whole.count, whole.minimum, whole.maximum, whole.mean) == (10, 20, 29, 24.5)
    assert (whole.first, whole.last) == (20, 29)


async def test_a_spike_of_a_second_is_seen_over_a_year(series: EmbeddedSeries) -> None:
    await series.write([measured(20, at * 600) for at in range(1000)])
    await series.write([measured(99, 123_456)])
    found = await series.curve(DEVICE, "temperature", from_ns=T0, until_ns=T0 + 365 * DAY_NS, buckets=100)
    assert max(bucket.maximum for bucket in found) == 99
    assert sum(bucket.count for bucket in found) == 1001
    assert len(found) <= 100


async def test_a_gap_is_a_gap(series: EmbeddedSeries) -> None:
    await series.write([measured(1, at) for at in (0, 1, 2, 57, 58)])
    found = await series.curve(DEVICE, "temperature", from_ns=T0, until_ns=T0 + 60 * NS_PER_S, buckets=6)
    assert [(bucket.start_ns - T0) // NS_PER_S for bucket in found] == [0, 50]


async def test_what_is_not_good_is_kept_and_is_not_in_the_curve(series: EmbeddedSeries) -> None:
    await series.write([measured(20, 0), measured(-999, 1, quality="out_of_range"), measured(20, 2, quality="stale")])
    assert await series.counts() == {"reading": 3}
    for buckets in (1, 100):
        found = await series.curve(DEVICE, "temperature", from_ns=T0, until_ns=T0 + 7200 * NS_PER_S, buckets=buckets)
        assert sum(bucket.count for bucket in found) == 1


async def test_a_late_point_is_in_the_stretches_too(series: EmbeddedSeries) -> None:
    await series.write([measured(20, at * 60) for at in range(120)])
    await series.write([measured(50, 61.5)])
    found = await series.curve(DEVICE, "temperature", from_ns=T0, until_ns=T0 + 7200 * NS_PER_S, buckets=2)
    assert [bucket.maximum for bucket in found] == [50, 20]
    assert sum(bucket.count for bucket in found) == 121


async def test_a_point_at_the_end_of_a_full_hour_costs_no_more_than_at_its_beginning(tmp_path: Path) -> None:
    async with await Database.open(tmp_path / "series.sqlite", "aggregator.series") as db:
        series, steps = EmbeddedSeries(db), 0

        def step() -> int:
            nonlocal steps
            steps += 1
            return 0

        # Steps of SQLite's own machine, which are the same on every computer.
        await db.write(lambda connection: connection.set_progress_handler(step, 10))
        cost: dict[int, int] = {}
        for minute in (10, 60):
            last = minute * 60 - 1
            await series.write([measured(at, at) for at in range(last)])
            steps = 0
            await series.write([measured(1, last)])
            cost[minute] = steps
        assert cost[60] < 2 * cost[10]


async def test_old_points_go_and_their_stretches_stay(series: EmbeddedSeries) -> None:
    await series.write([measured(20, at * 60) for at in range(120)])
    await series.expire(T0 + 40 * DAY_NS)
    assert await series.counts() == {}
    found = await series.curve(DEVICE, "temperature", from_ns=T0, until_ns=T0 + 7200 * NS_PER_S, buckets=2)
    assert sum(bucket.count for bucket in found) == 120
    await series.clear()
    assert await series.curve(DEVICE, "temperature", from_ns=T0, until_ns=T0 + 7200 * NS_PER_S, buckets=2) == []


async def test_a_point_that_comes_a_month_late_spoils_no_stretch(series: EmbeddedSeries) -> None:
    await series.write([measured(20, at * 60) for at in range(120)])
    await series.expire(T0 + 40 * DAY_NS)
    late = [measured(50, 61.5), measured(5, 62.5), measured(999, 63, quality="out_of_range")]
    for _ in range(2):
        await series.write(late)
    found = await series.curve(DEVICE, "temperature", from_ns=T0, until_ns=T0 + 7200 * NS_PER_S, buckets=2)
    assert [(one.count, one.minimum, one.maximum) for one in found] == [(62, 5, 50), (60, 20, 20)]
    await series.expire(T0 + 41 * DAY_NS)
    assert await series.curve(DEVICE, "temperature", from_ns=T0, until_ns=T0 + 7200 * NS_PER_S, buckets=2) == found


async def test_where_points_are_gone_a_close_look_shows_the_minutes_and_then_the_hours(series: EmbeddedSeries) -> None:
    await series.write([measured(at, at) for at in range(0, 7200, 10)])
    span = {"from_ns": T0, "until_ns": T0 + 7200 * NS_PER_S, "buckets": 720}
    assert len(await series.curve(DEVICE, "temperature", **span)) == 720
    # Half of it is just old enough: the first hour in minutes, the second as it came.
    await series.expire(T0 + 30 * DAY_NS + 3600 * NS_PER_S)
    found = await series.curve(DEVICE, "temperature", **span)
    assert [one.count for one in found] == [6] * 60 + [1] * 360
    await series.expire(T0 + 400 * DAY_NS)
    assert [one.count for one in await series.curve(DEVICE, "temperature", **span)] == [360, 360]
    await series.expire(T0 + 3700 * DAY_NS)
    assert await series.curve(DEVICE, "temperature", **span) == []


async def test_more_points_than_fit_into_one_step_go_too(series: EmbeddedSeries, monkeypatch) -> None:
    monkeypatch.setattr("aggregator.series.embedded.DROPPED_MAX", 7)
    await series.write([measured(1, at) for at in range(50)])
    await series.write([measured(2, at, resource="humidity") for at in range(50)])
    await series.expire(T0 + 31 * DAY_NS)
    assert await series.counts() == {}


async def test_nonsense_is_refused(series: EmbeddedSeries) -> None:
    for span in ({"from_ns": 5, "until_ns": 5}, {"from_ns": 9, "until_ns": 5}):
        with pytest.raises(ValueError, match="stretch"):
            await series.curve(DEVICE, "temperature", buckets=5, **span)
    with pytest.raises(ValueError, match="stretch"):
        await series.curve(DEVICE, "temperature", from_ns=0, until_ns=9, buckets=0)


async def test_a_store_that_is_closed_is_not_available(tmp_path: Path) -> None:
    db = await Database.open(tmp_path / "series.sqlite", "aggregator.series")
    series = EmbeddedSeries(db)
    await db.close()
    with pytest.raises(SeriesUnavailable):
        await series.write([measured(1, 0)])
    with pytest.raises(SeriesUnavailable):
        await series.counts()


@settings(max_examples=30, deadline=None)
@given(
    times=st.lists(st.integers(0, 20_000), min_size=1, max_size=60, unique=True),
    values=st.data(),
    buckets=st.integers(1, 400),
)
def test_a_query_counts_every_point_once_whatever_it_is_made_of(
    times: list[int], values: st.DataObject, buckets: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    import asyncio

    numbers = values.draw(st.lists(st.floats(-50, 50), min_size=len(times), max_size=len(times)))
    folder = tmp_path_factory.mktemp("series")

    async def check() -> None:
        async with await Database.open(folder / "s.sqlite", "aggregator.series") as db:
            series = EmbeddedSeries(db)
            await series.write([measured(number, at) for number, at in zip(numbers, times, strict=True)])
            span = {"from_ns": T0, "until_ns": T0 + 20_001 * NS_PER_S}
            found = await series.curve(DEVICE, "temperature", buckets=buckets, **span)
            assert sum(bucket.count for bucket in found) == len(times)
            assert min(bucket.minimum for bucket in found) == min(numbers)
            assert max(bucket.maximum for bucket in found) == max(numbers)
            assert len(found) <= buckets

    asyncio.run(check())
