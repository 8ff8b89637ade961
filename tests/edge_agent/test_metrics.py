"""The box's page for Prometheus: what it says, and how it is served."""

import asyncio
import contextlib
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Mapping

import pytest

from edge_agent.channels.base import ChannelHealth, DeviceHealth
from edge_agent.channels.liveness import Operating
from edge_agent.health import Health, Summary, new_counters
from edge_agent.metrics import MetricsPage, serve
from edge_agent.supervise import PartHealth, State
from simulators.children import free_ports
from tests.support.clock import VirtualClock
from tests.support.prometheus import samples, value
from tests.support.waiting import until
from wire.clock import NS_PER_S
from wire.delivery import LaneDepth
from wire.topics import Lane


def box(clock: VirtualClock) -> Health:
    now_ns = clock.mono_ns()
    channels: Mapping[str, ChannelHealth] = {
        "bus": ChannelHealth(
            connected=True,
            devices_up=1,
            devices_down=1,
            devices_unknown=1,
            waiting=2,
            devices=(
                DeviceHealth(
                    id="hall-1/climate-1",
                    state=Operating.UP,
                    heard_ns=now_ns - 3 * NS_PER_S,
                    events=12,
                    troubles=0,
                    answer_ms=15.5,
                ),
                DeviceHealth(id="hall-1/climate-2", state=Operating.DOWN, heard_ns=None, events=0, troubles=4),
                DeviceHealth(id="hall-1/climate-3", state=None, heard_ns=None, events=0, troubles=0),
            ),
        )
    }
    health = Health(new_counters(), {"intake_waiting": lambda: 4, "commits_total": lambda: 9}, lambda: channels)
    health.parts["uplink"] = PartHealth("uplink", state=State.DOWN, restarts=3)
    health.parts["channel bus"] = PartHealth("channel bus", state=State.UP)
    return health


def test_the_page_says_how_the_box_its_parts_its_lanes_and_its_devices_are() -> None:
    clock = VirtualClock()
    health = box(clock)
    health._counters["events_total"] += 12
    health.observe({Lane.D: LaneDepth(accepted=12, acknowledged=5, queued=7)}, clock.mono_ns())
    found = samples(MetricsPage(health, clock, edge="hall-1", version="1.0").render().decode())
    assert value(found, "campus_edge_events_total", edge="hall-1") == 12
    assert value(found, "campus_edge_intake_waiting") == 4
    assert value(found, "campus_edge_commits_total") == 9
    assert value(found, "campus_edge_parts_down") == 1
    assert value(found, "campus_edge_lane_queued_records", lane="D") == 7
    assert value(found, "campus_edge_part_up", part="uplink") == 0
    assert value(found, "campus_edge_part_restarts_total", part="uplink") == 3
    assert value(found, "campus_edge_device_up", device="hall-1/climate-1") == 1
    assert value(found, "campus_edge_device_up", device="hall-1/climate-2") == 0
    assert value(found, "campus_edge_device_heard_age_seconds") == 3
    assert value(found, "campus_edge_device_answer_p95_seconds") == 0.0155
    assert value(found, "campus_edge_device_troubles_total", device="hall-1/climate-2") == 4
    # Of what nobody knows there is no sample: 0 would be a lie.
    assert ("campus_edge_device_up", "hall-1/climate-3") not in {
        (name, dict(labels).get("device")) for name, labels in found
    }
    assert value(found, "campus_edge_clock_synced") == 1


def test_the_rate_is_that_of_the_last_minute() -> None:
    clock = VirtualClock()
    health = box(clock)
    assert health.summary() == Summary(devices=3, up=1, rate=0.0, queued=0)
    for _ in range(40):
        health._counters["events_total"] += 10
        health.observe({}, clock.mono_ns())
        clock.advance(5)
    assert health.summary().rate == 2.0
    for _ in range(13):
        health.observe({Lane.A: LaneDepth(accepted=3, acknowledged=0, queued=3)}, clock.mono_ns())
        clock.advance(5)
    assert health.summary() == Summary(devices=3, up=1, rate=0.0, queued=3)


# --- served -------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def served(port: int) -> AsyncIterator[None]:
    clock = VirtualClock()
    page = MetricsPage(box(clock), clock, edge="hall-1", version="1.0")
    serving = asyncio.create_task(serve("127.0.0.1", port, page.render))
    try:
        yield
    finally:
        serving.cancel()
        await asyncio.wait([serving])


def ask(port: int, path: str = "/metrics", method: str = "GET") -> tuple[int, str, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.headers["Content-Type"], answer.read().decode()
    except urllib.error.HTTPError as error:
        error.close()
        return error.code, "", ""


async def test_it_is_served_as_prometheus_wants_it_and_nothing_else_is() -> None:
    (port,) = free_ports(1)
    async with served(port):
        async with asyncio.timeout(60):
            while True:
                with contextlib.suppress(OSError):
                    status, kind, page = await asyncio.to_thread(ask, port)
                    break
                await asyncio.sleep(0.02)
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert samples(page)
        for path, method, wanted in (("/", "GET", 404), ("/metrics", "POST", 405), ("/metrics/", "GET", 404)):
            assert (await asyncio.to_thread(ask, port, path, method))[0] == wanted


async def test_a_port_that_is_taken_is_told_once_and_had_later(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edge_agent.metrics.OPEN_AGAIN_S", 0.01)
    holder = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = holder.sockets[0].getsockname()[1]
    with caplog.at_level("INFO"):
        async with served(port):
            await asyncio.sleep(0.1)
            holder.close()
            await holder.wait_closed()
            await until(lambda: "metrics are served" in [record.message for record in caplog.records])
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == [
        "metrics cannot be served"
    ]
