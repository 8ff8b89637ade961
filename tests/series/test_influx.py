"""Against Debian's InfluxDB: meaning, idempotence, kills. Version 2's write API stands before it as a shim of ours."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from aggregator.series import EmbeddedSeries, Point, SeriesUnavailable
from aggregator.series.address import InfluxAddress
from aggregator.series.influx import InfluxSeries, open_influx
from aggregator.series.lines import lines
from aggregator.storage import Database
from tests.series.making import DEVICE, T0, measured
from tests.support.influx import Influx, running_influx
from tests.support.influx_v2 import ORG, Version2
from wire.clock import NS_PER_S

pytestmark = pytest.mark.peer
TOKEN = "secret-token-of-the-test"
CAMPUS = "demo-school"
HOUR = 3600 * NS_PER_S


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with running_influx(tmp_path_factory.mktemp("influx")) as server:
        yield server


@asynccontextmanager
async def version(influx: Influx, number: int, database: str) -> AsyncIterator[InfluxSeries]:
    """A store set up by our own command, on version 1 or behind the API of version 2."""
    async with AsyncExitStack() as stack:
        address = InfluxAddress(url=influx.url, version=1, database=database)
        if number == 2:
            shim = await stack.enter_async_context(Version2(influx, TOKEN).running())
            address = InfluxAddress(url=shim.url, version=2, database=database, org=ORG, secret=TOKEN)
        series = await stack.enter_async_context(open_influx(address, campus=CAMPUS))
        await series.setup(retention_days=3650)
        yield series


both = pytest.mark.parametrize("number", [1, 2])


@both
async def test_points_are_there_once_however_often_they_are_written(influx: Influx, number: int) -> None:
    async with version(influx, number, f"once{number}") as series:
        points = [measured(20 + at % 7, at) for at in range(12_000)]
        for _ in range(2):
            await series.write(points)
        assert await series.counts() == {"reading": 12_000}


@both
async def test_a_curve_is_that_of_the_embedded_store(influx: Influx, number: int, tmp_path: Path) -> None:
    points = [measured(20 + (at * at) % 13, at * 7) for at in range(500)] + [measured(99, 1234.5)]
    points += [measured(-1, 5, resource="humidity"), measured(-999, 9, quality="stale")]
    async with (
        version(influx, number, f"curve{number}") as series,
        await Database.open(tmp_path / "s.sqlite", "aggregator.series") as db,
    ):
        embedded = EmbeddedSeries(db)
        for store in (series, embedded):
            await store.write(points)
        for buckets in (1, 10, 400):
            span = {"from_ns": T0, "until_ns": T0 + HOUR, "buckets": buckets}
            ours = await embedded.curve(DEVICE, "temperature", **span)
            theirs = await series.curve(DEVICE, "temperature", **span)
            assert [(one.start_ns, one.count, one.minimum, one.maximum) for one in theirs] == [
                (one.start_ns, one.count, one.minimum, one.maximum) for one in ours
            ]
            assert [one.mean for one in theirs] == pytest.approx([one.mean for one in ours])


@both
async def test_one_point_of_another_type_is_given_up_and_its_neighbours_are_not(influx: Influx, number: int) -> None:
    async with version(influx, number, f"types{number}") as series:
        await series.write([measured(1, 0)])
        odd = Point("reading", measured(1, 1).tags, {"value": "warm", "quality": "good"}, T0 + NS_PER_S)
        await series.write(
            [measured(at, at) for at in range(2, 40)] + [odd] + [measured(at, at) for at in range(40, 60)]
        )
        assert (await series.counts(), series.refused_lines) == ({"reading": 59}, 1)


async def test_a_wrong_token_and_a_server_that_is_away_are_waited_out(influx: Influx) -> None:
    async with Version2(influx, TOKEN).running() as shim:
        address = InfluxAddress(url=shim.url, version=2, database="x", org=ORG, secret="other")
        async with open_influx(address, campus=CAMPUS) as series:
            for call in (series.write([measured(1, 0)]), series.counts(), series.setup(retention_days=1)):
                with pytest.raises(SeriesUnavailable):
                    await call
    for number in (1, 2):
        address = InfluxAddress(url="http://127.0.0.1:1", version=number, database="x", org=ORG)
        async with open_influx(address, campus=CAMPUS) as series:
            for call in (series.write([measured(1, 0)]), series.clear(), series.setup(retention_days=1)):
                with pytest.raises(SeriesUnavailable):
                    await call


@both
async def test_a_store_that_was_not_set_up_is_waited_for(influx: Influx, number: int) -> None:
    async with AsyncExitStack() as stack:
        address = InfluxAddress(url=influx.url, version=1, database=f"later{number}")
        if number == 2:
            shim = await stack.enter_async_context(Version2(influx, TOKEN).running())
            address = InfluxAddress(url=shim.url, version=2, database="later2", org=ORG, secret=TOKEN)
        series = await stack.enter_async_context(open_influx(address, campus=CAMPUS))
        with pytest.raises(SeriesUnavailable):
            await series.write([measured(1, 0)])
        await series.setup(retention_days=30)
        # Again with another retention: it is changed, and nothing is lost.
        await series.setup(retention_days=3650)
        await series.write([measured(1, 0)])
        assert (await series.counts(), series.refused_lines) == ({"reading": 1}, 0)
        (policies,) = await series._query(f'SHOW RETENTION POLICIES ON "later{number}"', database=number == 2)
        columns = policies["columns"]
        rows = [dict(zip(columns, row, strict=True)) for row in policies["values"]]
        kept = {row["name"]: row["duration"] for row in rows if row["default"]}
        assert kept == {"campus": f"{3650 * 24}h0m0s"}


@both
async def test_what_is_older_than_the_store_keeps_holds_nothing_up(influx: Influx, number: int) -> None:
    now_ns = time.time_ns()
    async with version(influx, number, f"old{number}") as series:
        await series.setup(retention_days=30)
        fresh = [Point("reading", measured(1, 0).tags, {"value": 1.0}, now_ns + at) for at in range(10)]
        old = [Point("reading", measured(1, 0).tags, {"value": 1.0}, now_ns - 40 * 24 * HOUR - at) for at in range(50)]
        await series.write([point for pair in zip(old, fresh, strict=False) for point in pair] + old)
        (counted,) = await series._query('SELECT count("value") FROM "reading"')
        assert (counted["values"][0][1], series.refused_lines) == (10, 0)


@both
async def test_two_campuses_share_a_database_and_each_sees_and_clears_its_own(influx: Influx, number: int) -> None:
    async with version(influx, number, f"shared{number}") as series:
        other = InfluxSeries(series._address, series._writer, series._session, campus="other-school")
        theirs = [replace(point, tags=(("campus", "other-school"), *point.tags[1:])) for point in (measured(99, 1),)]
        await series.write([measured(1, 0), measured(2, 1)])
        await other.write(theirs)
        span = {"from_ns": T0, "until_ns": T0 + HOUR, "buckets": 1}
        assert [one.maximum for one in await series.curve(DEVICE, "temperature", **span)] == [2]
        assert [one.maximum for one in await other.curve(DEVICE, "temperature", **span)] == [99]
        await series.clear()
        assert (await series.counts(), await other.counts()) == ({}, {"reading": 1})


async def test_a_server_that_cannot_delete_is_written_over(influx: Influx) -> None:
    async with Version2(influx, TOKEN).running() as shim:
        shim.deletes = False
        address = InfluxAddress(url=shim.url, version=2, database="nodelete", org=ORG, secret=TOKEN)
        async with open_influx(address, campus=CAMPUS) as series:
            await series.setup(retention_days=3650)
            for _ in range(2):
                await series.clear()
                await series.write([measured(1, 0)])
            assert await series.counts() == {"reading": 1}


async def test_what_was_written_survives_a_kill(tmp_path: Path) -> None:
    with running_influx(tmp_path / "influx") as server:
        async with version(server, 1, "kill") as series:
            await series.write([measured(at, at) for at in range(5000)])
            server.kill()
            with pytest.raises(SeriesUnavailable):
                await series.counts()
            server.start()
            assert await series.counts() == {"reading": 5000}
            await series.clear()
            assert await series.counts() == {}


def test_names_and_texts_cannot_leave_their_place() -> None:
    tags = (("campus", "a b,c=d"), ("device", "x\\"), ("resource", "r\nfake value=1"))
    (line,) = lines([Point("reading", tags, {"text": 'a "quoted" \\ text\nnext', "quality": "good"}, 5)])
    assert "\n" not in line
    assert line == (
        "reading,campus=a\\ b\\,c\\=d,device=x,resource=r\\ fake\\ value\\=1"
        ' text="a \\"quoted\\" \\\\ text next",quality="good" 5'
    )
    assert lines([Point("reading", tags, {"value": float("nan")}, 5)]) == []
