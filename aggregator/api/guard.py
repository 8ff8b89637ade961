"""Who may call a route. One dependency, `require`, stands on every route; a test walks all routes and counts.

Three kinds of credential: a person's session in the cookie, a program's token or a box's one-time token or the set-up
code in `Authorization: Bearer`. A cookie is only good for unsafe methods from our own pages (Origin).
"""

from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import Annotated, Any, Final
from urllib.parse import urlsplit

from fastapi import Depends, Request

from aggregator.accounts import EVERYWHERE, Principal, Role
from aggregator.api.campus import Campus
from aggregator.api.problems import Problem

COOKIE: Final = "campus_session"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
ANYBODY: Final = tuple(Role)


class Credential(StrEnum):
    """What a route asks for."""

    ACCOUNT = "account"  # a session or an API token with one of the roles
    NONE = "none"  # health alone
    SIGN_IN = "sign_in"  # name and password in the body
    SETUP = "setup"  # the set-up code
    ENROLMENT = "enrolment"  # a box's one-time token


def campus_of(request: Request) -> Campus:
    """The campus this application serves."""
    campus: Campus = request.app.state.campus
    return campus


class Requirement:
    """The dependency itself; a test reads what it asks for."""

    def __init__(self, roles: tuple[Role, ...], credential: Credential) -> None:
        self.roles = roles
        self.credential = credential

    async def __call__(self, request: Request) -> Principal:
        """The caller. Raises Problem 401 or 403."""
        campus = campus_of(request)
        match self.credential:
            case Credential.NONE | Credential.SIGN_IN:
                _same_origin(request)
                return Principal("user", "", frozenset(), EVERYWHERE)
            case Credential.SETUP:
                return Principal("setup", "", frozenset(), EVERYWHERE, _bearer(request))
            case Credential.ENROLMENT:
                return Principal("enrolment", "", frozenset(), EVERYWHERE, _bearer(request))
            case _:
                principal = await _account(request, campus, use=True)
        if not principal.has(self.roles) or not principal.scope.covers(campus.name):
            raise Problem(403, "not_allowed")
        return principal


def require(*roles: Role, credential: Credential = Credential.ACCOUNT) -> Any:  # noqa: ANN401  FastAPI's own marker
    """`Depends` on a caller with one of the roles, for the campus of this server."""
    return Depends(Requirement(roles, credential))


async def _account(request: Request, campus: Campus, *, use: bool) -> Principal:
    if "authorization" in request.headers:
        principal = await campus.office.token(_bearer(request))
    else:
        _same_origin(request)
        principal = await campus.office.session(request.cookies.get(COOKIE, ""), use=use)
    if principal is None:
        raise Problem(401, "not_signed_in", headers={"WWW-Authenticate": "Bearer"})
    return principal


async def still(request: Request, principal: Principal) -> bool:
    """Whether a request that goes on is still that of the same caller, with the same roles. Looking is no use of it."""
    try:
        return await _account(request, campus_of(request), use=False) == principal
    except Problem:
        return False


def _bearer(request: Request) -> str:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Problem(401, "not_signed_in", headers={"WWW-Authenticate": "Bearer"})
    return secret.strip()


def _same_origin(request: Request) -> None:
    """A page of somebody else must not act with our cookie. Programs send no Origin and no cookie."""
    origin = request.headers.get("origin")
    if request.method in SAFE_METHODS or origin is None:
        return
    if urlsplit(origin).netloc != request.headers.get("host"):
        raise Problem(403, "foreign_origin")


def address_of(request: Request) -> str:
    """The caller's address, for the book and for counting tries."""
    return request.client.host if request.client else ""


CampusOf = Annotated[Campus, Depends(campus_of)]
Handler = Callable[..., Awaitable[Any]]
