"""The campus for Prometheus: `GET /metrics`, for a token of role ops. Devices and boxes by name, nothing of people.

What a box counts comes from its last heartbeat, as far as the box is heard: old numbers are not shown as new ones.
"""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final

from fastapi import APIRouter, Response

from aggregator.accounts import Principal, Role
from aggregator.api.campus import Campus
from aggregator.api.guard import CampusOf, require
from aggregator.silence import EDGE_SILENT_S
from wire.clock import NS_PER_S
from wire.counters import box_families
from wire.metrics import CONTENT_TYPE, Family, Sample, process_families, render, single

router = APIRouter(tags=["metrics"])

READERS: Final = (Role.OPS, Role.DISTRICT, Role.ADMIN)


@router.get("/metrics", response_class=Response)
async def metrics(campus: CampusOf, _who: Annotated[Principal, require(*READERS)]) -> Response:
    """Text format 0.0.4."""
    health = campus.health()
    devices = await campus.registry.devices()
    head = await campus.ledger.head()
    families = [
        *_campus(health, head),
        *_readers(health["readers"]),
        *_boxes(campus),
        *_devices(campus, devices),
        await _alarms(campus),
        *process_families(campus.started_ns),
    ]
    return Response(render(families), headers={"Content-Type": CONTENT_TYPE})


def _campus(health: Mapping[str, Any], head: int) -> Iterator[Family]:
    broker, admission = health["broker"], health["admission"]
    prefix = "campus_aggregator_"
    yield single(f"{prefix}build_info", "gauge", "What runs here.", 1, version=health["version"])
    yield single(f"{prefix}up", "gauge", "1 while every part works.", int(health["status"] == "ok"))
    yield single(f"{prefix}broker_up", "gauge", "1 while the broker can be reached.", int(broker["up"]))
    yield single(f"{prefix}broker_outages_total", "counter", "Losses of the broker.", broker["outages"])
    yield single(f"{prefix}frames_total", "counter", "Frames from boxes.", broker["frames"])
    yield single(f"{prefix}frames_dropped_total", "counter", "Frames dropped because too many waited.", broker["full"])
    yield single(f"{prefix}ledger_failing", "gauge", "1 while nothing can be stored.", int(health["ledger"]["failing"]))
    yield single(f"{prefix}ledger_position", "gauge", "The last position of the ledger.", head)
    yield single(f"{prefix}edges_silent", "gauge", "Boxes that ought to be heard and are not.", health["edges_silent"])
    yield single(f"{prefix}watchers", "gauge", "Open streams.", health["watchers"])
    yield Family(
        f"{prefix}admission_total",
        "counter",
        "What came of frames, by kind.",
        [Sample(count, {"kind": kind}) for kind, count in sorted(admission.items())],
    )


def _readers(readers: Mapping[str, Mapping[str, Any]]) -> Iterator[Family]:
    told = {
        "position": "The last position taken.",
        "lag": "Rows behind the ledger.",
        "faults": "Rows passed over for good.",
        "failing": "1 while a reader waits for its store.",
    }
    for name, words in told.items():
        samples = [Sample(int(health[name]), {"reader": reader}) for reader, health in sorted(readers.items())]
        yield Family(f"campus_aggregator_reader_{name}", "gauge", words, samples)


def _boxes(campus: Campus) -> Iterator[Family]:
    heard = {edge: live for edge, live in sorted(campus.admission.liveness.items()) if _heard(campus, live.heard_ns)}
    yield Family(
        "campus_edge_live", "gauge", "1 for each box that is heard.", [Sample(1, {"edge": edge}) for edge in heard]
    )
    said = {edge: live.heartbeat for edge, live in heard.items() if live.heartbeat is not None}
    yield from box_families(
        {edge: heartbeat.counters for edge, heartbeat in said.items()},
        {edge: heartbeat.lanes for edge, heartbeat in said.items()},
    )


def _devices(campus: Campus, devices: list[dict[str, Any]]) -> Iterator[Family]:
    live = campus.admission.liveness
    samples = [
        Sample(int(row["state"] == "UP"), {"edge": row["edge"], "device": row["device_id"]})
        for row in devices
        if row["edge"] in live and _heard(campus, live[row["edge"]].heard_ns)
    ]
    yield Family("campus_device_up", "gauge", "1 while a device is there; absent while its box is not heard.", samples)


async def _alarms(campus: Campus) -> Family:
    counted = sorted((await campus.alarms.open_counts()).items())
    samples = [Sample(count, {"kind": kind, "state": state}) for (kind, state), count in counted]
    return Family(
        "campus_aggregator_alarms_open",
        "gauge",
        "Alarms that nobody has resolved; absent where there are none.",
        samples,
    )


def _heard(campus: Campus, heard_ns: int) -> bool:
    return campus.clock.mono_ns() - heard_ns <= EDGE_SILENT_S * NS_PER_S
