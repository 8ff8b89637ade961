"""Doors, as the live page shows them."""

from typing import Annotated

from fastapi import APIRouter, Response

from aggregator.accounts import Principal
from aggregator.api.devices import WATCHERS
from aggregator.api.guard import CampusOf, require
from aggregator.api.live import readable
from aggregator.api.problems import Problem
from aggregator.live.shapes import encode

router = APIRouter(tags=["doors"])


@router.get("/doors")
async def doors(campus: CampusOf, who: Annotated[Principal, require(*WATCHERS)]) -> Response:
    """All doors, by device."""
    with readable():
        known = await campus.hub.doors()
    items = b",".join(encode(known[device], people=who.sees_people) for device in sorted(known))
    return Response(b'{"items":[' + items + b'],"next":null}', media_type="application/json")


@router.get("/doors/{edge}/{name}")
async def door(edge: str, name: str, campus: CampusOf, who: Annotated[Principal, require(*WATCHERS)]) -> Response:
    """One door."""
    with readable():
        found = (await campus.hub.doors()).get(f"{edge}/{name}")
    if found is None:
        raise Problem(404, "unknown_door", {"device": f"{edge}/{name}"[:128]})
    return Response(encode(found, people=who.sees_people), media_type="application/json")
