"""An outage: the campus server is down while the terminals say 30,000 things, as in a minute of 500 a second, only
quicker. Then it comes back, and the time is taken until its ledger has them all, from when it has the first.
"""

import time
from collections.abc import Iterator
from typing import Final

from tests.acceptance.site import eventually
from tests.bench.figures import Figure
from tests.bench.parts import Scale
from tests.bench.processes import Cpu
from tests.bench.site import Campus
from wire.topics import Lane

FILL_RATE: Final = 1500


def measure(scale: Scale, campus: Campus) -> Iterator[Figure]:
    wanted, site = scale.count(30_000), campus.site
    site.all_up()
    with site.terminals() as playing:
        before = site.committed()
        site.aggregator.stop()
        playing.ask(rate=FILL_RATE, seconds=wanted / FILL_RATE, settle_s=1)
        site.settled(delivering=False)
    waits = before + site.stored(Lane.D)
    site.aggregator.start()
    eventually(lambda: site.committed() > before)
    began_s, cpu, first = time.monotonic(), Cpu(site.pids), site.committed()
    while site.committed() < waits:
        time.sleep(0.02)
    took_s, used = time.monotonic() - began_s, cpu.since()
    drained = waits - first
    yield Figure("outage", f"{wanted:,} records drained in", took_s / drained * wanted, "s", aim=5)
    yield Figure("outage", "drained", drained / took_s, "records/s")
    for name in ("edge", "aggregator"):
        yield Figure("outage", f"{name} while draining", used[name] / drained * 1e6, "µs/record")
