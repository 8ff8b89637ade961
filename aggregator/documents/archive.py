"""Every version of every document, in `documents.sqlite`.

A number is given out once. After a restore from a backup boxes may hold higher numbers than the archive; it remembers
what they say, so that the next version is newer for them, too.
"""

import hashlib
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from aggregator.storage import Database, Statements
from wire.clock import Clock
from wire.documents import DOCUMENT_BYTES_MAX, TUNING, read_tuning
from wire.errors import Malformed

SQL: Final = Statements.load("aggregator.documents")
VERSION_MAX: Final = 2**53

# Name -> reads it or raises Malformed, so that a mistake is told to whoever makes it and not by a box in the night.
KINDS: Final[Mapping[str, Callable[[bytes], object]]] = {TUNING: read_tuning}


class UnknownDocument(LookupError):
    """There is no kind of document of that name."""


class DocumentMalformed(ValueError):
    """A document that no box could put in force; the text names the field."""


@dataclass(frozen=True, slots=True)
class DocumentHead:
    """One version of one document. sha256: hex, over the body."""

    edge: str
    name: str
    version: int
    sha256: str
    author: str
    created_ns: int


@dataclass(frozen=True, slots=True)
class Document:
    """With what it says."""

    head: DocumentHead
    body: bytes


class Archive:
    """See the module."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def put(self, edge: str, name: str, body: bytes, author: str) -> DocumentHead:
        """A new version for one box. Raises UnknownDocument, DocumentMalformed."""
        read = KINDS.get(name)
        if read is None:
            raise UnknownDocument(name)
        if len(body) > DOCUMENT_BYTES_MAX:
            raise DocumentMalformed(f"more than {DOCUMENT_BYTES_MAX} bytes")
        try:
            read(body)
        except Malformed as error:
            raise DocumentMalformed(str(error)) from None
        sha256, created_ns = hashlib.sha256(body).hexdigest(), self._clock.wall_ns()

        def write(connection: sqlite3.Connection) -> DocumentHead:
            place = {"edge": edge, "name": name}
            version = int(connection.execute(SQL["highest"], place).fetchone()[0]) + 1
            head = DocumentHead(edge, name, version, sha256, author, created_ns)
            params = {**place, "version": version, "sha256": sha256, "body": body}
            connection.execute(SQL["add"], {**params, "author": author[:64], "created_ns": created_ns})
            return head

        return await self._db.write(write)

    async def get(self, edge: str, name: str) -> Document | None:
        """The version that is wanted."""
        rows = await self._fetch("newest", {"edge": edge, "name": name})
        if not rows:
            return None
        row = rows[0]
        return Document(_head(edge, row), bytes(row["body"]))

    async def of_edge(self, edge: str) -> list[DocumentHead]:
        """What a box ought to have, by name."""
        return [_head(edge, row) for row in await self._fetch("newest_of_edge", {"edge": edge})]

    async def wanted(self) -> dict[str, dict[str, int]]:
        """Edge -> name -> version, of all boxes."""
        wanted: dict[str, dict[str, int]] = {}
        for row in await self._fetch("wanted", {}):
            wanted.setdefault(row["edge"], {})[row["name"]] = int(row["version"])
        return wanted

    async def told(self, edge: str, name: str, version: int) -> None:
        """A box says that it has a version; numbers up to it are never given out again."""
        params = {"edge": edge, "name": name, "version": min(version, VERSION_MAX)}
        await self._db.write(lambda connection: connection.execute(SQL["told"], params))

    async def _fetch(self, statement: str, params: Mapping[str, object]) -> list[dict[str, Any]]:
        async with self._db.read() as connection, connection.execute(SQL[statement], dict(params)) as cursor:
            return [dict(row) for row in await cursor.fetchall()]


def _head(edge: str, row: Mapping[str, Any]) -> DocumentHead:
    return DocumentHead(edge, row["name"], row["version"], row["sha256"], row["author"], row["created_ns"])
