"""Counts in InfluxDB are the ledger's, hour by hour and device by device, whatever was killed meanwhile.

The ledger is asked in its own words (rows, not points), so that a point lost between the two cannot hide.
"""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest

from aggregator.ledger import Ledger
from aggregator.readers import base
from aggregator.series import Projector
from aggregator.series.address import InfluxAddress
from aggregator.series.influx import InfluxSeries, open_influx
from aggregator.storage import Database
from tests.admission.box import CAMPUS, Box
from tests.readers.conftest import Rig
from tests.support.influx import Influx, running_influx
from tests.support.waiting import until
from wire.clock import NS_PER_S
from wire.records import Reading, Value

pytestmark = pytest.mark.peer

HOUR_NS = 3600 * NS_PER_S
ROUNDS = 12
Count = Counter[tuple[str, str, int]]


async def in_the_ledger(ledger: Ledger) -> Count:
    """(measurement, device, hour) -> how many."""
    counts: Count = Counter()
    position = 0
    while rows := await ledger.read(position, 500):
        position = rows[-1].position
        for row in rows:
            if row.series_time_ns is None or row.body is None:
                continue
            hour = row.series_time_ns // HOUR_NS
            body = msgspec.json.decode(row.body)
            if "readings" in body:
                counts["reading", row.device_id, hour] += len(body["readings"])
            elif "result" not in body:
                counts["event", row.device_id, hour] += 1
    return counts


async def in_influx(series: InfluxSeries) -> Count:
    counts: Count = Counter()
    for measurement, column in (("reading", "quality"), ("event", "position")):
        query = f'SELECT count("{column}") FROM "{measurement}" WHERE time > 0 GROUP BY time(1h), "device" fill(none)'
        for found in await series._query(query):
            for at, count in found["values"]:
                counts[measurement, found["tags"]["device"], at // HOUR_NS] += count
    return counts


class Campus:
    def __init__(self, rig: Rig, server: Influx, seed: int) -> None:
        self.rig = rig
        self.server = server
        self.chance = random.Random(seed)
        self.boxes = [Box(f"hall-{number}", seed=number) for number in (1, 2)]
        for box in self.boxes:
            box.clock = rig.clock

    async def live_on(self) -> None:
        """Some hours of readings and passages, with two of a device in one instant."""
        for box in self.boxes:
            records = []
            for _ in range(self.chance.randrange(100, 350)):
                self.rig.clock.advance(self.chance.choice([0.0, 0.4, 40.0]))
                if self.chance.random() < 0.2:
                    records.append(box.event(record_no=None))
                else:
                    values = (
                        Value(resource="temperature", value=20 + self.chance.random(), unit="Cel"),
                        Value(resource="door", value=self.chance.random() < 0.5),
                    )
                    records.append(
                        Reading(
                            id=box.new_id(),
                            device=f"{box.edge}/climate-{self.chance.randrange(3)}",
                            stamp=self.rig.clock.stamp(),
                            readings=values,
                        )
                    )
            await self.rig.deliver(box, *records)

    @contextlib.asynccontextmanager
    async def projecting(self, series: InfluxSeries) -> AsyncIterator[Projector]:
        """A projector that dies in the middle of whatever it does when the block ends."""
        projector = Projector(self.rig.ledger, self.rig.views, series)
        running = asyncio.create_task(projector.run())
        try:
            yield projector
        finally:
            running.cancel()
            await asyncio.wait([running])


async def caught_up(projector: Projector, ledger: Ledger) -> None:
    async with asyncio.timeout(60):
        while projector.health.failing or projector.health.position < await ledger.head():  # noqa: ASYNC110  no event
            await asyncio.sleep(0.01)


async def test_after_kills_of_the_store_and_of_the_projector_and_after_a_rebuild(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(base, "RETRY_S", 0.02)
    monkeypatch.setattr(base, "BATCH_ROWS", 60)
    async with await Database.open(tmp_path / "views.sqlite", "aggregator.readers") as views:
        with running_influx(tmp_path / "influx") as server:
            campus = Campus(Rig(views), server, seed=7)
            address = InfluxAddress(url=server.url, version=1, database="campus")
            async with open_influx(address, campus=CAMPUS) as series:
                await series.setup(retention_days=3650)
                outages = 0
                for number in range(ROUNDS):
                    await campus.live_on()
                    async with campus.projecting(series) as projector:
                        await asyncio.sleep(campus.chance.random() * 0.06)
                        server.kill()
                        if number % 3 == 0:
                            # Away for a while: what comes meanwhile waits in the ledger.
                            await campus.live_on()
                            await until(lambda: projector.health.failing)
                            outages += 1
                        server.start()
                        await asyncio.sleep(campus.chance.random() * 0.06)
                assert outages == ROUNDS // 3
                async with campus.projecting(series) as projector:
                    await caught_up(projector, campus.rig.ledger)
                    assert projector.health.faults == 0
                wanted = await in_the_ledger(campus.rig.ledger)
                assert sum(wanted.values()) > 5_000
                assert len({hour for _, _, hour in wanted}) > 3
                assert await in_influx(series) == wanted
                assert series.refused_lines == 0

                await Projector(campus.rig.ledger, views, series).rebuild()
                assert await in_influx(series) == wanted
