from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from aggregator.series import EmbeddedSeries, Point, Projector, SeriesUnavailable
from aggregator.storage import Database
from tests.admission.box import Box
from tests.readers.conftest import Rig
from tests.support.clock import VirtualClock
from wire.records import Reading, Value


class Shaky:
    """A store that is away when told so, and that a kill can hit after it has written."""

    def __init__(self, inner: EmbeddedSeries) -> None:
        self.inner = inner
        self.away = False
        self.killed_after = False

    async def write(self, points: Sequence[Point]) -> None:
        if self.away:
            raise SeriesUnavailable("no route to host")
        await self.inner.write(points)
        if self.killed_after:
            self.killed_after = False
            raise KeyboardInterrupt

    async def clear(self) -> None:
        await self.inner.clear()

    async def counts(self) -> dict[str, int]:
        return await self.inner.counts()

    async def curve(self, device: str, resource: str, *, from_ns: int, until_ns: int, buckets: int) -> list[object]:
        raise NotImplementedError


class Campus:
    def __init__(self, rig: Rig, store: Shaky) -> None:
        self.rig = rig
        self.store = store
        self.box = Box(clock=VirtualClock(boot_id="b1" * 16))
        self.number = 0

    def projector(self) -> Projector:
        return Projector(self.rig.ledger, self.rig.views, self.store)

    async def measure(self, count: int) -> None:
        readings = []
        for _ in range(count):
            self.number += 1
            readings.append(
                Reading(
                    id=f"{self.number:032x}",
                    device=f"{self.box.edge}/climate-1",
                    stamp=self.box.clock.stamp(),
                    readings=(
                        Value(resource="temperature", value=20.5, unit="Cel"),
                        Value(resource="humidity", value=40, unit="%"),
                    ),
                )
            )
        await self.rig.deliver(self.box, *readings)


@pytest.fixture
async def campus(tmp_path: Path) -> AsyncIterator[Campus]:
    async with (
        await Database.open(tmp_path / "views.sqlite", "aggregator.readers") as views,
        await Database.open(tmp_path / "series.sqlite", "aggregator.series") as db,
    ):
        yield Campus(Rig(views), Shaky(EmbeddedSeries(db)))


async def caught_up(projector: Projector) -> None:
    await projector.find_position()
    while await projector.step():
        pass


async def test_every_reading_of_the_ledger_is_in_the_series_at_a_time_of_its_own(campus: Campus) -> None:
    await campus.measure(50)
    await caught_up(campus.projector())
    assert (await campus.store.counts())["reading"] == 100


async def test_a_store_that_is_away_gets_what_it_missed(campus: Campus) -> None:
    await campus.measure(5)
    campus.store.away = True
    projector = campus.projector()
    with pytest.raises(SeriesUnavailable):
        await caught_up(projector)
    await campus.measure(5)
    campus.store.away = False
    await caught_up(campus.projector())
    assert (await campus.store.counts())["reading"] == 20
    assert projector.health.faults == 0


async def test_a_kill_between_store_and_position_doubles_nothing(campus: Campus) -> None:
    await campus.measure(5)
    campus.store.killed_after = True
    with pytest.raises(KeyboardInterrupt):
        await caught_up(campus.projector())
    assert (await campus.store.counts())["reading"] == 10
    await caught_up(campus.projector())
    assert (await campus.store.counts())["reading"] == 10


async def test_a_rebuild_gives_equal_counts(campus: Campus) -> None:
    await campus.measure(20)
    projector = campus.projector()
    await caught_up(projector)
    before = await campus.store.counts()
    await projector.rebuild()
    assert await campus.store.counts() == before
