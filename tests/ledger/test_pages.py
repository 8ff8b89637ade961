"""Pages: every filter means the same on disk and in memory, pages join without overlap, each filter has its blocks."""

import itertools
import random
import re
from pathlib import Path

import pytest

from aggregator.admission.decode import read_run
from aggregator.ledger import AdmissionGroup, Filter, Ledger, LedgerRow, SqliteLedger
from aggregator.ledger.query import BLOCK_ROWS, EVERYWHERE, PAGE_MAX, matches, page_sql, topics_under
from aggregator.ledger.store import SQL
from aggregator.storage import Database
from tests.admission.box import ALARM, CAMPUS, DENIED, Box
from tests.support.clock import VirtualClock, seeded
from wire.codec import decode_batch
from wire.records import DeviceTime
from wire.topics import LANES, Lane

HOUR_NS = 3600 * 10**9
START_NS = 500_000 * HOUR_NS
TAKEN = "AccessControl/AccessTaken/Credential"

FILTERS = [
    Filter(),
    Filter(device_id="gate-1/face-1"),
    Filter(edge="gate-2"),
    Filter(topic="AccessControl"),
    Filter(topic="AccessControl/Denied"),
    Filter(topic=DENIED),
    Filter(topic="AccessControl/Den"),
    Filter(topic="No/Such"),
    Filter(lane=Lane.A),
    Filter(kind="reading"),
    Filter(since_ns=START_NS + 10 * HOUR_NS),
    Filter(until_ns=START_NS + 10 * HOUR_NS),
    Filter(since_ns=START_NS + 5 * HOUR_NS, until_ns=START_NS + 9 * HOUR_NS),
    Filter(since_ns=START_NS + 900 * HOUR_NS),
    Filter(historical=True),
    Filter(historical=False),
    Filter(edge="gate-1", topic="AccessControl", historical=True),
    Filter(device_id="gate-2/face-1", topic=ALARM, since_ns=START_NS + 3 * HOUR_NS),
    Filter(device_id="gate-2/face-1", lane=Lane.D, historical=False, kind="event"),
    Filter(edge="gate-1", until_ns=START_NS + 12 * HOUR_NS),
]


@pytest.fixture
async def filled(ledger: Ledger) -> Ledger:
    """120 records of two boxes over a day, a third of them late, some as a backlog of another boot."""
    chance = random.Random(5)
    clock = VirtualClock(wall_s=START_NS / 10**9)
    boxes = [Box(edge, clock=clock, seed=seed) for seed, edge in enumerate(("gate-1", "gate-2"), 1)]
    for _ in range(30):
        runs = []
        for box in boxes:
            at = START_NS + chance.randrange(24 * HOUR_NS)
            clock.boot_id = chance.choice(("aa" * 16, "bb" * 16))
            event = box.event(
                chance.choice((DENIED, TAKEN, ALARM)),
                device=f"{box.edge}/face-{chance.randint(1, 3)}",
                device_time=DeviceTime(raw="?", wall_ns=at),
            )
            box.put(event, box.reading())
            clock.boot_id = "aa" * 16
            for lane in LANES:
                through, _ = box.end(lane)
                if through > box.acked[lane]:
                    runs.append(read_run(box.edge, *decode_batch(box.batch(lane, box.acked[lane])[1])))
                    box.acked[lane] = through
        await ledger.commit(AdmissionGroup(runs, clock.stamp()))
        clock.advance(1)
    return ledger


async def everything(ledger: Ledger) -> list[LedgerRow]:
    return await ledger.read(0, PAGE_MAX)


@pytest.mark.parametrize("wanted", FILTERS, ids=str)
@pytest.mark.parametrize("descending", [True, False])
async def test_pages_hold_exactly_what_passes_in_order(filled: Ledger, wanted: Filter, descending: bool) -> None:
    expected = [row for row in await everything(filled) if matches(row, wanted)]
    if descending:
        expected.reverse()
    seen, beyond = [], None
    while page := await filled.page(wanted, beyond=beyond, descending=descending, limit=7):
        assert len(page) <= 7
        seen += page
        beyond = page[-1].position
    assert [row.position for row in seen] == [row.position for row in expected]


async def test_the_sample_is_not_trivial(filled: Ledger) -> None:
    rows = await everything(filled)
    assert len(rows) == 120
    counts = {str(wanted): sum(matches(row, wanted) for row in rows) for wanted in FILTERS}
    assert [name for name, count in counts.items() if count == 0] == [
        str(Filter(topic="AccessControl/Den")),
        str(Filter(topic="No/Such")),
        str(Filter(since_ns=START_NS + 900 * HOUR_NS)),
    ]


async def test_a_page_is_bounded(filled: Ledger) -> None:
    assert len(await filled.page(Filter(), limit=0)) == 1
    assert len(await filled.page(Filter(), limit=10**9)) == 120


def test_a_topic_stands_for_itself_and_what_is_below_it() -> None:
    assert topics_under("Door/State/DoorAlarm") == ["Door/State/DoorAlarm"]
    assert len(topics_under("AccessControl/Denied")) == 4
    assert topics_under("Door/State/Door") == []


# --- query plans


@pytest.fixture
async def db(tmp_path: Path):
    async with await Database.open(tmp_path / "plans.sqlite", "aggregator.ledger") as db:
        await SqliteLedger.open(db, campus_id=CAMPUS, random=seeded(1))
        yield db


async def plan_of(db: Database, sql: str, parameters: dict[str, object]) -> list[str]:
    async with db.read() as connection:
        return [row["detail"] for row in await connection.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", parameters)]


# In the order in which they lead.
LEADING = {
    "device_id": "gate-1/face-1",
    "topic": DENIED,
    "edge": "gate-1",
    "kind": "event",
    "lane": Lane.A,
    "historical": True,
}
TESTING = {"since_ns": 0, "until_ns": 9}
BLOCKS = "SEARCH ledger_blocks USING PRIMARY KEY (filter=? AND value=? AND block>? AND block<?)"
BESIDE = "SEARCH beside USING PRIMARY KEY (filter=? AND value=? AND block=?)"
POSITIONS = "SEARCH ledger USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)"


@pytest.mark.parametrize("descending", [True, False])
async def test_every_combination_is_read_along_the_blocks_of_its_leader(db: Database, descending: bool) -> None:
    for count in (1, 2, 3):
        for names in itertools.combinations([*LEADING, *TESTING], count):
            wanted = Filter(**{name: LEADING[name] if name in LEADING else TESTING[name] for name in names})
            sql, parameters = page_sql(wanted, EVERYWHERE, descending=descending, limit=10)
            plan = await plan_of(db, sql, parameters)
            leader = next((name for name in LEADING if name in names), None)
            # Nothing is sorted. Each other filter is asked of a block, and only then are its rows looked at.
            beside = [name for name in names if name in LEADING and name != leader]
            assert [step for step in plan if step.startswith("S")] == (
                [BLOCKS, *[BESIDE] * len(beside), POSITIONS] if leader else [POSITIONS]
            ), names
            assert leader is None or f"WHERE filter = '{leader}'" in sql
            assert all(f"beside.filter = '{name}'" in sql for name in beside)


@pytest.mark.parametrize("name", [name for name in LEADING if name != "device_id"])
async def test_a_block_in_which_another_filter_has_no_row_is_passed_over(db: Database, name: str) -> None:
    """Shown by a note that is taken away: were the rows of that block read, they would pass."""
    ledger, box = await SqliteLedger.open(db, campus_id=CAMPUS, random=seeded(2)), Box("gate-1")
    box.put(*(box.event(ALARM, device="gate-1/face-1") for _ in range(3 * BLOCK_ROWS)))
    box.clock.boot_id = "bb" * 16
    run = read_run(box.edge, *decode_batch(box.batch(Lane.A, 0)[1]))
    await ledger.commit(AdmissionGroup([run], box.clock.stamp()))
    wanted = Filter(**{"device_id": "gate-1/face-1", name: LEADING[name] if name != "topic" else ALARM})
    before = await ledger.page(wanted, limit=PAGE_MAX)
    assert {row.position // BLOCK_ROWS for row in before} >= {0, 1, 2}
    forget = f"DELETE FROM ledger_blocks WHERE filter = '{name}' AND block = 1"
    await db.write(lambda connection: connection.execute(forget).rowcount)
    after = await ledger.page(wanted, limit=PAGE_MAX)
    assert after == [row for row in before if row.position // BLOCK_ROWS != 1]


async def test_not_historical_is_read_by_position(db: Database) -> None:
    plan = await plan_of(db, *page_sql(Filter(historical=False), EVERYWHERE, descending=True, limit=10))
    assert plan == [POSITIONS]


@pytest.mark.parametrize("descending", [True, False])
async def test_a_topic_prefix_merges_sorted_pages_without_sorting_all(db: Database, descending: bool) -> None:
    plan = await plan_of(db, *page_sql(Filter(topic="AccessControl"), EVERYWHERE, descending=descending, limit=10))
    assert plan.count(BLOCKS) == plan.count(POSITIONS) == len(topics_under("AccessControl"))


async def test_a_block_is_noted_once_for_each_value_that_lies_in_it(db: Database) -> None:
    ledger = await SqliteLedger.open(db, campus_id=CAMPUS, random=seeded(2))
    box, before = Box("gate-1"), await ledger.head()
    for count in (3, BLOCK_ROWS):
        box.put(*(box.event(device="gate-1/face-1") for _ in range(count)))
        acked, box.acked[Lane.D] = box.acked[Lane.D], box.end(Lane.D)[0]
        run = read_run(box.edge, *decode_batch(box.batch(Lane.D, acked)[1]))
        await ledger.commit(AdmissionGroup([run], box.clock.stamp()))
    async with db.read() as connection:
        rows = await connection.execute_fetchall("SELECT filter, value, block FROM ledger_blocks")
    blocks = list(range((before + 1) // BLOCK_ROWS, (before + 3 + BLOCK_ROWS) // BLOCK_ROWS + 1))
    assert len(blocks) > 1
    given = {"device_id": "gate-1/face-1", "topic": DENIED, "edge": "gate-1", "kind": "event", "lane": "D"}
    assert [tuple(row) for row in rows] == sorted((name, given[name], block) for name in given for block in blocks)


@pytest.mark.parametrize(
    "name",
    [
        "mark",
        "marks",
        "event_known",
        "sources_known",
        "series_max",
        "chain_at",
        "links",
        "rows_after",
        "blank",
        "epochs",
    ],
)
async def test_no_statement_of_the_hot_paths_scans_a_table(db: Database, name: str) -> None:
    values = dict.fromkeys(re.findall(r":(\w+)", SQL[name]), 1)
    plan = await plan_of(db, SQL[name], values)
    scans = [line for line in plan if line.startswith("SCAN") and not re.match(r"SCAN (l|r|q|links)\b", line)]
    assert scans == [], plan
