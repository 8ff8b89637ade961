"""InfluxDB and the aggregator are killed in turn while terminals speak; then InfluxDB counts what the ledger does.

Invariant: for each device, topic and hour there are as many points as records, also after a rebuild by our command.
"""

import json
import sqlite3
import subprocess
import sys
import time
import urllib.parse
import urllib.request
from collections import Counter
from pathlib import Path

import pytest

from tests.acceptance.site import Site, eventually, run, running_site
from tests.support.influx import Influx, running_influx

pytestmark = [pytest.mark.peer, pytest.mark.processes]

DEVICES = ("1026701", "1026702", "1026703")
HOUR_NS = 3_600_000_000_000
ROUNDS = 3
Count = Counter[tuple[str, str, int]]


def in_the_ledger(site: Site) -> Count:
    path = site.campus_file.parent / "data" / "ledger.sqlite"
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        rows = connection.execute(
            "SELECT device_id, topic, series_time_ns / :hour, count(*) FROM ledger"
            " WHERE kind = 'event' AND series_time_ns IS NOT NULL GROUP BY 1, 2, 3",
            {"hour": HOUR_NS},
        ).fetchall()
    finally:
        connection.close()
    return Counter({(device, topic, hour): count for device, topic, hour, count in rows})


def in_influx(server: Influx) -> Count:
    query = 'SELECT count("position") FROM "event" WHERE time > 0 GROUP BY time(1h), "device", "topic" fill(none)'
    params = urllib.parse.urlencode({"db": "campus", "q": query, "epoch": "ns"})
    with urllib.request.urlopen(f"{server.url}/query?{params}", timeout=30) as answer:
        (result,) = json.load(answer)["results"]
    counts: Count = Counter()
    for series in result["series"]:
        for at, count in series["values"]:
            counts[series["tags"]["device"], series["tags"]["topic"], at // HOUR_NS] += count
    return counts


def test_counts_are_the_ledgers_after_kills_and_after_a_rebuild(tmp_path: Path) -> None:
    with running_influx(tmp_path / "influx") as server:
        series = {"kind": "influxdb", "url": server.url, "version": 1, "database": "campus"}
        with running_site(tmp_path, *DEVICES, campus_settings={"series": series}) as site:
            done = run("aggregator.cli", "series", "setup", "-c", str(site.campus_file))
            assert done.returncode == 0, done.stderr
            password = tmp_path / "terminals.password"
            password.write_text(site.terminal_password())
            argv = [sys.executable, "-m", "simulators.cli", "run", *DEVICES, "--rate", "300", "--picture-kb", "0"]
            login = ["--port", str(site.broker_port), "--username", "faces", "--password-file", str(password)]
            with (tmp_path / "sim.log").open("wb") as log:
                terminals = subprocess.Popen([*argv, *login, "--flawless"], stdout=log, stderr=log)
            try:
                for _ in range(ROUNDS):
                    time.sleep(1)
                    server.kill()
                    eventually(lambda: site.health().get("readers", {}).get("series", {}).get("failing"))
                    site.aggregator.kill()
                    server.start()
                    site.aggregator.start()
                    eventually(lambda: site.health().get("status") == "ok")
            finally:
                terminals.kill()
                terminals.wait()
            site.edge.stop()
            eventually(lambda: in_influx(server) == in_the_ledger(site))
            counted = in_influx(server)
            assert sum(counted.values()) > 100
            assert {device for device, _, _ in counted} >= {f"gate-1/face-{number}" for number in (1, 2, 3)}

            site.aggregator.stop()
            rebuilt = run("aggregator.cli", "series", "rebuild", "-c", str(site.campus_file))
            assert rebuilt.returncode == 0, rebuilt.stderr
            assert in_influx(server) == in_the_ledger(site)
            assert str(sum(in_influx(server).values())) in rebuilt.stdout
