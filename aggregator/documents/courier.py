"""Sends a box what it lacks until the box says that it has it.

Driven by what boxes say of themselves: a hello or a heartbeat with an older version than the wanted one is a reason to
send, and the only one. A box that refuses a document (it says so with Document/Applied) goes on naming the older
version; it gets the document again after 10 s, then after twice as long, up to 10 min, until there is a newer one.
"""

import asyncio
import logging
import sqlite3
from base64 import b64encode
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from aggregator.documents.archive import KINDS, VERSION_MAX, Archive, Document
from aggregator.storage import StorageError
from wire import codec
from wire.clock import NS_PER_S, Clock
from wire.delivery import DOCUMENT_CHUNK_BYTES_MAX, DocumentChunk
from wire.mqtt_link import LinkError, LinkRefused
from wire.topics import Down, down_topic

log = logging.getLogger(__name__)

AGAIN_S_MIN: Final = 10
AGAIN_S_MAX: Final = 600
LOOK_EVERY_S: Final = 2.0
DIGITS_MAX: Final = len(str(VERSION_MAX))

Send = Callable[[str, Down, bytes], Awaitable[None]]


@dataclass(slots=True)
class _Sent:
    version: int
    due_ns: int
    wait_s: int


class Courier:
    """See the module. Full: there is nothing to fill; of each box only what it last said is kept."""

    def __init__(
        self, archive: Archive, *, campus: str, clock: Clock, sign: Callable[[bytes], bytes], send: Send
    ) -> None:
        self._archive = archive
        self._campus = campus
        self._clock = clock
        self._sign = sign
        self._send = send
        self._said: dict[str, dict[str, int]] = {}
        self._fresh: set[str] = set()
        self._sent: dict[tuple[str, str], _Sent] = {}
        self._floors: dict[tuple[str, str], int] = {}
        self._refused_told: set[str] = set()
        self.sent_documents = 0

    async def wanted(self, edge: str) -> dict[str, str]:
        """As a welcome tells it: name -> version."""
        return {name: str(version) for name, version in (await self._archive.wanted()).get(edge, {}).items()}

    def in_force(self, edge: str) -> Mapping[str, int]:
        """What a box last said of itself."""
        return self._said.get(edge, {})

    def heard(self, edge: str, documents: Mapping[str, str]) -> None:
        """A hello or a heartbeat of a welcomed box."""
        # Of other names nothing is kept: a box may say as many as fit into a frame, each time others.
        said = {name: _number(text) for name, text in documents.items() if name in KINDS}
        self._said[edge] = {name: number for name, number in said.items() if number is not None}
        self._fresh.add(edge)

    async def run(self) -> None:
        """Look every 2 s after the boxes that have said something, for ever."""
        failing = False
        while True:
            try:
                await self.look()
                if failing:
                    log.info("documents can be read again")
                failing = False
            except (sqlite3.Error, StorageError) as error:
                if not failing:
                    log.warning("documents cannot be read", extra={"cause": str(error)})
                failing = True
            await asyncio.sleep(LOOK_EVERY_S)

    async def look(self) -> None:
        """Send what is due. Raises only what the archive raises."""
        if not self._fresh:
            return
        wanted = await self._archive.wanted()
        # Only now: what could not be looked up stays to be looked at.
        fresh, self._fresh = self._fresh, set()
        for edge in sorted(fresh):
            said = self._said[edge]
            for name, version in said.items():
                await self._remember(edge, name, version)
            for name, version in wanted.get(edge, {}).items():
                if said.get(name, 0) < version and self._is_due(edge, name, version):
                    await self._deliver(edge, name)

    async def _remember(self, edge: str, name: str, version: int) -> None:
        if version > self._floors.get((edge, name), 0):
            await self._archive.told(edge, name, version)
            self._floors[edge, name] = version

    def _is_due(self, edge: str, name: str, version: int) -> bool:
        now_ns = self._clock.mono_ns()
        sent = self._sent.get((edge, name))
        if sent is None or sent.version != version:
            self._sent[edge, name] = _Sent(version, now_ns + AGAIN_S_MIN * NS_PER_S, AGAIN_S_MIN)
            return True
        if now_ns < sent.due_ns:
            return False
        sent.wait_s = min(sent.wait_s * 2, AGAIN_S_MAX)
        sent.due_ns = now_ns + sent.wait_s * NS_PER_S
        return True

    async def _deliver(self, edge: str, name: str) -> None:
        document = await self._archive.get(edge, name)
        if document is None:
            return
        try:
            for frame in self._frames(edge, document):
                await self._send(edge, Down.DOCUMENT, frame)
        except LinkRefused as refused:
            if edge not in self._refused_told:
                self._refused_told.add(edge)
                log.warning("the broker refuses our documents", extra={"edge": edge, "cause": str(refused)})
        except LinkError:
            # The broker's outage is told where the link is kept; the box's next word brings us back here.
            return
        else:
            self.sent_documents += 1
            log.info("document sent", extra={"edge": edge, "document": name, "version": document.head.version})

    def _frames(self, edge: str, document: Document) -> list[bytes]:
        body, head = document.body, document.head
        topic = down_topic(self._campus, edge, Down.DOCUMENT)
        parts = [
            body[at : at + DOCUMENT_CHUNK_BYTES_MAX] for at in range(0, max(len(body), 1), DOCUMENT_CHUNK_BYTES_MAX)
        ]
        frames = []
        for index, part in enumerate(parts):
            chunk = DocumentChunk(
                name=head.name,
                version=head.version,
                sha256=head.sha256,
                index=index,
                chunks=len(parts),
                data=b64encode(part).decode(),
            )
            line = codec.encode_line(chunk)
            signature = self._sign(codec.signing_input(topic, line)).hex()
            frames.append(codec.encode_signed(DocumentChunk, line, signature))
        return frames


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX else None
