"""The pages, and the files they are made of."""

import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final

from fastapi import APIRouter, FastAPI, Query, Request, Response
from fastapi.responses import HTMLResponse, RedirectResponse

from aggregator.accounts import Principal, Role
from aggregator.admission.group import STORE_FAILURES
from aggregator.api.guard import ANYBODY, COOKIE, CampusOf, Credential, campus_of, require
from aggregator.api.problems import Problem
from aggregator.console import assets, shell
from aggregator.console.entrance import NotForYou, SignInFirst, entrance, way_back
from aggregator.console.shell import WATCHERS, Page
from aggregator.live import Unreadable
from aggregator.live.shapes import encode

router = APIRouter(include_in_schema=False)

READERS: Final = (Role.GUARD, Role.LEAD, Role.TEACHER, Role.ATTENDANCE, Role.OPS, Role.DISTRICT, Role.ADMIN)

PAGES: Final = (
    Page(
        name="live",
        path="/live",
        roles=WATCHERS,
        icon="live",
        section="live",
        key="l",
        style="live",
        keys=(
            ("j", "next"),
            ("k", "previous"),
            ("a", "ack"),
            ("r", "resolve"),
            ("u", "unlock"),
            ("p", "pause"),
            ("m", "mute"),
        ),
    ),
    Page(name="alarms", path="/alarms", roles=WATCHERS, icon="alarm", section="alarms", key="a", style="work"),
    Page(
        name="alarm",
        path="/alarms/{alarm_id}",
        roles=WATCHERS,
        section="alarms",
        style="work",
        keys=(("a", "ack"), ("r", "resolve")),
    ),
    Page(name="health", path="/health", roles=WATCHERS, icon="device", section="health", key="h", style="work"),
    Page(name="device", path="/devices/{edge}/{name}", roles=WATCHERS, section="health", style="work"),
    Page(name="edge", path="/edges/{edge}", roles=WATCHERS, section="health", style="work"),
    Page(name="events", path="/events", roles=READERS, icon="events", section="events", key="e", style="work"),
    Page(name="telemetry", path="/telemetry", roles=WATCHERS, icon="chart", section="telemetry", key="t", style="work"),
)
MENU: Final = tuple(page for page in PAGES if page.icon)
PUBLIC: Final = (
    Page(name="sign-in", path="/sign-in", roles=(), template="entrance.html"),
    Page(name="set-up", path="/set-up", roles=(), template="entrance.html"),
)

# Where each role begins; of several the first that one has.
_LANDING: Final = (
    ((Role.GUARD, Role.LEAD, Role.WALL, Role.ADMIN), "/live"),
    ((Role.OPS, Role.DISTRICT), "/health"),
    ((Role.TEACHER, Role.ATTENDANCE), "/events"),
)
FOREVER: Final = "public, max-age=31536000, immutable"


def landing(principal: Principal) -> str:
    """The first page for somebody's roles."""
    known = {page.path for page in PAGES}
    return next((path for roles, path in _LANDING if principal.has(roles) and path in known), MENU[0].path)


@router.get("/")
async def begin(principal: Annotated[Principal, entrance(*ANYBODY)]) -> Response:
    """To the first page of the caller's roles."""
    return RedirectResponse(landing(principal), 303)


@router.get("/assets/{name}", dependencies=[require(credential=Credential.NONE)])
async def asset(name: str, request: Request) -> Response:
    """One script or style sheet, for ever the same under its name."""
    held = assets.by_name().get(name)
    if held is None:
        raise Problem(404, "not_found")
    headers = {"Cache-Control": FOREVER, "Vary": "Accept-Encoding"}
    body = held.body
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"], body = "gzip", held.packed
    return Response(body, media_type=held.media_type, headers=headers)


@router.get("/sign-in", dependencies=[require(credential=Credential.NONE)])
async def sign_in(
    request: Request, campus: CampusOf, wanted: Annotated[str | None, Query(alias="next", max_length=512)] = None
) -> Response:
    """Name and password; somebody who is signed in goes on at once."""
    back = way_back(wanted)
    if await campus.office.session(request.cookies.get(COOKIE, ""), use=False) is not None:
        return RedirectResponse(back, 303)
    if not await campus.office.users():
        return RedirectResponse("/set-up", 303)
    return shell.render(request, PUBLIC[0], (), data={"next": back})


@router.get("/set-up", dependencies=[require(credential=Credential.NONE)])
async def set_up(request: Request, campus: CampusOf) -> Response:
    """The first administrator, with the code from the log; once there is one, nothing here."""
    if await campus.office.users():
        return RedirectResponse("/sign-in", 303)
    return shell.render(request, PUBLIC[1], ())


def _handler(page: Page) -> Callable[..., Awaitable[HTMLResponse]]:
    async def show(request: Request, principal: Annotated[Principal, entrance(*page.roles)]) -> HTMLResponse:
        data: dict[str, Any] = dict(request.path_params)
        if page.name == "live":
            # The first paint is complete; without a picture the script asks for it until there is one.
            with contextlib.suppress(*STORE_FAILURES, Unreadable):
                news = await campus_of(request).hub.snapshot()
                data["live"] = json.loads(encode(news, people=principal.sees_people))
        return shell.render(request, page, MENU, principal=principal, data=data)

    return show


for _page in PAGES:
    router.add_api_route(_page.path, _handler(_page), name=_page.name)


def add_console(app: FastAPI) -> FastAPI:
    """Put the console into the application of a campus."""
    app.include_router(router)

    async def sign_in_first(_request: Request, error: Exception) -> Response:
        assert isinstance(error, SignInFirst)  # noqa: S101  registered for this type only
        return RedirectResponse(error.location, 303)

    async def not_for_you(request: Request, _error: Exception) -> Response:
        return _notice(request, 403)

    async def not_found(request: Request, _error: Exception) -> Response:
        shown = "text/html" in request.headers.get("accept", "") and not request.url.path.startswith("/api/")
        return _notice(request, 404) if shown else Problem(404, "not_found").response()

    app.add_exception_handler(SignInFirst, sign_in_first)
    app.add_exception_handler(NotForYou, not_for_you)
    app.add_exception_handler(404, not_found)
    return app


def _notice(request: Request, status: int) -> Response:
    return shell.render(request, Page(name="notice", path="", roles=(), status=status), ())
