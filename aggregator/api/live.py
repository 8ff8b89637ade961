"""The live page's data: everything at once, then what changes, as server-sent events.

    event: hello    data: {"campus": …, "build": …, "position": 41}
    id: 57          data: {"position": 57, "at": …, "doors": [ … ], "alarms": [ … ], "exceptions": [ … ], "kpi": { … }}
    event: gap      data: {}         something was missed and is no longer known: begin anew with the snapshot

At most five frames a second, at least one. `?after=` (or a browser's `Last-Event-ID`) says what the page knows; it is
told the rest in one frame. A stream ends when its caller's session or token does, before anything more is shown.
"""

import re
from collections.abc import AsyncGenerator, Generator
from contextlib import aclosing, contextmanager, suppress
from typing import Annotated, Final

import msgspec
from fastapi import APIRouter, Header, Query, Request, Response
from fastapi.responses import StreamingResponse

from aggregator.accounts import Principal
from aggregator.admission.group import STORE_FAILURES
from aggregator.api.devices import WATCHERS
from aggregator.api.guard import CampusOf, campus_of, require, still
from aggregator.api.problems import Problem
from aggregator.live import Unreadable
from aggregator.live.shapes import encode
from wire.clock import NS_PER_S

router = APIRouter(tags=["live"])

ASK_AGAIN_S: Final = 1
_POSITION: Final = re.compile("[0-9]{1,18}")


@contextmanager
def readable() -> Generator[None, None, None]:
    """Turn a picture that cannot be had now into an answer."""
    try:
        yield
    except Unreadable:
        raise Problem(503, "view_behind", headers={"Retry-After": "2"}) from None


@router.get("/live")
async def live(campus: CampusOf, who: Annotated[Principal, require(*WATCHERS)]) -> Response:
    """Doors, open alarms, the newest exceptions, counters, and the position to go on from."""
    with readable():
        news = await campus.hub.snapshot()
    return Response(encode(news, people=who.sees_people), media_type="application/json")


@router.get("/live/stream")
async def stream(
    request: Request,
    campus: CampusOf,
    principal: Annotated[Principal, require(*WATCHERS)],
    after: Annotated[int | None, Query(ge=0, le=10**18)] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> StreamingResponse:
    """See the module."""
    if last_event_id is not None:
        if not _POSITION.fullmatch(last_event_id):
            raise Problem(422, "bad_last_event_id")
        after = int(last_event_id)
    with readable():
        position = await campus.hub.position()
    return StreamingResponse(
        _frames(request, principal, after, position),
        media_type="text/event-stream",
        headers={"X-Accel-Buffering": "no"},
    )


async def _frames(
    request: Request, principal: Principal, after: int | None, position: int
) -> AsyncGenerator[bytes, None]:
    campus = campus_of(request)
    hello = {"campus": campus.name, "build": campus.build, "position": position}
    yield b"event: hello\ndata: " + msgspec.json.encode(hello) + b"\n\n"
    asked_ns = campus.clock.mono_ns()
    # When the picture cannot be read the stream ends, and its reader comes back with the last id it has.
    with suppress(*STORE_FAILURES, Unreadable):
        async with aclosing(campus.hub.watch(after, people=principal.sees_people)) as frames:
            async for frame in frames:
                if campus.clock.mono_ns() - asked_ns >= ASK_AGAIN_S * NS_PER_S:
                    if not await still(request, principal):
                        return
                    asked_ns = campus.clock.mono_ns()
                yield frame
