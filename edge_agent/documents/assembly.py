"""Chunks to whole documents. Pure; bounded by one document under way for each known name.

Chunks may come repeated and in any order. A chunk of a newer version, or of the same version with another hash, begins
anew: the campus has changed its mind.
"""

import hashlib
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Collection
from dataclasses import dataclass, field

from wire.delivery import DocumentChunk
from wire.documents import DOCUMENT_BYTES_MAX
from wire.errors import Malformed


@dataclass(frozen=True, slots=True)
class Whole:
    """A complete document whose hash is right. sha256: hex."""

    name: str
    version: int
    sha256: str
    body: bytes


@dataclass(slots=True)
class _UnderWay:
    version: int
    sha256: str
    chunks: int
    parts: dict[int, bytes] = field(default_factory=dict)
    size: int = 0


class Assembly:
    """See the module."""

    def __init__(self, names: Collection[str]) -> None:
        """names: of the documents that this box knows; others are refused."""
        self._names = frozenset(names)
        self._under_way: dict[str, _UnderWay] = {}

    def take(self, chunk: DocumentChunk) -> Whole | None:
        """The document, when this was the last of its chunks. Raises Malformed; what was there before then stays."""
        if chunk.name not in self._names:
            raise Malformed(f"unknown document {chunk.name!r:.80}")
        if chunk.index >= chunk.chunks:
            raise Malformed("chunk beyond the end of its document")
        data = _data(chunk)
        part = self._part_of(chunk)
        if chunk.index not in part.parts:
            if part.size + len(data) > DOCUMENT_BYTES_MAX:
                del self._under_way[chunk.name]
                raise Malformed(f"document of more than {DOCUMENT_BYTES_MAX} bytes")
            part.parts[chunk.index] = data
            part.size += len(data)
        if len(part.parts) < part.chunks:
            return None
        del self._under_way[chunk.name]
        body = b"".join(part.parts[index] for index in range(part.chunks))
        if hashlib.sha256(body).hexdigest() != part.sha256:
            raise Malformed("document does not have the hash it was announced with")
        return Whole(chunk.name, part.version, part.sha256, body)

    def _part_of(self, chunk: DocumentChunk) -> _UnderWay:
        part = self._under_way.get(chunk.name)
        if part is None or (part.version, part.sha256, part.chunks) != (chunk.version, chunk.sha256, chunk.chunks):
            if part is not None and chunk.version < part.version:
                raise Malformed("chunk of an older version")
            part = self._under_way[chunk.name] = _UnderWay(chunk.version, chunk.sha256, chunk.chunks)
        return part


def _data(chunk: DocumentChunk) -> bytes:
    try:
        return b64decode(chunk.data, validate=True)
    except (Base64Error, ValueError):
        raise Malformed("chunk is not base64 - at `$.data`") from None
