"""Commands to devices: ask, and see how it ended."""

import json
import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from aggregator.accounts import Principal, Role
from aggregator.api.cursor import make_cursor, read_cursor
from aggregator.api.devices import WATCHERS
from aggregator.api.guard import CampusOf, address_of, require
from aggregator.api.problems import Problem
from aggregator.commands import Refused
from aggregator.commands import Request as Asking
from wire.clock import utc_text

router = APIRouter(tags=["commands"])

# Who may let somebody through a door; whoever looks after devices may tell them what is harmless twice.
RELEASERS: Final = (Role.GUARD, Role.LEAD, Role.ADMIN)
ASKERS: Final = (*RELEASERS, Role.OPS)
POSITION_MAX: Final = 2**63 - 1
_CURSOR: Final = re.compile("c([0-9]{1,18})")
_KEY: Final = r"^[\x21-\x7e]{8,128}$"

Text = Annotated[str, Field(max_length=128)]
Scalar = bool | int | float | Annotated[str, Field(max_length=256)]


class NewCommand(BaseModel):
    """What is asked of one device, or of several: then each has an outcome of its own under one group."""

    model_config = ConfigDict(extra="forbid", strict=True)

    device: Text = ""
    devices: Annotated[list[Text], Field(max_length=256)] = []
    name: Annotated[str, Field(min_length=1, max_length=64)]
    arguments: Annotated[dict[Annotated[str, Field(max_length=48)], Scalar], Field(max_length=16)] = {}
    reason: Annotated[str, Field(max_length=256)] = ""


@router.post("/commands", status_code=202)
async def ask(
    body: NewCommand,
    request: Request,
    campus: CampusOf,
    principal: Annotated[Principal, require(*ASKERS)],
    idempotency_key: Annotated[str, Header(pattern=_KEY)],
) -> dict[str, Any]:
    """202: it was sent, and how it ends comes on the stream and at `/commands/{id}`. 503: the box is not reachable and
    nothing was sent. The same key with the same body gives the same answer and does nothing twice.
    """
    devices = [*([body.device] if body.device else []), *body.devices]
    if not principal.has(RELEASERS) and await _releases(campus, devices, body.name):
        raise Problem(403, "not_allowed")
    asking = Asking(
        devices=devices,
        name=body.name,
        operator=principal.name,
        reason=body.reason,
        arguments=body.arguments,
        caller=f"{principal.kind}:{principal.name}",
        key=idempotency_key,
    )
    target = ",".join(devices)[:100]
    try:
        answer = await campus.desk.request(asking)
    except Refused as refused:
        await campus.office.record(principal.name, f"command.{body.name}", target, refused.code, address_of(request))
        headers = {"Retry-After": "5"} if refused.status == 503 else None
        raise Problem(refused.status, refused.code, refused.params, headers) from None
    await campus.office.record(principal.name, f"command.{body.name}", target, "sent", address_of(request))
    return answer


@router.get("/commands")
async def commands(  # noqa: PLR0917  query parameters are given by name
    campus: CampusOf,
    who: Annotated[Principal, require(*WATCHERS)],
    device: Annotated[str, Query(max_length=128)] = "",
    group: Annotated[str, Query(max_length=32)] = "",
    state: Annotated[str, Query(pattern="^(|requested|taken|settled)$")] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=128)] = None,
) -> dict[str, Any]:
    """Newest first. state: requested (unconfirmed), taken, settled."""
    before = POSITION_MAX if cursor is None else int(read_cursor(cursor, _CURSOR)[0])
    rows = await campus.commands.page(before=before, limit=limit, device=device, state=state, group_id=group)
    following = make_cursor(f"c{rows[-1]['position']}") if len(rows) == limit else None
    return {"items": [_shown(row, people=who.sees_people) for row in rows], "next": following}


@router.get("/commands/{command_id}")
async def command(command_id: str, campus: CampusOf, who: Annotated[Principal, require(*WATCHERS)]) -> dict[str, Any]:
    """One command."""
    row = await campus.commands.command(command_id)
    if row is None:
        raise Problem(404, "unknown_command", {"id": command_id[:64]})
    return _shown(row, people=who.sees_people)


async def _releases(campus: CampusOf, devices: list[str], name: str) -> bool:
    profiles = {row["device_id"]: row["profile"] for row in await campus.registry.devices()}
    return any(campus.desk.is_release(profiles[device], name) for device in devices if device in profiles)


def _shown(row: dict[str, Any], *, people: bool) -> dict[str, Any]:
    return {
        "id": row["command_id"],
        "group_id": row["group_id"],
        "device": row["device"],
        "name": row["name"],
        "arguments": json.loads(row["arguments"]),
        "operator": row["operator"] if people else None,
        "reason": row["reason"] if people else None,
        "asked": utc_text(row["asked_ns"]),
        "state": row["state"],
        "result": row["result"] or None,
        "end_reason": row["end_reason"],
        "ended": None if row["end_ns"] is None else utc_text(row["end_ns"]),
        "conflicts": row["conflicts"],
    }
