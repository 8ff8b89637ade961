"""Alarms: what is open, what became of each, who has it in hand."""

import re
from typing import Annotated, Any, Final

import msgspec
from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from aggregator.accounts import Principal, Role
from aggregator.alarms import Alarm, Cause, State
from aggregator.alarms.desk import NOTE_MAX, Resolution
from aggregator.api.campus import Campus
from aggregator.api.cursor import make_cursor, read_cursor
from aggregator.api.devices import WATCHERS
from aggregator.api.guard import CampusOf, address_of, require
from aggregator.api.problems import Problem
from aggregator.live.shapes import alarm_view, encode, kind_of, naming_of
from aggregator.refused import Refused
from wire.clock import utc_text

router = APIRouter(tags=["alarms"])

# Whoever looks after devices handles what is wrong with devices, and nothing else.
HANDLERS: Final = (Role.GUARD, Role.LEAD, Role.ADMIN, Role.OPS)
ON_DUTY: Final = (Role.GUARD, Role.LEAD, Role.ADMIN)
LEADS: Final = (Role.LEAD, Role.ADMIN)
STATES: Final = {
    "open": (State.NEW, State.ACKED),
    "new": (State.NEW,),
    "acked": (State.ACKED,),
    "resolved": (State.RESOLVED,),
    "all": tuple(State),
}
_CURSOR: Final = re.compile(r"([0-9]{1,19})\.([0-9a-f]{32})")
_JSON: Final = "application/json"

AlarmId = Annotated[str, Field(max_length=64)]


class Resolving(BaseModel):
    """How it ended. force: although the trouble lasts; for the lead."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    cause: Cause
    note: Annotated[str, Field(max_length=NOTE_MAX)] = ""
    force: bool = False


@router.get("/alarms")
async def alarms(
    campus: CampusOf,
    who: Annotated[Principal, require(*WATCHERS)],
    state: Annotated[str, Query(pattern="^(open|new|acked|resolved|all)$")] = "open",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=128)] = None,
) -> Response:
    """A page, the newest first; next goes into `cursor`."""
    beyond = None if cursor is None else read_cursor(cursor, _CURSOR)
    found = await campus.alarms.page(
        STATES[state], beyond=None if beyond is None else (int(beyond[0]), beyond[1]), limit=limit
    )
    last = found[-1] if len(found) == limit else None
    following = msgspec.json.encode(None if last is None else make_cursor(f"{last.opened}.{last.id}"))
    items = b",".join(await _shown(campus, found, people=who.sees_people))
    return Response(b'{"items":[' + items + b'],"next":' + following + b"}", media_type=_JSON)


@router.get("/alarms/{alarm_id}")
async def alarm(alarm_id: AlarmId, campus: CampusOf, who: Annotated[Principal, require(*WATCHERS)]) -> dict[str, Any]:
    """One alarm, and under `history` when it was opened, acknowledged, resolved, opened again."""
    found = await campus.alarms.alarm(alarm_id)
    if found is None:
        raise Problem(404, "unknown_alarm", {"id": alarm_id})
    (item,) = await _shown(campus, [found], people=who.sees_people)
    shown: dict[str, Any] = msgspec.json.decode(item)
    shown["history"] = [_step(step, people=who.sees_people) for step in await campus.alarms.steps(alarm_id)]
    return shown


@router.post("/alarms/{alarm_id}/ack")
async def acknowledge(
    alarm_id: AlarmId, request: Request, campus: CampusOf, who: Annotated[Principal, require(*HANDLERS)]
) -> Response:
    """I have it in hand. Once more by the same person changes nothing; 409 when somebody else was first."""
    try:
        found = await _of(campus, alarm_id, who)
        taken = await campus.alarm_desk.acknowledge(found, who.name)
    except Refused as refused:
        await campus.office.record(who.name, "alarm.ack", alarm_id, refused.code, address_of(request))
        raise _problem(refused, who) from None
    await campus.office.record(who.name, "alarm.ack", alarm_id, "done", address_of(request))
    (item,) = await _shown(campus, [taken], people=who.sees_people)
    return Response(item, media_type=_JSON)


@router.post("/alarms/{alarm_id}/resolve")
async def resolve(
    alarm_id: AlarmId,
    body: Resolving,
    request: Request,
    campus: CampusOf,
    who: Annotated[Principal, require(*HANDLERS)],
) -> Response:
    """It is settled. 409 when it is already, or while the trouble lasts unless a lead forces it."""
    resolution = Resolution(cause=body.cause, note=body.note.strip(), force=body.force and who.has(LEADS))
    try:
        found = await _of(campus, alarm_id, who)
        taken = await campus.alarm_desk.resolve(found, who.name, resolution)
    except Refused as refused:
        await campus.office.record(who.name, "alarm.resolve", alarm_id, refused.code, address_of(request))
        raise _problem(refused, who) from None
    await campus.office.record(who.name, "alarm.resolve", alarm_id, "done", address_of(request))
    (item,) = await _shown(campus, [taken], people=who.sees_people)
    return Response(item, media_type=_JSON)


async def _of(campus: Campus, alarm_id: str, who: Principal) -> Alarm:
    found = await campus.alarm_desk.find(alarm_id)
    if not (who.has(ON_DUTY) or kind_of(found.kind, campus.alarm_levels).fault):
        raise Refused(403, "not_allowed")
    return found


def _problem(refused: Refused, who: Principal) -> Problem:
    params = refused.params
    if "by" in params and not who.sees_people:
        params = params | {"by": None}
    headers = {"Retry-After": "2"} if refused.status == 503 else None
    return Problem(refused.status, refused.code, params, headers)


async def _shown(campus: Campus, found: list[Alarm], *, people: bool) -> list[bytes]:
    named = {row["device_id"]: naming_of(row) for row in await campus.registry.devices()} if found else {}
    views = [alarm_view(one, named.get(one.source), campus.alarm_levels) for one in found]
    return [encode(view, people=people) for view in views]


def _step(step: dict[str, Any], *, people: bool) -> dict[str, Any]:
    return {
        "step": step["step"],
        "at": utc_text(step["at_ns"]),
        "by": (step["operator"] or None) if people else None,
        "cause": (step["cause"] or None) if people else None,
        "note": (step["note"] or None) if people else None,
        "position": step["position"],
    }
