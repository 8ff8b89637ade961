"""Boxes and devices: what there is, how it is, how old that knowledge is."""

from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query

from aggregator.accounts import Principal, Role
from aggregator.admission.sessions import Liveness
from aggregator.api.campus import Campus
from aggregator.api.guard import CampusOf, require
from aggregator.api.problems import Problem
from aggregator.silence import EDGE_SILENT_S
from device_profiles.model import DeviceProfile
from wire.clock import NS_PER_S, utc_text

router = APIRouter(tags=["devices"])

WATCHERS: Final = (Role.WALL, Role.GUARD, Role.LEAD, Role.OPS, Role.DISTRICT, Role.ADMIN)


@router.get("/edges")
async def edges(campus: CampusOf, _who: Annotated[Principal, require(*WATCHERS)]) -> dict[str, Any]:
    """All boxes: enrolled ones, and what is known of each."""
    return {"items": await _edges(campus), "next": None}


@router.get("/edges/{edge}")
async def edge(edge: str, campus: CampusOf, _who: Annotated[Principal, require(*WATCHERS)]) -> dict[str, Any]:
    """One box, with its counters as of its last heartbeat."""
    found = next((item for item in await _edges(campus) if item["edge"] == edge), None)
    if found is None:
        raise Problem(404, "unknown_edge", {"edge": edge[:64]})
    live = campus.admission.liveness.get(edge)
    if live is not None and live.heartbeat is not None:
        found["lanes"] = msgspec.to_builtins(live.heartbeat.lanes)
        found["counters"] = live.heartbeat.counters
        found["clock"] = msgspec.to_builtins(live.heartbeat.stamp.clock)
    return found


@router.get("/devices")
async def devices(
    campus: CampusOf,
    _who: Annotated[Principal, require(*WATCHERS)],
    edge: Annotated[str | None, Query(max_length=64)] = None,
    device_class: Annotated[str | None, Query(max_length=64)] = None,
    state: Annotated[str | None, Query(pattern="^(UP|DOWN|UNKNOWN|SILENT)$")] = None,
) -> dict[str, Any]:
    """All devices, by id."""
    items = [
        item
        for item in await _devices(campus)
        if (edge is None or item["edge"] == edge)
        and (device_class is None or item["device_class"] == device_class)
        and (state is None or item["state"] == state)
    ]
    return {"items": items, "next": None}


@router.get("/devices/{edge}/{name}")
async def device(
    edge: str, name: str, campus: CampusOf, _who: Annotated[Principal, require(*WATCHERS)]
) -> dict[str, Any]:
    """One device."""
    found = next((item for item in await _devices(campus) if item["device"] == f"{edge}/{name}"), None)
    if found is None:
        raise Problem(404, "unknown_device", {"device": f"{edge}/{name}"[:128]})
    return found


async def _edges(campus: Campus) -> list[dict[str, Any]]:
    known = {row["edge"]: row for row in await campus.registry.edges()}
    joined = {row["edge"]: row for row in await campus.enrolment.edges()}
    live = campus.admission.liveness
    now_ns = campus.clock.mono_ns()
    return [
        _edge(name, known.get(name), joined.get(name), live.get(name), now_ns) for name in sorted({*known, *joined})
    ]


def _edge(
    name: str, row: dict[str, Any] | None, joined: dict[str, Any] | None, live: Liveness | None, now_ns: int
) -> dict[str, Any]:
    silent_s = None if live is None else max(0, now_ns - live.heard_ns) // NS_PER_S
    state = "unheard" if live is None else "silent" if silent_s is not None and silent_s > EDGE_SILENT_S else "live"
    if joined is not None and joined["revoked_ns"] is not None:
        state = "revoked"
    view: dict[str, Any] = {"edge": name, "state": state, "silent_s": silent_s, "enrolled": joined is not None}
    if joined is not None:
        view["software"] = live.software if live is not None else joined["software"]
    if row is not None:
        view |= {
            "epoch": row["epoch"],
            "births": row["births"],
            "forks": row["forks"],
            "records": row["records"],
            "last_received": utc_text(row["last_received_ns"]),
        }
    return view


async def _devices(campus: Campus) -> list[dict[str, Any]]:
    live = campus.admission.liveness
    now_ns = campus.clock.mono_ns()
    views = []
    for row in await campus.registry.devices():
        box = live.get(row["edge"])
        # What a box that is away said of its device is old news: never shown as healthy.
        heard = box is not None and now_ns - box.heard_ns <= EDGE_SILENT_S * NS_PER_S
        views.append(
            {
                "device": row["device_id"],
                "edge": row["edge"],
                "state": row["state"] if heard else "SILENT",
                "last_state": row["state"],
                "state_since": utc_text(row["state_ns"]) if row["state_ns"] else None,
                "profile": row["profile"],
                "device_class": row["device_class"],
                "systems": [name for name in row["systems"].split(",") if name],
                "protocol": row["protocol"],
                "contract": row["contract"],
                "display_name": row["display_name"],
                "display_name_en": row["display_name_en"],
                "place": row["place"],
                "records": row["records"],
                "last_topic": row["last_topic"],
                "last_occurred": utc_text(row["last_occurred_ns"]),
                "last_received": utc_text(row["last_received_ns"]),
                "curves": _curves(campus.desk.profile(row["profile"])),
            }
        )
    return views


def _curves(profile: DeviceProfile | None) -> list[dict[str, str]]:
    """What a device measures and `/series` has: name and UCUM unit."""
    return [
        {"resource": one.name, "unit": one.properties.units}
        for one in (() if profile is None else profile.device_resources)
        if "R" in one.properties.read_write and one.properties.value_type != "String" and not one.properties.sensitive
    ]
