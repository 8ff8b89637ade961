"""`campus-aggregator tail`: what the ledger takes, live, over the stream of the API with the rights of a token.

No gap: every frame says up to which position it is complete, and after a lost connection the stream is asked for what
comes after that. With `since` it begins before the first record that is as young; with neither, with what comes next.
"""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

import typer

from aggregator.commands_cli import told
from aggregator.service import Service, ServiceUnreachable
from wire.i18n import Texts
from wire.pipe import Output, until_nobody_reads
from wire.record_lines import RecordPrinter

EXIT_OK: Final = 0
# The stream says something every 15 s, be it that there is nothing.
SILENT_S: Final = 45.0
WAIT_S_MIN: Final = 0.5
WAIT_S_MAX: Final = 15.0


def tail(
    service: Service,
    wanted: Mapping[str, str],
    *,
    output: Output,
    zone: tzinfo | None,
    since_s: int | None,
    texts: Texts,
    sleep: Callable[[float], None] = time.sleep,
) -> int:
    """Print records until interrupted. wanted: device, topic, lane as the stream takes them; empty is all."""

    def run() -> int:
        printer = RecordPrinter(output, sys.stdout, zone)
        for rows in _rows(service, wanted, _begin(service, wanted, since_s), texts, sleep):
            for row in rows:
                printer.show(row)
            printer.flush()
        return EXIT_OK

    return until_nobody_reads(lambda: told(run, texts))


def _begin(service: Service, wanted: Mapping[str, str], since_s: int | None) -> int | None:
    """The position after which to begin; None: with what comes next."""
    if since_s is None:
        return None
    # Asked first, so that what comes between the two questions is not between the two answers.
    newest = service.get("events", limit=1)["items"]
    since = (datetime.now(UTC) - timedelta(seconds=since_s)).isoformat()
    oldest = service.get("events", **wanted, since=since, order="asc", limit=1)["items"]
    if oldest:
        return int(oldest[0]["position"]) - 1
    return int(newest[0]["position"]) if newest else 0


def _rows(
    service: Service, wanted: Mapping[str, str], after: int | None, texts: Texts, sleep: Callable[[float], None]
) -> Iterator[list[dict[str, Any]]]:
    """Frames for ever. The first connection must come about; a later one is tried again until it does."""
    wait_s, heard = WAIT_S_MIN, False
    while True:
        try:
            position = {} if after is None else {"after": after}
            for name, data in service.stream("stream", **wanted, **position, silent_s=SILENT_S):
                if name == "hello" and after is None:
                    after = int(data["head"])
                elif name == "message":
                    after = int(data["position"])
                    yield data["items"]
                heard, wait_s = True, WAIT_S_MIN
            cause = "the stream ended"
        except ServiceUnreachable as error:
            if not heard:
                raise
            cause = str(error)
        typer.echo(texts("agg.tail.lost", cause=cause), err=True)
        sleep(wait_s)
        wait_s = min(wait_s * 2, WAIT_S_MAX)
