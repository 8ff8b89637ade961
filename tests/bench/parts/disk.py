"""SQLite as a log: what the outbox appends in a second, beside the same bytes written to a file and flushed.

In turns, because a shared disk is now quick and now slow. Groups of 1 are alarms, groups of 64 what intake makes of a
busy channel.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from edge_agent.outbox import Entry, OutboxLimits, OutboxStore
from tests.bench.figures import Figure
from tests.bench.parts import Scale
from tests.bench.site import Campus
from wire.identity import SourceKey
from wire.records import Credential, CredentialKind, DeviceTime, Event, encode_record
from wire.system_clock import SystemClock


def events(clock: SystemClock, first: int, count: int) -> list[Entry]:
    """Records of twenty terminals."""
    entries = []
    for number in range(first, first + count):
        record = Event(
            id=os.urandom(16).hex(),
            device=f"gate-1/face-{number % 20 + 1}",
            stamp=clock.stamp(),
            topic="AccessControl/AccessGranted/Credential",
            direction="in",
            credential=Credential(kind=CredentialKind.FACE),
            holder_ref=os.urandom(16).hex(),
            device_time=DeviceTime(raw="2026-09-01 07:55:10", zone="Asia/Shanghai", wall_ns=clock.wall_ns()),
            source=SourceKey(record_no=number),
            values={"verify_status": 1, "person_type": 0, "mask": "worn_or_unchecked"},
        )
        entries.append(Entry(record, encode_record(record)))
    return entries


def _appending(store: OutboxStore, groups: list[list[Entry]]) -> float:
    began_s = time.perf_counter()
    for group in groups:
        store.append(group)
    return time.perf_counter() - began_s


def _writing(path: Path, groups: list[list[Entry]]) -> float:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    try:
        began_s = time.perf_counter()
        for group in groups:
            os.write(descriptor, b"\n".join(entry.body for entry in group))
            os.fdatasync(descriptor)
        return time.perf_counter() - began_s
    finally:
        os.close(descriptor)


def measure(scale: Scale, _campus: Campus) -> Iterator[Figure]:
    clock, number = SystemClock(), 1
    with tempfile.TemporaryDirectory(prefix="campus-bench-") as name:
        folder = Path(name)
        store = OutboxStore.open(
            folder / "outbox.sqlite", clock=clock, random=os.urandom, edge="gate-1", limits=OutboxLimits()
        )
        try:
            for size, groups in ((1, 300), (64, 60)):
                rates, ratios, cpu_us = [], [], []
                for _ in range(scale.rounds(5)):
                    made = []
                    for _ in range(scale.count(groups)):
                        made.append(events(clock, number, size))
                        number += size
                    raw_s = _writing(folder / "raw", made)
                    began_s = time.process_time()
                    ours_s = _appending(store, made)
                    records = len(made) * size
                    cpu_us.append((time.process_time() - began_s) / records * 1e6)
                    rates.append(records / ours_s)
                    ratios.append(raw_s / ours_s)
                yield Figure("disk", f"outbox, groups of {size}", median(rates), "records/s")
                yield Figure("disk", f"outbox, groups of {size}: processor", median(cpu_us), "µs/record")
                yield Figure("disk", f"outbox, groups of {size}: rate beside write and fdatasync", median(ratios), "x")
        finally:
            store.close()
