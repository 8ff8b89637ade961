"""The box for Prometheus: `GET /metrics` on a port of its own, off unless the settings name one.

There is no sign-in: the port belongs on loopback, or in a network of machines. What boxes tell their campus stands on
the campus' own page, so a Prometheus at the campus needs to reach no box.
"""

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Final

from aiohttp import web

from edge_agent.channels.base import DeviceHealth
from edge_agent.channels.http_door import HttpDoor
from edge_agent.channels.liveness import Operating
from edge_agent.health import Health
from edge_agent.supervise import State
from wire.clock import NS_PER_S, Clock, ClockState
from wire.counters import box_families
from wire.metrics import CONTENT_TYPE, Family, Sample, process_families, render, single

log = logging.getLogger(__name__)

CONNECTIONS_MAX: Final = 8
HEAD_WITHIN_S: Final = 10.0
OPEN_AGAIN_S: Final = 30.0


class MetricsPage:
    """What the page says, made anew for each that asks."""

    def __init__(self, health: Health, clock: Clock, *, edge: str, version: str) -> None:
        self._health = health
        self._clock = clock
        self._edge = edge
        self._version = version
        self._started_ns = clock.wall_ns()

    def render(self) -> bytes:
        """The whole page."""
        health = self._health
        boxes = box_families({self._edge: health.numbers()}, {self._edge: health.depths})
        return render([*self._own(), *boxes, *self._parts(), *self._devices(), *process_families(self._started_ns)])

    def _own(self) -> Iterator[Family]:
        edge, stamp = self._edge, self._clock.stamp()
        synced = int(stamp.clock is ClockState.SYNCED)
        yield single("campus_edge_build_info", "gauge", "What runs here.", 1, edge=edge, version=self._version)
        yield single("campus_edge_clock_synced", "gauge", "1 while the clock is known to be right.", synced, edge=edge)
        error_s = stamp.error_ms / 1e3
        yield single("campus_edge_clock_error_seconds", "gauge", "Bound of the clock's error.", error_s, edge=edge)

    def _parts(self) -> Iterator[Family]:
        parts = [({"edge": self._edge, "part": part.name}, part) for part in self._health.parts.values()]
        up = [Sample(int(part.state is State.UP), labels) for labels, part in parts]
        yield Family("campus_edge_part_up", "gauge", "1 while a channel or the uplink works.", up)
        restarts = [Sample(part.restarts, labels) for labels, part in parts]
        yield Family("campus_edge_part_restarts_total", "counter", "Restarts of a channel or the uplink.", restarts)

    def _devices(self) -> Iterator[Family]:
        now_ns = self._clock.mono_ns()
        devices = [
            ({"edge": self._edge, "channel": name, "device": device.id}, device)
            for name, channel in self._health.channels().items()
            for device in channel.devices
        ]

        def family(name: str, told: str, read: Callable[[DeviceHealth], float | None]) -> Family:
            """Of a device of which nobody knows it there is no sample."""
            read_of = [(labels, read(device)) for labels, device in devices]
            samples = [Sample(value, labels) for labels, value in read_of if value is not None]
            kind: Final = "counter" if name.endswith("_total") else "gauge"
            return Family(f"campus_edge_device_{name}", kind, told, samples)

        yield family("up", "1 while a device is there, 0 while it is not.", _up)
        yield family("heard_age_seconds", "Since its last sign of life.", lambda one: _age_s(one, now_ns))
        yield family("answer_p95_seconds", "Its answers of late, the 95th of a hundred.", _answer_s)
        yield family("events_total", "Records of it that were stored.", lambda one: one.events)
        yield family(
            "troubles_total", "What it said and nobody understood, and faults of ours.", lambda one: one.troubles
        )


def _up(device: DeviceHealth) -> float | None:
    return None if device.state is None else int(device.state is Operating.UP)


def _age_s(device: DeviceHealth, now_ns: int) -> float | None:
    return None if device.heard_ns is None else (now_ns - device.heard_ns) / NS_PER_S


def _answer_s(device: DeviceHealth) -> float | None:
    return None if device.answer_ms is None else device.answer_ms / 1e3


async def serve(host: str, port: int, render_page: Callable[[], bytes]) -> None:
    """For a TaskGroup; ends only by cancellation. A port that cannot be had is told once and tried again."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path != "/metrics":
            return web.Response(status=404)
        if request.method not in {"GET", "HEAD"}:
            return web.Response(status=405)
        return web.Response(body=render_page(), headers={"Content-Type": CONTENT_TYPE})

    told = False
    while True:
        door = HttpDoor(answer, connections_max=CONNECTIONS_MAX, head_within_s=HEAD_WITHIN_S)
        try:
            listening = await door.open(host, port, None)
        except OSError as error:
            if not told:
                log.warning("metrics cannot be served", extra={"port": port, "cause": error.strerror or str(error)})
            told = True
            await asyncio.sleep(OPEN_AGAIN_S)
            continue
        try:
            log.info("metrics are served", extra={"host": host, "port": listening.port})
            await asyncio.Event().wait()
        finally:
            await listening.close()
