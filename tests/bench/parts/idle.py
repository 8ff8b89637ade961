"""A box that has little to do: 50 sensors behind five gateways, read every ten seconds and delivered to the campus."""

import time
from collections.abc import Iterator

from tests.bench.figures import Figure
from tests.bench.parts import Scale
from tests.bench.parts.polled import channels, gateways
from tests.bench.processes import Cpu, rss_mb
from tests.bench.site import Campus


def measure(scale: Scale, campus: Campus) -> Iterator[Figure]:
    site = campus.site
    with gateways(5) as (answering, ports):
        site.all_up(channels(ports, "xy-md02"))
        time.sleep(scale.seconds(12))
        before, began_s, cpu = answering.ask()["answered"], time.monotonic(), Cpu({"edge": site.edge.pid})
        time.sleep(scale.seconds(30))
        took_s, used_s = time.monotonic() - began_s, cpu.since()["edge"]
        asked = answering.ask()["answered"] - before
        yield Figure("idle", "memory of a box with 50 sensors", rss_mb(site.edge.pid), "MB", aim=60)
        note = f"{asked / took_s:.1f} answers/s"
        yield Figure("idle", "processor of a box with 50 sensors", used_s / took_s * 100, "%", aim=0.5, note=note)
