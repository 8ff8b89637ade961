"""Under pressure: what goes first, what never goes, and that every hole is explained."""

from itertools import pairwise
from pathlib import Path

import pytest

from edge_agent.outbox import Fate, OutboxLimits, Pressure
from tests.outbox.making import Box
from wire.identity import derived_id
from wire.records import Gap, decode_record
from wire.topics import LANES, Lane

DAY_S = 86_400
SMALL = OutboxLimits(bytes_max=400_000, reserve_bytes=60_000, in_flight_rows=5, chunk_rows=20)


@pytest.fixture
def small(tmp_path: Path):
    box = Box(tmp_path / "outbox.sqlite", limits=SMALL)
    yield box
    box.store.close()


def fill_until(box: Box, lane: Lane, pressure: Pressure, **fields) -> None:
    while box.limits.pressure(box.store._core.used_bytes()) < pressure:
        box.fill(lane, 10, **fields)


def assert_explained(box: Box, lane: Lane) -> None:
    """Behind what is acknowledged every number is a record or inside exactly one gap, and the counts agree."""
    at = box.store.lane_states()[lane].first - 1
    dropped = 0
    for row in box.rows(lane, after=at):
        assert row.seq == at + 1
        record = decode_record(row.body)
        if isinstance(record, Gap):
            assert (record.from_seq, record.to_seq) == (row.seq, row.through)
            assert record.count == row.through - row.seq + 1
            assert record.chain == row.chain.hex()
            assert record.id == derived_id("gap", box.store.epoch, lane, row.seq, row.through)
            dropped += record.count
        else:
            assert row.through == row.seq
        at = row.through
    assert at == box.store.lane_states()[lane].last
    assert dropped == sum(box.store.depths()[lane].dropped.values())
    box.assert_balanced()


def not_adjacent(gaps: list[Gap]) -> bool:
    """Neighbouring gaps have become one, so between two gaps stands a record."""
    return all(left.to_seq + 1 < right.from_seq for left, right in pairwise(gaps))


@pytest.mark.parametrize(
    ("percent", "pressure"),
    [
        (69, Pressure.CALM),
        (70, Pressure.WARN),
        (80, Pressure.TRIM),
        (85, Pressure.THIN),
        (90, Pressure.DROP_TELEMETRY),
        (94, Pressure.DROP_STATES),
        (97, Pressure.REFUSE),
        (130, Pressure.REFUSE),
    ],
)
def test_the_levels_are_percentages_of_the_quota(percent: int, pressure: Pressure) -> None:
    assert OutboxLimits(bytes_max=1000).pressure(percent * 10) is pressure


def test_at_80_percent_records_acknowledged_for_a_day_go_and_younger_ones_stay(small: Box) -> None:
    fill_until(small, Lane.D, Pressure.WARN)
    old = small.store.lane_states()[Lane.D].last
    small.store.acknowledge({Lane.D: old})
    small.settle()
    small.clock.advance(1.1 * DAY_S)
    assert small.store.lane_states()[Lane.D].first == 1
    fill_until(small, Lane.M, Pressure.TRIM)
    small.store.acknowledge({Lane.M: small.store.lane_states()[Lane.M].last})
    steps = small.settle()
    states = small.store.lane_states()
    assert 1 < states[Lane.D].first <= old + 1
    assert states[Lane.M].first == 1
    assert sum(step.trimmed for step in steps) == states[Lane.D].first - 1
    assert steps[-1].pressure < Pressure.TRIM
    small.assert_balanced()


def test_at_85_percent_one_telemetry_record_in_ten_stays(small: Box) -> None:
    fill_until(small, Lane.T, Pressure.DROP_TELEMETRY)
    total = small.store.lane_states()[Lane.T].last
    steps = small.settle()
    assert sum(step.thinned > 0 for step in steps) > 1
    assert sum(step.dropped for step in steps) == 0
    assert_explained(small, Lane.T)
    rows = small.rows(Lane.T)
    gaps = [record for row in rows if isinstance(record := decode_record(row.body), Gap)]
    assert {gap.reason for gap in gaps} == {"thinned"}
    assert not_adjacent(gaps)
    thinned_to = gaps[-1].to_seq
    kept = [row.seq for row in rows if row.seq == row.through and 5 < row.seq <= thinned_to]
    assert [seq for seq in kept if seq % 10] == []
    assert small.store.depths()[Lane.T].accepted == total


def test_what_may_be_on_its_way_is_never_given_up(small: Box) -> None:
    fill_until(small, Lane.T, Pressure.REFUSE)
    small.settle()
    assert [row.through for row in small.rows(Lane.T)][:5] == [1, 2, 3, 4, 5]
    small.store.acknowledge({Lane.T: 3})
    before = [row.through for row in small.rows(Lane.T, after=3)][:5]
    fill_until(small, Lane.D, Pressure.REFUSE)
    small.settle()
    assert [row.through for row in small.rows(Lane.T, after=3)][:5] == before


def test_telemetry_that_cannot_be_thinned_enough_is_dropped_oldest_first(small: Box) -> None:
    fill_until(small, Lane.D, Pressure.WARN)
    fill_until(small, Lane.T, Pressure.DROP_TELEMETRY)
    small.settle()
    small.fill(Lane.D, 400)
    steps = small.settle()
    assert sum(step.dropped for step in steps) > 0
    assert_explained(small, Lane.T)
    gaps = small.gaps(Lane.T)
    assert gaps[0].reason == "dropped"
    assert not_adjacent(gaps)
    assert set(small.store.depths()[Lane.T].dropped) == {"thinned", "dropped"}
    assert small.store.depths()[Lane.D].dropped == {}


def test_at_94_percent_states_go_but_the_latest_of_each_device(small: Box) -> None:
    for _ in range(60):
        for device in ("face-1", "face-2", "face-3"):
            small.fill(Lane.S, 1, device=device)
    latest = small.ids(Lane.S)[-3:]
    fill_until(small, Lane.D, Pressure.DROP_STATES)
    small.settle()
    assert_explained(small, Lane.S)
    kept = small.ids(Lane.S)
    assert kept[-3:] == latest
    assert len(kept) < 180
    assert small.store.depths()[Lane.S].dropped == {"dropped": 180 - len(kept)}


def test_the_latest_state_of_a_device_is_known_after_a_restart_too(small: Box) -> None:
    small.fill(Lane.S, 6, device="noisy")
    (quiet,) = small.fill(Lane.S, 1, device="quiet")
    noisy = small.fill(Lane.S, 60, device="noisy")
    small.reopen()
    fill_until(small, Lane.D, Pressure.DROP_STATES)
    small.settle()
    kept = small.ids(Lane.S)
    assert quiet.record.id in kept
    assert noisy[0].record.id not in kept
    assert noisy[-1].record.id in kept


def test_at_97_percent_doors_states_and_telemetry_are_refused_alarms_and_money_are_not(small: Box) -> None:
    fill_until(small, Lane.D, Pressure.REFUSE)
    small.settle()
    last = small.store.lane_states()
    results = small.put(*[small.entry(lane) for lane in LANES])
    assert {result.lane: result.fate for result in results} == {
        Lane.A: Fate.STORED,
        Lane.M: Fate.STORED,
        Lane.D: Fate.REFUSED,
        Lane.S: Fate.REFUSED,
        Lane.T: Fate.REFUSED,
    }
    assert small.store.lane_states()[Lane.D] == last[Lane.D]
    assert small.store.tally["refused_D"] == 1
    small.assert_balanced()


def test_a_repeat_is_answered_as_one_even_when_the_lane_is_full(small: Box) -> None:
    small.put(again := small.numbered(1))
    fill_until(small, Lane.D, Pressure.REFUSE)
    assert small.put(again)[0].fate is Fate.REPEAT
    assert small.put(small.numbered(2))[0].fate is Fate.REFUSED


def test_a_refused_record_leaves_no_trace_of_its_number(small: Box) -> None:
    fill_until(small, Lane.D, Pressure.REFUSE)
    assert small.put(small.numbered(5, at_s=100))[0].fate is Fate.REFUSED
    small.store.acknowledge({Lane.D: small.store.lane_states()[Lane.D].last})
    small.settle()
    assert small.put(small.numbered(5, at_s=100))[0].fate is Fate.STORED


def test_even_the_reserve_ends_and_then_everything_is_refused(small: Box) -> None:
    fill_until(small, Lane.D, Pressure.REFUSE)
    for _ in range(2000):
        fates = {result.fate for result in small.put(small.entry(Lane.A), small.entry(Lane.M))}
        if fates == {Fate.REFUSED}:
            break
    assert fates == {Fate.REFUSED}
    assert small.store._core.used_bytes() >= SMALL.bytes_max + SMALL.reserve_bytes
    small.assert_balanced()


def test_before_a_door_is_refused_every_acknowledged_record_goes(small: Box) -> None:
    fill_until(small, Lane.D, Pressure.REFUSE)
    small.store.acknowledge({Lane.D: small.store.lane_states()[Lane.D].last})
    small.settle()
    assert small.put(small.entry(Lane.D))[0].fate is Fate.STORED
    assert small.store.lane_states()[Lane.D].first > 1


def test_doors_alarms_and_money_that_wait_are_never_given_up(small: Box) -> None:
    stored = {lane: small.fill(lane, 100) for lane in (Lane.A, Lane.M)}
    fill_until(small, Lane.D, Pressure.REFUSE)
    small.settle()
    for lane, entries in stored.items():
        assert small.ids(lane) == [entry.record.id for entry in entries]
    assert all(small.store.depths()[lane].dropped == {} for lane in (Lane.A, Lane.M, Lane.D))


def test_a_reader_inside_a_gap_gets_exactly_the_rest_of_it(small: Box) -> None:
    fill_until(small, Lane.T, Pressure.THIN)
    small.settle()
    gap = small.gaps(Lane.T)[0]
    inside = gap.from_seq + 2
    rest = decode_record(small.store.read(Lane.T, inside, 10, 100_000)[0].body)
    assert (rest.from_seq, rest.to_seq, rest.chain) == (inside + 1, gap.to_seq, gap.chain)
    assert rest.id != gap.id
    assert small.store.chain_at(Lane.T, inside) is None
    assert small.store.chain_at(Lane.T, gap.to_seq).hex() == gap.chain


def test_an_acknowledgement_inside_a_gap_counts_to_the_last_known_number(small: Box) -> None:
    fill_until(small, Lane.T, Pressure.THIN)
    small.settle()
    gap = small.gaps(Lane.T)[0]
    small.store.acknowledge({Lane.T: gap.from_seq + 1})
    assert small.store.lane_states()[Lane.T].acked == gap.from_seq - 1
    small.store.acknowledge({Lane.T: gap.to_seq})
    assert small.store.lane_states()[Lane.T].acked == gap.to_seq
    assert small.store.lane_states()[Lane.T].acked_chain == gap.chain
    small.assert_balanced()


def test_gaps_survive_a_restart_and_their_lane_goes_on(small: Box) -> None:
    fill_until(small, Lane.T, Pressure.THIN)
    small.settle()
    rows = small.rows(Lane.T)
    small.reopen()
    assert small.store.recovery is None
    assert small.rows(Lane.T) == rows
    small.fill(Lane.T, 3)
    assert_explained(small, Lane.T)


def test_every_step_of_eviction_stays_small(small: Box) -> None:
    fill_until(small, Lane.T, Pressure.REFUSE)
    statements: list[str] = []
    small.sql().set_trace_callback(statements.append)
    for _ in range(1000):
        before = small.store.lane_states()[Lane.T], small.store.depths()[Lane.T]
        statements.clear()
        step = small.store.maintain()
        assert step.trimmed + step.thinned + step.dropped <= SMALL.chunk_rows
        assert sum(statement == "COMMIT" for statement in statements) <= 2
        small.assert_balanced()
        if not step.more:
            break
        assert before != (small.store.lane_states()[Lane.T], small.store.depths()[Lane.T]) or step.pages_freed
    small.sql().set_trace_callback(None)


def test_room_is_given_back_to_the_file_system(tmp_path: Path) -> None:
    box = Box(tmp_path / "outbox.sqlite", limits=OutboxLimits(slack_pages=4))
    box.fill(Lane.D, 2000)
    box.store.acknowledge({Lane.D: 2000})
    box.settle()
    box.reopen()
    before = box.path.stat().st_size
    box.clock.advance(8 * DAY_S)
    steps = box.settle()
    assert max(step.pages_freed for step in steps) <= 64
    box.reopen()
    assert box.path.stat().st_size < before / 4
    box.store.close()


def test_pressure_is_told_once_when_it_begins_and_once_when_it_ends(small: Box, caplog) -> None:
    caplog.set_level("INFO", logger="edge_agent.outbox")
    fill_until(small, Lane.D, Pressure.TRIM)
    for _ in range(3):
        small.settle()
    small.store.acknowledge({Lane.D: small.store.lane_states()[Lane.D].last})
    for _ in range(3):
        small.settle()
    small.clock.advance(8 * DAY_S)
    for _ in range(3):
        small.settle()
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]
