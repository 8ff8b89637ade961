"""Who may open a page. As `guard.require`, but somebody who is not signed in is led to the sign-in page and back."""

from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import Depends, Request

from aggregator.accounts import Principal, Role
from aggregator.api.guard import Credential, Requirement
from aggregator.api.problems import Problem

SIGN_IN = "/sign-in"


class SignInFirst(Exception):
    """Raised on the way to a page; the answer leads to the sign-in page. back: where to go on after it."""

    def __init__(self, back: str) -> None:
        super().__init__(back)
        self.location = SIGN_IN if back == "/" else f"{SIGN_IN}?next={quote(back, safe='/')}"


class NotForYou(Exception):
    """Raised on the way to a page that the caller's roles do not open."""


class Entrance(Requirement):
    """The dependency itself. A program that shows a token is answered as at every other route."""

    async def __call__(self, request: Request) -> Principal:
        """The caller. Raises SignInFirst, NotForYou; Problem for a program."""
        try:
            return await super().__call__(request)
        except Problem as problem:
            if "authorization" in request.headers or request.method != "GET":
                raise
            if problem.status == 401:
                query = f"?{request.url.query}" if request.url.query else ""
                raise SignInFirst(request.url.path + query) from None
            raise NotForYou from None


def entrance(*roles: Role) -> Any:  # noqa: ANN401  FastAPI's own marker
    """`Depends` on a caller with one of the roles."""
    return Depends(Entrance(roles, Credential.ACCOUNT))


def way_back(wanted: str | None) -> str:
    """Where to go after signing in: a path of ours, never another's page."""
    if not wanted or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return "/"
    parts = urlsplit(wanted)
    return "/" if parts.scheme or parts.netloc else wanted
