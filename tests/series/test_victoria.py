"""Against Debian's VictoriaMetrics, an independent program with the write API of InfluxDB 2. See tests.support.victoria
for what it can be asked, and what not.
"""

from pathlib import Path

import pytest

from aggregator.series.address import InfluxAddress
from aggregator.series.influx import open_influx
from aggregator.series.points import Point
from tests.series.making import DEVICE, T0, measured
from tests.support.victoria import running_victoria
from wire.clock import NS_PER_S

pytestmark = pytest.mark.peer


async def test_it_takes_our_lines_as_they_are_meant_and_twice_as_once(tmp_path: Path) -> None:
    readings = [measured(20 + at % 7, at) for at in range(6000)]
    other = measured(-1.5, 3, resource="humidity")
    event = Point(
        "event",
        (("campus", "demo-school"), ("device", "gate-1/face-1"), ("topic", "AccessControl/AccessGranted/Credential")),
        {"position": 2**40 + 1, "historical": True, "late_ms": 12},
        T0 + 5 * NS_PER_S,
    )
    with running_victoria(tmp_path / "victoria") as server:
        address = InfluxAddress(url=server.url, version=2, database="campus", org="school", secret="unused")
        async with open_influx(address, campus="demo-school") as series:
            for _ in range(2):
                await series.write([*readings, other, event])
            assert series.refused_lines == 0
        found = {one["metric"]["resource"]: one for one in server.export("reading_value")}
        (whole,) = server.export("event_position")
        (flag,) = server.export("event_historical")
    curve = found["temperature"]
    assert curve["metric"] == {
        "__name__": "reading_value",
        "campus": "demo-school",
        "device": DEVICE,
        "resource": "temperature",
    }
    assert curve["timestamps"] == [T0 // 1_000_000 + at * 1000 for at in range(6000)]
    assert curve["values"] == [20 + at % 7 for at in range(6000)]
    assert found["humidity"]["values"] == [-1.5]
    assert whole["metric"]["topic"] == "AccessControl/AccessGranted/Credential"
    assert (whole["values"], flag["values"]) == ([2**40 + 1], [1])
