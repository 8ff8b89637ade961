"""Documents for boxes: what each ought to have, what it says it has, and a new version."""

from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Request

from aggregator.accounts import Principal, Role
from aggregator.api.devices import WATCHERS
from aggregator.api.guard import CampusOf, address_of, require
from aggregator.api.problems import Problem
from aggregator.documents import DocumentHead, DocumentMalformed, UnknownDocument
from wire.clock import utc_text
from wire.documents import DOCUMENT_BYTES_MAX

router = APIRouter(tags=["documents"])


@router.get("/edges/{edge}/documents")
async def documents(edge: str, campus: CampusOf, _who: Annotated[Principal, require(*WATCHERS)]) -> dict[str, Any]:
    """All documents of a box. in_force: the version it last told; null when it told none."""
    in_force = campus.courier.in_force(edge)
    return {
        "items": [_shown(head, in_force.get(head.name)) for head in await campus.archive.of_edge(edge)],
        "next": None,
    }


@router.get("/edges/{edge}/documents/{name}")
async def document(
    edge: str, name: str, campus: CampusOf, _who: Annotated[Principal, require(*WATCHERS)]
) -> dict[str, Any]:
    """One document as it is wanted."""
    found = await campus.archive.get(edge, name)
    if found is None:
        raise Problem(404, "unknown_document", {"document": name[:64]})
    shown = _shown(found.head, campus.courier.in_force(edge).get(name))
    return {**shown, "content": msgspec.json.decode(found.body)}


@router.put("/edges/{edge}/documents/{name}", status_code=202)
async def put_document(
    edge: str,
    name: str,
    request: Request,
    campus: CampusOf,
    principal: Annotated[Principal, require(Role.OPS, Role.ADMIN)],
) -> dict[str, Any]:
    """A new version, from the body. 202: the box gets it as soon as it can be reached, however long that takes."""
    if edge not in {row["edge"] for row in await campus.enrolment.edges()}:
        raise Problem(404, "unknown_edge", {"edge": edge[:64]})
    body = await _body(request)
    try:
        head = await campus.archive.put(edge, name, body, principal.name)
    except UnknownDocument:
        raise Problem(404, "unknown_document", {"document": name[:64]}) from None
    except DocumentMalformed as error:
        raise Problem(422, "bad_document", {"cause": str(error)[:256]}) from None
    await campus.office.record(
        principal.name, "document.put", f"{edge}/{name}/{head.version}", "done", address_of(request)
    )
    return _shown(head, campus.courier.in_force(edge).get(name))


async def _body(request: Request) -> bytes:
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > DOCUMENT_BYTES_MAX:
            raise Problem(413, "too_large", {"limit": DOCUMENT_BYTES_MAX})
    return body


def _shown(head: DocumentHead, in_force: int | None) -> dict[str, Any]:
    return {
        "name": head.name,
        "version": head.version,
        "sha256": head.sha256,
        "author": head.author,
        "created": utc_text(head.created_ns),
        "in_force": in_force,
        "current": in_force == head.version,
    }
