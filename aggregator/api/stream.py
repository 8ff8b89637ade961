"""Server-sent events: what is new, from a position on, without a hole.

    event: hello    data: {"campus": …, "head": 41}
    id: 57          data: {"items": [ … ], "position": 57}      up to 57 the watcher has all it asked for
    : quiet                                                      every 15 s without news

A browser that reconnects says `Last-Event-ID` by itself; a program may say `?after=`. Without either the stream begins
with what comes next. A stream ends when its caller's session or token does, before anything more is shown.
"""

import re
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import StreamingResponse

from aggregator.accounts import Principal, Role
from aggregator.admission.group import STORE_FAILURES
from aggregator.api.guard import CampusOf, campus_of, require, still
from aggregator.api.problems import Problem
from aggregator.live.feed import Wanted
from wire.clock import NS_PER_S
from wire.topics import Lane

router = APIRouter(tags=["stream"])

ASK_AGAIN_S: Final = 1
_POSITION: Final = re.compile("[0-9]{1,19}")
WATCHERS: Final = (Role.WALL, Role.GUARD, Role.LEAD, Role.OPS, Role.DISTRICT, Role.ADMIN)


@router.get("/stream")
async def stream(  # noqa: PLR0917  query parameters are given by name
    request: Request,
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
    frames = _frames(request, principal, start, head, Wanted(topic, device, lane))
    return StreamingResponse(frames, media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})


async def _frames(
    request: Request, principal: Principal, start: int, head: int, wanted: Wanted
) -> AsyncGenerator[bytes, None]:
    campus = campus_of(request)
    yield b"event: hello\ndata: " + msgspec.json.encode({"campus": campus.name, "head": head}) + b"\n\n"
    position, asked_ns = start, campus.clock.mono_ns()
    watch = campus.feed.watch(start, wanted, people=principal.sees_people, book=principal.sees_book)
    # When the ledger cannot be read the stream ends, and its reader comes back with the last id it has.
    with suppress(*STORE_FAILURES):
        async with aclosing(watch) as news:
            async for frame in news:
                if campus.clock.mono_ns() - asked_ns >= ASK_AGAIN_S * NS_PER_S:
                    if not await still(request, principal):
                        return
                    asked_ns = campus.clock.mono_ns()
                if frame.position == position and not frame.items:
                    yield b": quiet\n\n"
                    continue
                position = frame.position
                body = b'{"items":[' + b",".join(frame.items) + b'],"position":%d}' % position
                yield b"id: %d\ndata: " % position + body + b"\n\n"
