"""What is in force on this box, and where it is kept.

    <folder>/<name>.doc     line 1: {"schema": 1, "version": …, "sha256": …}; then the document as it came

A document is parsed before anything is written, so that what cannot be used never takes the place of what can. The
file is written beside the old one, synced and renamed; then it is handed over. A file that cannot be read at the start
counts as none: the campus hears of no version and sends it again.

Older versions are ignored, for ever, also after a restart: a revocation received once is not forgotten. The same
version with another content is refused and reported, because two campuses (or a restored one) give out equal numbers.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from edge_agent.documents.assembly import Assembly, Whole
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.outbox import Appended
from wire import codec
from wire.clock import Stamp
from wire.delivery import DocumentChunk
from wire.errors import Malformed
from wire.files import replace_file
from wire.records import Event, Scalar

log = logging.getLogger(__name__)

HEAD_BYTES_MAX: Final = 1024


class DocumentRefused(Exception):
    """A document that this box cannot put in force. The text says why, in English, for the campus' log."""


class Intake(Protocol):
    """The intake, as far as this room knows it."""

    async def accept(self, drafts: Sequence[Draft], received: Stamp | None = None) -> list[Appended]:
        """See edge_agent.intake."""


@dataclass(frozen=True, slots=True)
class DocumentKind:
    """A kind of document. parse: raises DocumentRefused. put_in_force: raises nothing."""

    name: str
    parse: Callable[[bytes], Any]
    put_in_force: Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class _InForce:
    version: int
    sha256: str


class Cabinet:
    """See the module."""

    def __init__(
        self,
        folder: Path,
        kinds: Sequence[DocumentKind],
        *,
        edge: str,
        topic: str,
        intake: Intake,
        verify: Callable[[bytes, str], bool],
    ) -> None:
        """topic: where our documents come from, covered by their signature."""
        self._folder = folder
        self._kinds = {kind.name: kind for kind in kinds}
        self._edge = edge
        self._topic = topic
        self._intake = intake
        self._verify = verify
        self._assembly = Assembly(self._kinds)
        self._in_force: dict[str, _InForce] = {}

    def open(self) -> None:
        """Put in force what is on disk."""
        for name, kind in self._kinds.items():
            whole = _read(self._folder / f"{name}.doc", name)
            if whole is None:
                continue
            try:
                content = kind.parse(whole.body)
            except DocumentRefused as refused:
                log.error(  # noqa: TRY400  what happened is all in the cause
                    "a stored document cannot be used", extra={"document": name, "cause": str(refused)}
                )
                continue
            kind.put_in_force(content)
            self._in_force[name] = _InForce(whole.version, whole.sha256)

    def versions(self) -> dict[str, str]:
        """Name -> version in force, as hello and heartbeat tell them."""
        return {name: str(one.version) for name, one in self._in_force.items()}

    async def take(self, frame: bytes) -> None:
        """One doc frame. Raises Malformed when it makes no sense or is not our campus'."""
        chunk, signed = codec.decode_signed(frame, DocumentChunk)
        if not self._verify(codec.signing_input(self._topic, signed.line), signed.signature):
            raise Malformed("document is not signed by our campus")
        in_force = self._in_force.get(chunk.name)
        if in_force is not None and chunk.version < in_force.version:
            return
        if in_force == _InForce(chunk.version, chunk.sha256):
            return
        whole = self._assembly.take(chunk)
        if whole is not None:
            await self._receive(whole)

    async def _receive(self, whole: Whole) -> None:
        in_force = self._in_force.get(whole.name)
        if in_force is not None and in_force.version == whole.version:
            await self._report(whole, "other_content")
            return
        kind = self._kinds[whole.name]
        try:
            content = kind.parse(whole.body)
        except DocumentRefused as refused:
            log.warning(
                "document refused",
                extra={"document": whole.name, "version": whole.version, "cause": str(refused)},
            )
            await self._report(whole, "refused", str(refused))
            return
        try:
            await asyncio.to_thread(_write, self._folder / f"{whole.name}.doc", whole)
        except OSError as error:
            log.error(  # noqa: TRY400  what happened is all in the cause
                "document could not be stored", extra={"document": whole.name, "cause": error.strerror}
            )
            await self._report(whole, "not_stored")
            return
        kind.put_in_force(content)
        self._in_force[whole.name] = _InForce(whole.version, whole.sha256)
        log.info("document in force", extra={"document": whole.name, "version": whole.version})
        await self._report(whole, "applied")

    async def _report(self, whole: Whole, result: str, cause: str = "") -> None:
        values: dict[str, Scalar] = {
            "name": whole.name,
            "version": whole.version,
            "sha256": whole.sha256,
            "result": result,
        }
        if cause:
            values["cause"] = cause[:256]
        event = Event(id=NO_ID, stamp=NO_STAMP, device=self._edge, topic="Document/Applied", values=values)
        await self._intake.accept([Draft(event)])


# --- the files ------------------------------------------------------------------------------------------


def _read(path: Path, name: str) -> Whole | None:
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        log.error(  # noqa: TRY400  what happened is all in the cause
            "document cannot be read", extra={"document": name, "cause": error.strerror}
        )
        return None
    head, _, body = raw.partition(b"\n")
    try:
        told = json.loads(head[:HEAD_BYTES_MAX])
        whole = Whole(name, int(told["version"]), str(told["sha256"]), body)
    except (ValueError, LookupError, TypeError):
        whole = None
    if whole is None or hashlib.sha256(body).hexdigest() != whole.sha256:
        log.error("stored document is damaged; the campus will be asked for it", extra={"document": name})
        return None
    return whole


def _write(path: Path, whole: Whole) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    head = json.dumps({"schema": 1, "version": whole.version, "sha256": whole.sha256}).encode()
    replace_file(path, head + b"\n" + whole.body)
