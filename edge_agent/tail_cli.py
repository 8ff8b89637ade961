"""`campus-edge tail`: the box's own records as they are stored, read from the outbox file beside the running agent."""

import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
import typer

from edge_agent.outbox import OutboxError
from edge_agent.outbox.following import Followed, Follower
from wire.clock import NS_PER_S, utc_text
from wire.i18n import Texts
from wire.pipe import Output, until_nobody_reads
from wire.record_lines import RecordPrinter
from wire.records import owner_of
from wire.topics import Lane

EXIT_OK: Final = 0
EXIT_FAILED: Final = 1
LOOK_S: Final = 0.2


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which records. device: its name on the box, or its whole id; topic: whole segments from the front."""

    device: str = ""
    topic: str = ""
    lane: Lane | None = None

    def has(self, one: Followed) -> bool:
        """Whether a record is asked for."""
        record, topic = one.record, getattr(one.record, "topic", "")
        return (
            self.device in {"", record.device, record.device.partition("/")[2]}
            and (not self.topic or topic == self.topic or topic.startswith(f"{self.topic}/"))
            and self.lane in {None, one.lane}
        )


def tail(
    path: Path, wanted: Wanted, *, output: Output, zone: ZoneInfo, since_s: int | None, follow: bool, texts: Texts
) -> int:
    """Print records until interrupted; without follow, what there is. 1 when there is no outbox to read."""

    def run() -> int:
        printer = RecordPrinter(output, sys.stdout, zone)
        since_ns = None if since_s is None else time.time_ns() - since_s * NS_PER_S
        with Follower(path) as follower:
            try:
                follower.begin(since_ns)
            except FileNotFoundError:
                typer.echo(texts("edge.outbox.missing", path=path), err=True)
                return EXIT_FAILED
            except OutboxError as error:
                typer.echo(texts("edge.outbox.unreadable", cause=error), err=True)
                return EXIT_FAILED
            for news in _news(follower, follow=follow, texts=texts):
                for one in news:
                    if wanted.has(one):
                        printer.show(view(one))
                printer.flush()
        return EXIT_OK

    return until_nobody_reads(run)


def _news(follower: Follower, *, follow: bool, texts: Texts) -> Iterator[list[Followed]]:
    told = False
    while True:
        news: list[Followed] = []
        try:
            news = follower.news()
        except (FileNotFoundError, OutboxError) as error:
            # The agent is healing it, or somebody took it away; what comes then is shown.
            if not told:
                typer.echo(texts("edge.outbox.unreadable", cause=error), err=True)
            told = True
        else:
            told = False
        yield news
        if not news:
            if not follow:
                return
            time.sleep(LOOK_S)


def view(one: Followed) -> dict[str, Any]:
    """As the campus' API shows it, as far as the box knows."""
    record = one.record
    body: dict[str, Any] = msgspec.to_builtins(record)
    for name in ("id", "stamp", "device", "lane"):
        body.pop(name, None)
    return {
        "event_id": record.id,
        "edge": owner_of(record),
        "device": record.device,
        "lane": one.lane.value,
        "seq": one.seq,
        "kind": body.pop("kind"),
        "topic": body.pop("topic", ""),
        "occurred": utc_text(record.stamp.wall_ns),
        "clock": record.stamp.clock.value,
        **body,
    }
