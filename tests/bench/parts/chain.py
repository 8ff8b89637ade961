"""The whole chain as it runs in service: terminal -> broker -> box -> broker -> aggregator -> ledger and its readers.

Processor time of each process for one event; how long an event takes to be stored on the box and to be on its way; and
the knee, the rate up to which the ledger keeps up with what the terminals say.
"""

import time
from collections.abc import Iterator
from typing import Any, Final

from tests.bench.figures import Figure
from tests.bench.parts import Scale
from tests.bench.processes import Cpu, Helper
from tests.bench.site import BenchSite, Campus

# What is offered to find the knee, each a fifth more than the one before.
STEPS: Final = (500, 600, 720, 860, 1030, 1240, 1490, 1790, 2150, 2580, 3100, 3700, 4500)
KEPT: Final = 0.95


def _loaded(site: BenchSite, playing: Helper, **command: Any) -> tuple[dict[str, Any], dict[str, float]]:
    """A run to the end of its last commit. Gives what became of it, and the microseconds of each process an event."""
    before, cpu = site.settled(), Cpu(site.pids)
    told = playing.ask(settle_s=3, **command)
    events = site.settled() - before
    return told, {name: used / events * 1e6 for name, used in cpu.since().items()}


def _keeps_up(site: BenchSite, playing: Helper, rate: int, seconds: float) -> bool:
    """Whether the ledger grew as fast as the terminals spoke, over the second half of a run."""
    playing.tell(rate=rate, seconds=seconds, settle_s=1)
    time.sleep(seconds / 2)
    half, half_s = site.committed(), time.monotonic()
    time.sleep(seconds / 2)
    grown, took_s = site.committed() - half, time.monotonic() - half_s
    playing.hear()
    site.settled()
    return grown >= KEPT * rate * took_s


def _knee(site: BenchSite, playing: Helper, scale: Scale) -> int:
    kept = 0
    for rate in STEPS:
        if not _keeps_up(site, playing, scale.count(rate), scale.seconds(4)):
            break
        kept = scale.count(rate)
    return kept


def measure(scale: Scale, campus: Campus) -> Iterator[Figure]:
    site = campus.site
    site.all_up()
    with site.terminals() as playing:
        _loaded(site, playing, rate=scale.count(300), seconds=scale.seconds(3))
        _, slow = _loaded(site, playing, rate=scale.count(200), seconds=scale.seconds(8))
        rate = scale.count(1000)
        _, used = _loaded(site, playing, rate=rate, seconds=scale.seconds(10))
        both = used["edge"] + used["aggregator"]
        yield Figure("chain", f"box and aggregator at {rate}/s", both, "µs/event", aim=300)
        for name, us in used.items():
            yield Figure("chain", f"{name} at {rate}/s", us, "µs/event")
        yield Figure("chain", "box and aggregator at a fifth of that", slow["edge"] + slow["aggregator"], "µs/event")
        told, _ = _loaded(site, playing, rate=rate, seconds=scale.seconds(8), sent=site.watch_batches())
        for what, name in (("stored", "stored on the box"), ("sent", "on its way to the campus")):
            seen = told[what]
            aim = 100.0 if what == "sent" else None
            note = (
                "" if seen["count"] == told["count"] else f"{told['count'] - seen['count']} of {told['count']} not seen"
            )
            yield Figure("chain", f"{name} at {rate}/s, p50", seen["p50_ms"], "ms")
            yield Figure("chain", f"{name} at {rate}/s, p99", seen["p99_ms"], "ms", aim=aim, note=note)
        yield Figure("chain", "knee: the ledger keeps up with", _knee(site, playing, scale), "events/s")
