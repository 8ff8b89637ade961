"""How long an event takes from the terminal to a screen: sent by the one, received whole over the live stream by the
other, at 200 events a second.
"""

from collections.abc import Iterator

from tests.bench.figures import Figure
from tests.bench.parts import Scale
from tests.bench.processes import unseen
from tests.bench.site import Campus


def measure(scale: Scale, campus: Campus) -> Iterator[Figure]:
    site = campus.site
    site.all_up()
    with site.terminals() as playing:
        playing.ask(rate=scale.count(100), seconds=scale.seconds(2))
        screen = {"port": site.http_port, "token": site.token}
        told = playing.ask(rate=scale.count(200), seconds=scale.seconds(15), screen=screen)
    seen, note = told["screen"], unseen(told, "screen")
    yield Figure("screen", "terminal to screen at 200/s, p50", seen["p50_ms"], "ms")
    yield Figure("screen", "terminal to screen at 200/s, p99", seen["p99_ms"], "ms", aim=300, note=note)
