"""Against Debian's InfluxDB: meaning, idempotence, kills. Version 2's write API stands before it as a shim of ours."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aggregator.series import EmbeddedSeries, Point, SeriesUnavailable
from aggregator.series.address import InfluxAddress
from aggregator.series.influx import InfluxSeries, open_influx
from aggregator.series.lines import lines
from aggregator.storage import Database
from tests.series.making import DEVICE, T0, measured
from tests.support.influx import Influx, running_influx, version_2
from wire.clock import NS_PER_S

pytestmark = pytest.mark.peer
TOKEN = "secret-token-of-the-test"
HOUR = 3600 * NS_PER_S


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with running_influx(tmp_path_factory.mktemp("influx")) as server:
        yield server


@asynccontextmanager
async def version(influx: Influx, number: int, database: str) -> AsyncIterator[InfluxSeries]:
    plain = InfluxAddress(url=influx.url, version=1, database=database)
    async with open_influx(plain) as series:
        await series.setup(retention_days=3650)
        if number == 1:
            yield series
            return
    async with version_2(influx, token=TOKEN) as url:
        address = InfluxAddress(url=url, version=2, database=database, org="school", secret=TOKEN)
        async with open_influx(address) as series:
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
    async with version_2(influx, token=TOKEN) as url:
        address = InfluxAddress(url=url, version=2, database="x", org="o", secret="other")
        async with open_influx(address) as series:
            for call in (series.write([measured(1, 0)]), series.counts()):
                with pytest.raises(SeriesUnavailable):
                    await call
    for number in (1, 2):
        address = InfluxAddress(url="http://127.0.0.1:1", version=number, database="x", org="o")
        async with open_influx(address) as series:
            with pytest.raises(SeriesUnavailable):
                await series.write([measured(1, 0)])


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
