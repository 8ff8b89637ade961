"""What the campus takes in when batches are ready and nothing else is in the way: frames in, ledger on disk, acks out.

Two boxes with full batches, as a drained backlog has them; the readers of the ledger do not run.
"""

import asyncio
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Final

from aggregator.admission import Admission
from aggregator.ledger import SqliteLedger
from aggregator.storage import Database
from tests.admission.box import CAMPUS, Box, ack, welcome
from tests.bench.figures import Figure
from tests.bench.parts import Scale
from tests.bench.parts.disk import events
from tests.bench.site import Campus
from wire.system_clock import SystemClock
from wire.topics import Lane

# As many records of this length as a batch holds in its 128 KiB.
BATCH_RECORDS: Final = 220


def _fill(box: Box, clock: SystemClock, records: int) -> None:
    """Put records of its own devices into a box."""
    for entry in events(clock, 1, records):
        box.put_bytes(Lane.D, entry.body.replace(b'"gate-1/', f'"{box.edge}/'.encode()))


async def _take(folder: Path, clock: SystemClock, batches: int) -> tuple[float, float, int]:
    """Seconds, processor seconds and records of one round."""
    boxes = [Box(f"gate-{number}", seed=number) for number in (1, 2)]
    enrolled = {box.edge: box.enrolled() for box in boxes}

    async def look_up(edge: str):
        return enrolled.get(edge)

    async with await Database.open(folder / "ledger.sqlite", "aggregator.ledger") as db:
        ledger = await SqliteLedger.open(db, campus_id=CAMPUS, random=os.urandom)
        admission = Admission(ledger, campus=CAMPUS, clock=clock, enrolled=look_up)
        for box in boxes:
            _fill(box, clock, batches * BATCH_RECORDS)
            assert welcome(await admission.receive(*box.hello())).verdict == "resume"
        frames = {
            box.edge: [box.batch(Lane.D, number * BATCH_RECORDS, BATCH_RECORDS) for number in range(batches)]
            for box in boxes
        }

        async def deliver(box: Box) -> None:
            """As the uplink does it: two batches on their way."""
            waiting: list[asyncio.Task] = []
            for topic, frame in frames[box.edge]:
                waiting.append(asyncio.create_task(admission.receive(topic, frame)))
                if len(waiting) == 2:
                    ack(await waiting.pop(0))
            for task in waiting:
                ack(await task)

        began_s, cpu_s = time.perf_counter(), time.process_time()
        await asyncio.gather(*(deliver(box) for box in boxes))
        took_s, used_s = time.perf_counter() - began_s, time.process_time() - cpu_s
        assert await ledger.head() >= len(boxes) * batches * BATCH_RECORDS
    return took_s, used_s, len(boxes) * batches * BATCH_RECORDS


def measure(scale: Scale, _campus: Campus) -> Iterator[Figure]:
    rates, cpu_us = [], []
    for _ in range(scale.rounds(3)):
        with tempfile.TemporaryDirectory(prefix="campus-bench-") as folder:
            took_s, used_s, records = asyncio.run(_take(Path(folder), SystemClock(), scale.count(50)))
        rates.append(records / took_s)
        cpu_us.append(used_s / records * 1e6)
    yield Figure("admission", "ready batches taken in", median(rates), "records/s", aim=20_000, at_least=True)
    yield Figure("admission", "ready batches: processor", median(cpu_us), "µs/record")
