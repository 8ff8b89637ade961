"""What only the ledger on disk can show: reopening, a second process, tampering, a killed writer."""

import asyncio
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from aggregator.admission.decode import read_run
from aggregator.ledger import AdmissionGroup, Fate, Filter, OpenEpoch, SqliteLedger, recent
from aggregator.storage import Database
from tests.admission.box import CAMPUS, Box
from tests.support.clock import VirtualClock, seeded
from wire.codec import decode_batch
from wire.records import DeviceTime, Event
from wire.topics import CAMPUS_NODE, Lane


async def opened(path: Path, seed: int = 9) -> tuple[Database, SqliteLedger]:
    db = await Database.open(path, "aggregator.ledger")
    return db, await SqliteLedger.open(db, campus_id=CAMPUS, random=seeded(seed))


def group_of(box: Box, after: int = 0, count: int = 500) -> AdmissionGroup:
    run = read_run(box.edge, *decode_batch(box.batch(Lane.D, after, count)[1]))
    return AdmissionGroup([run], box.clock.stamp())


def note(clock: VirtualClock, number: int) -> Event:
    return Event(id=f"{number:032x}", device=CAMPUS_NODE, stamp=clock.stamp(), topic="Audit/Entry")


async def test_a_ledger_goes_on_where_it_was_closed(tmp_path: Path) -> None:
    box, clock = Box(), VirtualClock()
    box.put(*[box.event() for _ in range(4)])
    db, ledger = await opened(tmp_path / "a.sqlite")
    async with db:
        await ledger.commit(group_of(box, 0, 2))
        await ledger.append_campus([note(clock, 1)], clock.stamp())
    db, ledger = await opened(tmp_path / "a.sqlite", seed=10)
    async with db:
        assert await ledger.wait_beyond(2, 0) == 3
        await ledger.commit(group_of(box, 2))
        await ledger.append_campus([note(clock, 2)], clock.stamp())
        rows = await ledger.read(0, 10)
        assert [row.position for row in rows] == [1, 2, 3, 4, 5, 6]
        # The campus keeps its own epoch, so its facts stay one chain.
        [epoch] = {row.epoch for row in rows if row.edge == CAMPUS_NODE}
        assert await ledger.verify_chain(CAMPUS_NODE, epoch, Lane.S) == (2, "")


async def test_a_second_instance_on_the_same_file_is_harmless(tmp_path: Path) -> None:
    box, clock = Box(), VirtualClock()
    box.put(*[box.event() for _ in range(6)])
    (db_1, one), (db_2, two) = await opened(tmp_path / "a.sqlite"), await opened(tmp_path / "a.sqlite")
    async with db_1, db_2:
        for after in (0, 2, 4):
            results = await asyncio.gather(*(ledger.commit(group_of(box, after, 2)) for ledger in (one, two)))
            assert sorted(result.runs[0].fate for result in results) == [Fate.IGNORED, Fate.TAKEN]
            assert {result.runs[0].mark.through for result in results} == {after + 2}
        await two.open_epoch(OpenEpoch(edge="gate-1", epoch=box.epoch), clock.stamp())
        # Who only reads sees what the other wrote, at the latest when its wait is over.
        assert await one.wait_beyond(6, 0.01) == 7
        assert [row.position for row in await one.read(0, 100)] == list(range(1, 8))


TAMPERING = {
    "a changed body": ("UPDATE ledger SET body = 'x' WHERE position = 3", "the body of number 3 was changed"),
    "a changed hash": ("UPDATE ledger SET hash = zeroblob(32), body = NULL WHERE position = 3", "the chain breaks at"),
    "a changed chain": ("UPDATE ledger SET chain = zeroblob(16) WHERE position = 3", "the chain breaks at number 3"),
    "a missing row": ("DELETE FROM ledger WHERE position = 3", "number 3 is missing"),
    "a missing end": ("DELETE FROM ledger WHERE position = 5", "marked 5 and ends at 4"),
    "a moved mark": ("UPDATE watermarks SET chain = zeroblob(16)", "marked 5 and ends at 5"),
}


@pytest.mark.parametrize("name", TAMPERING)
async def test_tampering_is_found(tmp_path: Path, name: str) -> None:
    sql, fault = TAMPERING[name]
    box = Box()
    box.put(*[box.event() for _ in range(5)])
    db, ledger = await opened(tmp_path / "a.sqlite")
    async with db:
        await ledger.commit(group_of(box))
        assert await ledger.verify_chain("gate-1", box.epoch, Lane.D) == (5, "")
        sql = sql.replace("'x'", "CAST('x' AS BLOB)")
        await db.write(lambda connection: connection.execute(sql))
        assert fault in (await ledger.verify_chain("gate-1", box.epoch, Lane.D)).fault


async def test_a_long_lane_is_walked_in_pieces(tmp_path: Path) -> None:
    box = Box()
    db, ledger = await opened(tmp_path / "a.sqlite")
    async with db:
        for start in range(0, 2500, 250):
            box.put(*[box.event(record_no=n // 2) for n in range(start, start + 250)])
            await ledger.commit(group_of(box, start))
        assert await ledger.head() == 1250
        assert await ledger.verify_chain("gate-1", box.epoch, Lane.D) == (2500, "")


async def test_a_late_record_widens_the_hours_it_belongs_to(tmp_path: Path) -> None:
    hour = 3600 * 10**9
    box = Box()
    box.put(*[box.event(device_time=DeviceTime(raw="?", wall_ns=h * hour)) for h in (100, 101, 102, 100)])
    db, ledger = await opened(tmp_path / "a.sqlite")
    async with db:
        await ledger.commit(group_of(box, 0, 3))
        await ledger.commit(group_of(box, 3))
        assert await db.write(lambda c: [tuple(row) for row in c.execute("SELECT * FROM occurred_hours")]) == [
            (100, 1, 4),
            (101, 2, 2),
            (102, 3, 3),
        ]
        rows = await ledger.page(Filter(since_ns=100 * hour, until_ns=101 * hour))
        assert [row.position for row in rows] == [4, 1]


WRITER = """
import asyncio, sys
from pathlib import Path
from tests.ledger.test_file import group_of, opened
from tests.admission.box import Box
from wire.topics import Lane

async def main(path, seed):
    box = Box(seed=int(seed))
    box.nonce = box.epoch
    db, ledger = await opened(Path(path))
    while True:
        after, _ = box.end(Lane.D)
        box.put(*[box.event() for _ in range(7)])
        result = await ledger.commit(group_of(box, after))
        print(box.epoch, result.runs[0].mark.through, flush=True)

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.processes
def test_what_was_reported_committed_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "a.sqlite"
    reported: dict[str, int] = {}
    for seed in range(1, 6):
        command = [sys.executable, "-c", WRITER, str(path), str(seed)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as child:
            assert child.stdout is not None
            for _ in range(seed * 5):
                epoch, through = child.stdout.readline().split()
                reported[epoch] = int(through)
            child.kill()

    async def check() -> None:
        db, ledger = await opened(path)
        async with db:
            rows = await ledger.read(0, 100_000)
            assert [row.position for row in rows] == list(range(1, len(rows) + 1))
            for epoch, through in reported.items():
                mark = (await ledger.watermarks("gate-1", epoch))[Lane.D]
                assert mark.through >= through
                assert await ledger.verify_chain("gate-1", epoch, Lane.D) == (mark.through, "")

    asyncio.run(check())
    connection = sqlite3.connect(path)
    assert connection.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
    connection.close()


async def test_what_is_kept_in_memory_is_what_is_on_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recent, "TAIL_ROWS", 5)
    box = Box()
    box.put(*[box.event(record_no=number) for number in range(1, 40)])
    path = tmp_path / "a.sqlite"
    (db_1, one), (db_2, other), (db_3, disk) = await opened(path), await opened(path), await opened(path)
    async with db_1, db_2, db_3:
        for after in range(0, 39, 3):
            await one.commit(group_of(box, after, 3))
            head = after + 3
            for start in range(max(0, head - 12), head):
                assert await one.read(start, 4) == await disk.read(start, 4)
        assert len(one._tail._rows) < 10
        # Somebody else wrote in between: what is known here has a hole then, and is not gone on with.
        await other.open_epoch(OpenEpoch(edge="gate-1", epoch=box.epoch), VirtualClock().stamp())
        await one.append_campus([note(VirtualClock(), 1)], VirtualClock().stamp())
        for start in range(30, 41):
            assert await one.read(start, 100) == await disk.read(start, 100)
        assert [row.position for row in await one.read(30, 100)] == list(range(31, 42))
        await one.blank([41])
        (erased,) = await one.read(40, 10)
        assert erased.body is None
