"""What systemd hears of a campus; a socket of the test takes systemd's place."""

import asyncio
import sqlite3
from pathlib import Path

import pytest

from aggregator import progress
from aggregator.progress import Progress
from tests.support.clock import VirtualClock
from tests.support.notify import Manager
from tests.support.waiting import until
from wire.notify import Notifier


def health(records: int) -> dict[str, object]:
    return {
        "edges_live": 3,
        "edges_silent": 1,
        "admission": {"records": records},
        "readers": {"registry": {"lag": 2}, "series": {"lag": 40}},
    }


async def test_a_ledger_that_cannot_be_read_ends_the_feeding_and_not_the_telling(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "EACH_S", 0.01)
    monkeypatch.setenv("CAMPUS_LANG", "en")
    manager = Manager(tmp_path / "notify")
    clock = VirtualClock()
    failing, reads = False, 0

    async def read() -> int:
        nonlocal reads
        reads += 1
        if failing:
            raise sqlite3.OperationalError("disk I/O error")
        return 7

    watched = Progress(Notifier(manager.address, watchdog_s=0.03), clock, read=read, health=lambda: health(0))
    running = asyncio.create_task(watched.run())
    await until(lambda: "WATCHDOG=1" in manager.heard())
    failing = True
    seen = reads
    await until(lambda: reads > seen + 1)
    manager.heard()
    seen = reads
    await until(lambda: reads > seen + 20)
    assert set(manager.heard()) == {"STATUS=3 boxes heard, 1 silent, 0.0 records/s, readers 40 behind"}
    failing = False
    await until(lambda: "WATCHDOG=1" in manager.heard())
    running.cancel()
    await asyncio.wait([running])
    manager.close()


def test_the_line_tells_the_rate_of_the_last_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_LANG", "en")
    clock, records = VirtualClock(), 0
    told = Progress(Notifier(), clock, read=asyncio.Event().wait, health=lambda: health(records))
    for _ in range(30):
        told.status()
        records += 20
        clock.advance(5)
    assert told.status() == "3 boxes heard, 1 silent, 4.0 records/s, readers 40 behind"
