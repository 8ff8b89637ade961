"""Set-up, sign-in, tokens, people, the book; and how a box joins."""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from aggregator.accounts import SEES_BOOK, USER_NAME, Principal, Role, Scope, SignInRefused, UnknownAccount
from aggregator.api.cursor import make_cursor, read_cursor
from aggregator.api.guard import ANYBODY, COOKIE, CampusOf, Credential, address_of, require
from aggregator.api.problems import Problem
from aggregator.enrolment import EnrolmentRefused
from wire.clock import utc_text

router = APIRouter(tags=["accounts"])

UserName = Annotated[str, Field(pattern=USER_NAME)]
CampusName = Annotated[str, Field(pattern=r"^(\*|[a-z0-9][a-z0-9-]{0,62})$")]
Campuses = Annotated[list[CampusName], Field(min_length=1, max_length=256)]
Password = Annotated[str, Field(min_length=10, max_length=256)]
INT64_MAX: Final = 2**63 - 1
_CURSOR: Final = re.compile(r"([0-9]{19})\.([0-9a-f]{32})")


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class NewAdmin(_Body):
    """The first administrator."""

    name: UserName
    password: Password


class SignIn(_Body):
    """A person at the door."""

    name: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=256)]


class NewUser(_Body):
    """A person with roles."""

    name: UserName
    password: Password
    roles: Annotated[list[Role], Field(min_length=1)]
    campuses: Campuses = Field(default_factory=lambda: ["*"])


class NewToken(_Body):
    """A token for a program."""

    name: UserName
    roles: Annotated[list[Role], Field(min_length=1)]
    campuses: Campuses = Field(default_factory=lambda: ["*"])
    valid_days: Annotated[int, Field(ge=1, le=3650)] = 365


class Join(_Body):
    """A box with the public half of the key it made."""

    edge: Annotated[str, Field(max_length=63)]
    public_key: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    software: Annotated[str, Field(max_length=64)] = ""


@router.post("/setup", status_code=204)
async def setup(
    body: NewAdmin,
    request: Request,
    campus: CampusOf,
    principal: Annotated[Principal, require(credential=Credential.SETUP)],
) -> None:
    """Make the first administrator with the set-up code as bearer."""
    try:
        await campus.office.complete_setup(principal.id, body.name, body.password, address_of(request))
    except SignInRefused:
        raise Problem(403, "setup_refused") from None


@router.post("/session", dependencies=[require(credential=Credential.SIGN_IN)], status_code=204)
async def sign_in(body: SignIn, request: Request, campus: CampusOf) -> Response:
    """Sign in; the answer sets the session cookie."""
    try:
        secret = await campus.office.sign_in(body.name, body.password, address_of(request))
    except SignInRefused as refused:
        headers = {"Retry-After": str(int(refused.wait_s) + 1)} if refused.wait_s else {}
        raise Problem(429 if refused.wait_s else 401, "sign_in_refused", headers=headers) from None
    response = Response(status_code=204)
    response.set_cookie(COOKIE, secret, httponly=True, samesite="strict", secure=campus.secure_cookies, path="/")
    return response


@router.delete("/session", status_code=204)
async def sign_out(request: Request, campus: CampusOf, principal: Annotated[Principal, require(*ANYBODY)]) -> Response:
    """Sign out."""
    await campus.office.sign_out(request.cookies.get(COOKIE, ""))
    await campus.office.record(principal.name, "sign_out", principal.name, "done", address_of(request))
    response = Response(status_code=204)
    response.delete_cookie(COOKIE, path="/")
    return response


@router.get("/me")
async def me(campus: CampusOf, principal: Annotated[Principal, require(*ANYBODY)]) -> dict[str, Any]:
    """Who I am here."""
    return {
        "name": principal.name,
        "kind": principal.kind,
        "roles": sorted(principal.roles),
        "campus": {
            "name": campus.name,
            "display_name": campus.display_name,
            "display_name_en": campus.display_name_en,
            "zone": campus.zone,
        },
    }


@router.get("/users", dependencies=[require(Role.ADMIN)])
async def users(campus: CampusOf) -> dict[str, Any]:
    """Everybody with an account."""
    return {"items": [_account(row) for row in await campus.office.users()], "next": None}


@router.post("/users", status_code=201)
async def add_user(
    body: NewUser, request: Request, campus: CampusOf, principal: Annotated[Principal, require(Role.ADMIN)]
) -> dict[str, str]:
    """Give somebody an account. 409 when the name is taken."""
    try:
        await campus.office.add_user(body.name, body.password, body.roles, Scope(frozenset(body.campuses)))
    except UnknownAccount:
        raise Problem(409, "name_taken", {"name": body.name}) from None
    await campus.office.record(principal.name, "user.add", body.name, "done", address_of(request))
    return {"name": body.name}


@router.get("/tokens", dependencies=[require(Role.ADMIN)])
async def tokens(campus: CampusOf) -> dict[str, Any]:
    """All tokens; never the secret."""
    return {"items": [_account(row) for row in await campus.office.tokens()], "next": None}


@router.post("/tokens", status_code=201)
async def add_token(
    body: NewToken, request: Request, campus: CampusOf, principal: Annotated[Principal, require(Role.ADMIN)]
) -> dict[str, str]:
    """Make a token; the secret is in this answer and nowhere else."""
    scope = Scope(frozenset(body.campuses))
    secret = await campus.office.create_token(body.name, body.roles, scope, valid_days=body.valid_days)
    await campus.office.record(principal.name, "token.create", body.name, "done", address_of(request))
    return {"name": body.name, "token": secret}


@router.delete("/tokens/{token_id}", status_code=204)
async def revoke_token(
    token_id: str, request: Request, campus: CampusOf, principal: Annotated[Principal, require(Role.ADMIN)]
) -> None:
    """From now on it opens nothing."""
    try:
        await campus.office.revoke_token(token_id)
    except UnknownAccount:
        raise Problem(404, "unknown_token", {"id": token_id[:64]}) from None
    await campus.office.record(principal.name, "token.revoke", token_id, "done", address_of(request))


@router.get("/audit", dependencies=[require(*SEES_BOOK)])
async def audit(
    campus: CampusOf,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    cursor: Annotated[str | None, Query(max_length=128)] = None,
) -> dict[str, Any]:
    """The book, newest first; next goes into `cursor`."""
    before = (str(INT64_MAX), "") if cursor is None else read_cursor(cursor, _CURSOR)
    rows = await campus.office.audit(int(before[0]), limit, before_id=before[1])
    items = [{**{name: row[name] for name in row if name != "at_ns"}, "at": utc_text(row["at_ns"])} for row in rows]
    return {"items": items, "next": _cursor(rows[-1]) if len(rows) == limit else None}


@router.post("/enrol")
async def enrol(
    body: Join,
    request: Request,
    campus: CampusOf,
    principal: Annotated[Principal, require(credential=Credential.ENROLMENT)],
) -> dict[str, Any]:
    """A box joins with its one-time token as bearer. The answer holds its secrets, once."""
    try:
        answer = await campus.enrolment.redeem(body.edge, principal.id, body.public_key, body.software)
    except EnrolmentRefused as refused:
        await campus.office.refused("@enrolment", "edge.enrol", body.edge, refused.code, address_of(request))
        raise Problem(403, refused.code) from None
    await campus.office.record("@enrolment", "edge.enrol", body.edge, "done", address_of(request))
    return {
        "campus": answer.campus,
        "broker": {
            "host": answer.broker.host,
            "port": answer.broker.port,
            "username": answer.username,
            "password": answer.broker_password,
        },
        "campus_key": answer.campus_key.hex(),
        "aggregator_public_key": answer.public_key,
    }


def _cursor(entry: dict[str, Any]) -> str:
    return make_cursor(f"{entry['at_ns']:019d}.{entry['id']}")


def _account(row: dict[str, Any]) -> dict[str, Any]:
    view: dict[str, Any] = {}
    for name, value in row.items():
        if name.endswith("_ns"):
            view[name.removesuffix("_ns")] = None if value is None else utc_text(value)
        elif name in {"roles", "scope"}:
            view["campuses" if name == "scope" else name] = value.split(",")
        else:
            view[name] = bool(value) if name == "disabled" else value
    return view
