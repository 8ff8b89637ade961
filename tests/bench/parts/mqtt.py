"""Events over MQTT into the box alone, stored on disk and acknowledged, beside a bare paho loop that only reads their
JSON and answers. The aggregator does not run. Two cores are shared by terminals, broker and box.

In turns with the bare loop; the box is stopped for it, so that neither takes the other's messages.
"""

from collections import defaultdict
from collections.abc import Iterator
from statistics import median
from typing import Any

from tests.bench.figures import Figure
from tests.bench.parts import Scale
from tests.bench.processes import Cpu, Helper, helper
from tests.bench.site import BenchSite, Campus
from wire.topics import Lane


def _box(site: BenchSite, playing: Helper, **command: Any) -> tuple[dict[str, Any], float]:
    """A run into the box; microseconds of it for each event that it stored."""
    site.edge.start()
    _warm(playing)
    before, cpu = site.stored(Lane.D), Cpu({"edge": site.edge.pid})
    told = playing.ask(settle_s=10, **command)
    told["kept"] = site.stored(Lane.D) - before
    used_us = cpu.since()["edge"] / told["kept"] * 1e6
    site.edge.stop()
    return told, used_us


def _bare(site: BenchSite, playing: Helper, **command: Any) -> tuple[dict[str, Any], float]:
    password = site.edge_file.parent / "keys" / "broker.password"
    with helper("bare", "mqtt", site.broker_port, "gate-1", password) as bare:
        _warm(playing)
        before, cpu = bare.ask()["done"], Cpu({"bare": bare.pid})
        told = playing.ask(settle_s=10, **command)
        return told, cpu.since()["bare"] / (bare.ask()["done"] - before) * 1e6


def _warm(playing: Helper) -> None:
    """Until whoever takes the messages has begun to answer, and a while more."""
    for _ in range(100):
        if playing.ask(rate=100, seconds=0.1, settle_s=0.5)["stored"]["count"]:
            playing.ask(rate=100, seconds=1.0, settle_s=2.0)
            return
    raise RuntimeError("nobody answers the terminals")


def measure(scale: Scale, campus: Campus) -> Iterator[Figure]:
    costs: dict[tuple[int, str], list[float]] = defaultdict(list)
    tolds: dict[int, dict[str, Any]] = {}
    site = campus.site
    site.box_alone()
    with site.terminals() as playing:
        for _ in range(scale.rounds(2)):
            for rate in (1000, 5000):
                command = {"rate": scale.count(rate), "seconds": scale.seconds(6)}
                tolds[rate], ours = _box(site, playing, **command)
                costs[rate, "ours"].append(ours)
                costs[rate, "bare"].append(_bare(site, playing, **command)[1])
    for rate in (1000, 5000):
        ours, bare = median(costs[rate, "ours"]), median(costs[rate, "bare"])
        yield Figure("mqtt", f"box alone at {rate}/s", ours, "µs/event")
        yield Figure("mqtt", f"bare paho loop at {rate}/s", bare, "µs/event")
        yield Figure("mqtt", f"box alone beside the bare loop at {rate}/s", ours / bare, "x")
        yield Figure("mqtt", f"stored at {rate}/s, p99", tolds[rate]["stored"]["p99_ms"], "ms")
    stored = tolds[5000]["kept"] / tolds[5000]["count"] * 100
    within = tolds[5000]["stored"]["within_1s"] * 100
    yield Figure("mqtt", "of 5000/s stored", stored, "%", aim=99.9, at_least=True)
    yield Figure("mqtt", "of 5000/s stored and answered within 1 s", within, "%", aim=99, at_least=True)
