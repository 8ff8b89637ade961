"""Modbus over TCP: what a value costs that is read, decoded and stored on disk, beside a bare loop over sockets that
only unpacks the same registers; and how many values a second one box takes in.

Units of 40 registers behind gateways of ten, each register a value that is stored at every turn. In turns with the bare
loop. The aggregator does not run.
"""

import time
from collections import defaultdict
from collections.abc import Iterator
from statistics import median

from tests.acceptance.site import eventually
from tests.bench.figures import Figure
from tests.bench.parts import Scale
from tests.bench.parts.polled import PROFILE, REGISTERS, UNITS, channels, gateways, write_profile
from tests.bench.processes import Cpu, Helper, helper
from tests.bench.site import BenchSite, Campus
from wire.topics import Lane

# Milliseconds between two turns of 200 units, to find the highest rate.
RHYTHMS = (400, 250, 200, 160, 133, 110, 90, 75, 60)
KEPT = 0.95


def _prepare(site: BenchSite, ports: list[int], interval_ms: int) -> None:
    write_profile(site.profiles, interval_ms)
    site.box_alone(channels(ports, PROFILE))


def _window(answering: Helper, pid: int, seconds: float) -> tuple[float, int]:
    """Processor seconds for 1,000 values of a process, and how many requests were answered."""
    cpu, before = Cpu({"it": pid}), answering.ask()["answered"]
    time.sleep(seconds)
    answered = answering.ask()["answered"] - before
    return cpu.since()["it"] / (answered * REGISTERS) * 1000, answered


def _box(site: BenchSite, answering: Helper, scale: Scale, seconds: float) -> tuple[float, float, float]:
    """Processor seconds for 1,000 values; turns answered a second; of them stored."""
    begun = answering.ask()["answered"]
    site.edge.start()
    eventually(lambda: answering.ask()["answered"] > begun and site.stored(Lane.T))
    time.sleep(scale.seconds(3))
    stored = site.stored(Lane.T)
    cost, answered = _window(answering, site.edge.pid, seconds)
    kept = (site.stored(Lane.T) - stored) / answered
    site.edge.stop()
    return cost, answered / seconds, kept


def _bare(ports: list[int], answering: Helper, scale: Scale, seconds: float) -> float:
    with helper("bare", "modbus", 1.0, UNITS, REGISTERS, *ports) as bare:
        begun = answering.ask()["answered"]
        eventually(lambda: answering.ask()["answered"] > begun)
        time.sleep(scale.seconds(2))
        return _window(answering, bare.pid, seconds)[0]


def measure(scale: Scale, campus: Campus) -> Iterator[Figure]:
    site, counts = campus.site, (1, 2) if scale.tiny else (5, 20)
    with gateways(counts[-1]) as (answering, ports):
        for count in counts:
            _prepare(site, ports[:count], 1000)
            costs: dict[str, list[float]] = defaultdict(list)
            for _ in range(scale.rounds(2)):
                ours, _, kept = _box(site, answering, scale, scale.seconds(8, at_least=2))
                costs["box"].append(ours)
                costs["bare"].append(_bare(ports[:count], answering, scale, scale.seconds(8, at_least=2)))
            devices = count * UNITS
            box, bare = median(costs["box"]), median(costs["bare"])
            yield Figure("modbus", f"box, {devices} units each second", box * 1000, "ms/1000 values")
            yield Figure("modbus", f"bare loop, {devices} units each second", bare * 1000, "ms/1000 values")
            yield Figure("modbus", f"box beside the bare loop, {devices} units", box / bare, "x", aim=2.5)
            yield Figure("modbus", f"of {devices} units' turns stored", kept * 100, "%")
        yield from _highest(site, answering, ports, scale)


def _highest(site: BenchSite, answering: Helper, ports: list[int], scale: Scale) -> Iterator[Figure]:
    units, highest, cost = len(ports) * UNITS, 0.0, 0.0
    for rhythm in RHYTHMS[:: 4 if scale.tiny else 1]:
        _prepare(site, ports, rhythm)
        now, rate, kept = _box(site, answering, scale, scale.seconds(4, at_least=2))
        if rate < KEPT * units * 1000 / rhythm or kept < KEPT:
            break
        highest, cost = rate * REGISTERS, now
    yield Figure("modbus", "highest rate kept", highest, "values/s", aim=60_000, at_least=True)
    yield Figure("modbus", "box at the highest rate", cost * 1000, "ms/1000 values")
