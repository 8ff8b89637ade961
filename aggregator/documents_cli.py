"""`campus-aggregator document`: what a box ought to have. Works beside the running service, which sends it."""

from pathlib import Path
from typing import Final

import typer

from aggregator.documents import DocumentHead, DocumentMalformed, UnknownDocument
from aggregator.documents.archive import KINDS
from aggregator.office_cli import CLI, EXIT_FAILED, EXIT_USAGE, lister, with_parts
from aggregator.parts import Parts
from aggregator.settings import AggregatorSettings
from device_profiles.findings import nearest
from wire.i18n import Texts

COLUMNS: Final = ("name", "version", "author", "created")


def put_document(settings: AggregatorSettings, edge: str, name: str, file: Path, texts: Texts) -> int:
    """2 when the file cannot be read, 1 when its content is none that a box could use or the box is unknown."""
    try:
        body = file.read_bytes()
    except OSError as error:
        typer.echo(texts("finding.unreadable", cause=f"{file}: {error.strerror}"), err=True)
        return EXIT_USAGE

    async def put(parts: Parts) -> DocumentHead | str:
        known = [row["edge"] for row in await parts.enrolment.edges()]
        if edge not in known:
            return texts("agg.unknown", name=edge) + _hint(edge, known, texts)
        try:
            head = await parts.archive.put(edge, name, body, CLI)
        except UnknownDocument:
            return texts("agg.unknown", name=name) + _hint(name, list(KINDS), texts)
        except DocumentMalformed as error:
            return texts("agg.document.bad", path=file, cause=error)
        await parts.office.record(CLI, "document.put", f"{edge}/{name}/{head.version}", "done", "")
        return head

    outcome: list[DocumentHead | str] = []
    code = with_parts(settings, put, texts, outcome.append)
    for one in outcome:
        if isinstance(one, str):
            typer.echo(one, err=True)
            return EXIT_FAILED
        typer.echo(texts("agg.document.put", edge=edge, name=name, version=one.version))
    return code


def list_documents(settings: AggregatorSettings, edge: str, *, as_json: bool, texts: Texts) -> int:
    """A line for each document the box ought to have."""

    async def rows(parts: Parts) -> list[dict[str, object]]:
        return [
            {"name": one.name, "version": one.version, "author": one.author, "created_ns": one.created_ns}
            for one in await parts.archive.of_edge(edge)
        ]

    return with_parts(settings, rows, texts, lister(COLUMNS, as_json=as_json, texts=texts))


def _hint(name: str, known: list[str], texts: Texts) -> str:
    close = nearest(name, known)
    return texts("finding.nearest", nearest=close) if close else ""
