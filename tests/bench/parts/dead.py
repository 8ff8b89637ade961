"""One dead unit of ten on a line: how many of their turns its neighbours keep, each second and with half a second to
answer in.
"""

import time
from collections.abc import Iterator

from tests.acceptance.site import eventually
from tests.bench.figures import Figure
from tests.bench.parts import Scale
from tests.bench.parts.polled import PROFILE, UNITS, channels, gateways, write_profile
from tests.bench.site import Campus

DEAD = 5


def measure(scale: Scale, campus: Campus) -> Iterator[Figure]:
    site = campus.site
    with gateways(1) as (answering, ports):
        write_profile(site.profiles, 1000)
        site.box_alone(channels(ports, PROFILE))
        answering.ask(dead=[DEAD])
        site.edge.start()
        eventually(lambda: answering.ask()["answered"])
        time.sleep(scale.seconds(5))
        before, began_s = answering.ask()["answered"], time.monotonic()
        time.sleep(scale.seconds(15))
        answered, took_s = answering.ask()["answered"] - before, time.monotonic() - began_s
        site.edge.stop()
    yield Figure("dead", "turns its nine neighbours keep", answered / took_s / (UNITS - 1) * 100, "%")
