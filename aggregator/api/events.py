"""Events: everything the ledger holds, filtered, page by page."""

import re
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Query, Response

from aggregator.accounts import Principal, Role
from aggregator.api.cursor import make_cursor, read_cursor
from aggregator.api.guard import CampusOf, require
from aggregator.api.moments import moment_ns
from aggregator.api.problems import Problem
from aggregator.ledger import Filter
from aggregator.live import encode_row
from wire.topics import Lane

router = APIRouter(tags=["events"])

READERS: Final = (Role.GUARD, Role.LEAD, Role.TEACHER, Role.ATTENDANCE, Role.OPS, Role.DISTRICT, Role.ADMIN)
PAGE_MAX: Final = 1000
_EVENT_ID: Final = re.compile("[0-9a-f]{32}")
_CURSOR: Final = re.compile("p([0-9]{1,18})")

Text = Annotated[str | None, Query(max_length=128)]


@router.get("/events")
async def events(  # noqa: PLR0917  query parameters are given by name
    campus: CampusOf,
    principal: Annotated[Principal, require(*READERS)],
    device: Text = None,
    edge: Text = None,
    topic: Text = None,
    lane: Annotated[Lane | None, Query()] = None,
    kind: Text = None,
    since: Text = None,
    until: Text = None,
    historical: Annotated[bool | None, Query()] = None,
    order: Annotated[str, Query(pattern="^(asc|desc)$")] = "desc",
    limit: Annotated[int, Query(ge=1, le=PAGE_MAX)] = 100,
    cursor: Text = None,
) -> Response:
    """A page, newest first. topic: whole segments from the front. since, until: RFC 3339 with offset, of `occurred`.

    next: give it back as `cursor` for the page after; null at the end. Rows that arrive meanwhile move no page.
    """
    wanted = Filter(
        device_id=device,
        edge=edge,
        topic=topic,
        lane=lane,
        kind=kind,
        since_ns=_moment("since", since),
        until_ns=_moment("until", until),
        historical=historical,
    )
    beyond = _position(cursor)
    rows = await campus.ledger.page(wanted, beyond=beyond, descending=order == "desc", limit=limit)
    items = b",".join(encode_row(row, people=principal.sees_people, book=principal.sees_book) for row in rows)
    following = msgspec.json.encode(make_cursor(f"p{rows[-1].position}") if len(rows) == limit else None)
    return Response(b'{"items":[' + items + b'],"next":' + following + b"}", media_type="application/json")


@router.get("/events/{event_id}")
async def event(event_id: str, campus: CampusOf, principal: Annotated[Principal, require(*READERS)]) -> Response:
    """One record by its permanent id."""
    row = await campus.ledger.event(event_id) if _EVENT_ID.fullmatch(event_id) else None
    if row is None:
        raise Problem(404, "unknown_event", {"event_id": event_id[:64]})
    return Response(
        encode_row(row, people=principal.sees_people, book=principal.sees_book), media_type="application/json"
    )


def _moment(parameter: str, text: str | None) -> int | None:
    return None if text is None else moment_ns(parameter, text)


def _position(cursor: str | None) -> int | None:
    return None if cursor is None else int(read_cursor(cursor, _CURSOR)[0])
