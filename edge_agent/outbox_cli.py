"""`campus-edge outbox`: what waits in the box, read beside the running agent."""

import json
from pathlib import Path
from typing import Any, Final

import msgspec
import typer
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from edge_agent.outbox import OutboxError, Survey, survey
from wire.clock import utc_text
from wire.i18n import Texts
from wire.logs import printable
from wire.system_clock import SystemClock

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1


def show_outbox(path: Path, *, as_json: bool, texts: Texts) -> int:
    """Print what the outbox at path holds. Returns the exit code: 1 when there is none or it cannot be read."""
    try:
        seen = survey(path, SystemClock().stamp())
    except FileNotFoundError:
        typer.echo(texts("edge.outbox.missing", path=path), err=True)
        return EXIT_FAILED
    except OutboxError as error:
        typer.echo(texts("edge.outbox.unreadable", cause=error), err=True)
        return EXIT_FAILED
    if as_json:
        typer.echo(json.dumps(as_document(seen), ensure_ascii=False))
    else:
        _print(seen, texts)
    return EXIT_OK


def as_document(seen: Survey) -> dict[str, Any]:
    """The stable JSON shape of `campus-edge outbox --json`."""
    return {
        "schema": 1,
        "edge": seen.edge,
        "epoch": seen.epoch,
        "previous_epoch": seen.previous_epoch,
        "fork_reason": seen.fork_reason,
        "lanes": {
            lane.value: msgspec.to_builtins(depth) | msgspec.to_builtins(seen.states[lane])
            for lane, depth in seen.depths.items()
        },
        "tally": seen.tally,
        "file_bytes": seen.file_bytes,
        "damaged_sets": seen.damaged_sets,
        "quarantined": [
            {
                "device": item.device,
                "reason": item.reason,
                "at": utc_text(item.wall_ns),
                "sha256": item.sha256,
                "length": item.length,
                "head": item.head.decode("utf-8", "backslashreplace"),
            }
            for item in seen.quarantined
        ],
    }


def _print(seen: Survey, texts: Texts) -> None:
    console = Console()
    # Without lines between the columns it fits into 80 of them.
    table = Table(
        title=texts("edge.outbox.title", edge=seen.edge, epoch=seen.epoch[:8]),
        title_justify="left",
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    table.add_column(texts("edge.outbox.lane"), no_wrap=True)
    for name in ("accepted", "acknowledged", "queued", "dropped", "quarantined", "oldest"):
        table.add_column(texts(f"edge.outbox.{name}"), justify="right")
    for lane, depth in seen.depths.items():
        counts = (depth.accepted, depth.acknowledged, depth.queued, sum(depth.dropped.values()), depth.quarantined)
        table.add_row(texts(f"lane.{lane}"), *map(str, counts), str(depth.oldest_age_s))
    console.print(table)
    # Devices may call themselves what they like: nothing of it is markup, nothing of it speaks to the terminal.
    for item in seen.quarantined[-20:]:
        typer.echo(f"{utc_text(item.wall_ns)}  {printable(item.device)}  {printable(item.reason)}  {item.length} B")
    for name in seen.damaged_sets:
        typer.echo(texts("edge.outbox.set_aside", name=name))
