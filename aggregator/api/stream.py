"""Server-sent events: what is new, from a position on, without a hole.

    event: hello    data: {"campus": …, "head": 41}
    id: 57          data: {"items": [ … ], "position": 57}      up to 57 the watcher has all it asked for
    : quiet                                                      every 15 s without news

A browser that reconnects says `Last-Event-ID` by itself; a program may say `?after=`. Without either the stream begins
with what comes next.
"""

import re
from collections.abc import AsyncIterator
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from aggregator.accounts import Principal, Role
from aggregator.api.campus import Campus
from aggregator.api.guard import CampusOf, require
from aggregator.api.problems import Problem
from aggregator.live.feed import Wanted
from wire.topics import Lane

router = APIRouter(tags=["stream"])

_POSITION: Final = re.compile("[0-9]{1,19}")
WATCHERS: Final = (Role.WALL, Role.GUARD, Role.LEAD, Role.OPS, Role.DISTRICT, Role.ADMIN)


@router.get("/stream")
async def stream(  # noqa: PLR0917  query parameters are given by name
    campus: CampusOf,
    principal: Annotated[Principal, require(*WATCHERS)],
    after: Annotated[int | None, Query(ge=0)] = None,
    topic: Annotated[str, Query(max_length=128)] = "",
    device: Annotated[str, Query(max_length=128)] = "",
    lane: Annotated[Lane | None, Query()] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """See the module. topic, device, lane: wishes; what may be seen follows from who asks."""
    head = await campus.ledger.head()
    start = head if after is None else after
    if last_event_id is not None:
        if not _POSITION.fullmatch(last_event_id):
            raise Problem(422, "bad_last_event_id")
        start = int(last_event_id)
    frames = _frames(campus, start, head, Wanted(topic, device, lane), people=principal.sees_people)
    return StreamingResponse(frames, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _frames(campus: Campus, start: int, head: int, wanted: Wanted, *, people: bool) -> AsyncIterator[bytes]:
    yield b"event: hello\ndata: " + msgspec.json.encode({"campus": campus.name, "head": head}) + b"\n\n"
    position = start
    async for frame in campus.feed.watch(start, wanted, people=people):
        if frame.position == position and not frame.items:
            yield b": quiet\n\n"
            continue
        position = frame.position
        body = b'{"items":[' + b",".join(frame.items) + b'],"position":%d}' % position
        yield b"id: %d\ndata: " % position + body + b"\n\n"
