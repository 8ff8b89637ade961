"""The queries of docs/influxdb.md, run against Debian's InfluxDB on points as the projector writes them."""

import json
import re
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.series.lines import lines
from aggregator.series.points import points_of
from tests.series.making import DEVICE, passage, reading, row
from tests.support.influx import Influx, running_influx
from wire.clock import NS_PER_S
from wire.records import Outcome, Value

pytestmark = pytest.mark.peer

PAGE = (Path(__file__).parents[2] / "docs" / "influxdb.md").read_text(encoding="utf-8")
QUERIES = re.findall(r"^```\n(SELECT .*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def records() -> Iterator[str]:
    now_ns = time.time_ns()
    warm = reading(Value(resource="temperature", value=21.5, unit="Cel"))
    gone = reading(Value(resource="temperature", value=None, quality="stale"))
    outcome = Outcome(id="f" * 32, device="gate-1/face-1", stamp=warm.stamp, command_id="a" * 32, result="succeeded")
    for number, record in enumerate((warm, gone, passage(), outcome)):
        at = now_ns - number * NS_PER_S
        for point in points_of(row(record, time_ns=at)):
            yield lines([point])[0].replace("campus=demo-school", "campus=my-school")


@pytest.fixture(scope="module")
def influx(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Influx]:
    with running_influx(tmp_path_factory.mktemp("influx")) as server:
        ask(server, "CREATE DATABASE campus", method="POST")
        body = "\n".join(records()).encode()
        urllib.request.urlopen(f"{server.url}/write?db=campus&precision=ns", data=body, timeout=10).close()
        yield server


def ask(server: Influx, query: str, method: str = "GET") -> list[dict[str, Any]]:
    params = urllib.parse.urlencode({"db": "campus", "q": query})
    request = urllib.request.Request(f"{server.url}/query?{params}", method=method)
    with urllib.request.urlopen(request, timeout=10) as answer:
        (result,) = json.load(answer)["results"]
    assert "error" not in result, result
    series: list[dict[str, Any]] = result.get("series", [])
    return series


def test_the_page_has_queries() -> None:
    assert len(QUERIES) >= 5
    assert DEVICE in PAGE


@pytest.mark.parametrize("query", QUERIES, ids=range(len(QUERIES)))
def test_a_query_of_the_page_finds_what_is_written(influx: Influx, query: str) -> None:
    found = ask(influx, query)
    values = [value for series in found for row in series["values"] for value in row[1:]]
    assert any(value not in (None, 0) for value in values), found
