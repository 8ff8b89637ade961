"""What goes out and what the campus says to it: read, acknowledge, resume."""

import pytest

from edge_agent.outbox import OutboxLimits
from tests.outbox.making import ROOMY, Box, bodies, chain_of
from wire.identity import CHAIN_START, derived_id
from wire.records import decode_record
from wire.topics import LANES, Lane

DAY_S = 86_400


def trimmed(box: Box, kept_from: int) -> None:
    """Acknowledge and forget everything of lane D below a number."""
    box.store.acknowledge({Lane.D: kept_from - 1})
    box.settle()
    box.clock.advance(8 * DAY_S)
    box.settle()
    assert box.store.lane_states()[Lane.D].first == kept_from


def test_a_read_starts_behind_the_number_and_keeps_both_limits(box: Box) -> None:
    stored = box.fill(Lane.D, 10)
    size = len(stored[0].body) + 1
    assert [row.seq for row in box.store.read(Lane.D, 3, 4, ROOMY)] == [4, 5, 6, 7]
    assert [row.seq for row in box.store.read(Lane.D, 3, 100, 3 * size)] == [4, 5, 6]
    assert [row.seq for row in box.store.read(Lane.D, 3, 100, 3 * size - 1)] == [4, 5]
    assert [row.seq for row in box.store.read(Lane.D, 3, 100, 1)] == [4]
    assert box.store.read(Lane.D, 10, 100, ROOMY) == []
    assert box.store.read(Lane.D, 99, 100, ROOMY) == []
    assert box.store.read(Lane.A, 0, 100, ROOMY) == []


def test_an_acknowledgement_is_cumulative_and_never_moves_back(box: Box) -> None:
    stored = box.fill(Lane.D, 5)
    box.fill(Lane.A, 2)
    box.store.acknowledge({Lane.D: 3})
    box.store.acknowledge({Lane.D: 2, Lane.A: 1})
    states = box.store.lane_states()
    assert (states[Lane.D].acked, states[Lane.A].acked) == (3, 1)
    assert states[Lane.D].acked_chain == chain_of(bodies(stored[:3])).hex()
    assert box.reopen().lane_states() == states


def test_an_acknowledgement_of_what_was_never_assigned_is_not_believed(box: Box) -> None:
    box.fill(Lane.D, 5)
    box.store.acknowledge({Lane.D: 6})
    assert box.store.lane_states()[Lane.D].acked == 0


def test_acknowledged_records_stay_readable_until_their_time_has_come(box: Box) -> None:
    stored = box.fill(Lane.D, 5)
    box.store.acknowledge({Lane.D: 5})
    box.settle()
    box.clock.advance(6.9 * DAY_S)
    box.settle()
    assert box.ids(Lane.D) == [entry.record.id for entry in stored]


def test_counters_tell_waiting_from_acknowledged(box: Box) -> None:
    box.fill(Lane.D, 5)
    box.clock.advance(30)
    box.store.acknowledge({Lane.D: 2})
    depth = box.store.depths()[Lane.D]
    assert (depth.accepted, depth.acknowledged, depth.queued, depth.oldest_age_s) == (5, 2, 3, 30)
    box.store.acknowledge({Lane.D: 5})
    depth = box.store.depths()[Lane.D]
    assert (depth.accepted, depth.acknowledged, depth.queued, depth.oldest_age_s) == (5, 5, 0, 0)


def test_the_age_of_the_oldest_record_does_not_follow_steps_of_the_wall_clock(box: Box) -> None:
    box.fill(Lane.D, 1)
    box.clock.advance(30)
    box.clock.step_wall(-10 * DAY_S)
    assert box.store.depths()[Lane.D].oldest_age_s == 30
    box.clock.reboot("b1" * 16)
    assert box.store.depths()[Lane.D].oldest_age_s == 0  # by the wall clock it lies in the future
    box.clock.step_wall(10 * DAY_S + 15)
    assert box.store.depths()[Lane.D].oldest_age_s == 45


def test_a_campus_restored_from_a_backup_gets_again_what_it_forgot(box: Box) -> None:
    stored = box.fill(Lane.D, 6)
    box.store.acknowledge({Lane.D: 5})
    box.store.resume({Lane.D: 2})
    state, depth = box.store.lane_states()[Lane.D], box.store.depths()[Lane.D]
    assert (state.first, state.acked, state.acked_chain) == (1, 2, chain_of(bodies(stored[:2])).hex())
    assert (depth.accepted, depth.acknowledged, depth.queued) == (6, 2, 4)
    assert box.ids(Lane.D, after=2) == [entry.record.id for entry in stored[2:]]
    box.store.acknowledge({Lane.D: 6})
    depth = box.store.depths()[Lane.D]
    assert (depth.accepted, depth.acknowledged, depth.queued) == (6, 6, 0)


def test_records_that_wait_again_start_their_retention_anew(box: Box) -> None:
    box.fill(Lane.D, 4)
    box.store.acknowledge({Lane.D: 4})
    box.settle()
    box.clock.advance(6 * DAY_S)
    box.store.resume({Lane.D: 1})
    box.store.acknowledge({Lane.D: 4})
    box.settle()
    box.clock.advance(2 * DAY_S)
    box.settle()
    assert [row.seq for row in box.rows(Lane.D)] == [1, 2, 3, 4]
    box.clock.advance(6 * DAY_S)
    box.settle()
    assert box.store.lane_states()[Lane.D].first == 5


def test_what_was_forgotten_is_explained_by_one_gap_that_is_always_the_same(box: Box) -> None:
    stored = box.fill(Lane.D, 6)
    chain_4 = chain_of(bodies(stored[:4]))
    trimmed(box, kept_from=5)
    rows = box.store.read(Lane.D, 1, 100, ROOMY)
    assert [(row.seq, row.through) for row in rows] == [(2, 4), (5, 5), (6, 6)]
    gap = decode_record(rows[0].body)
    assert (gap.reason, gap.from_seq, gap.to_seq, gap.count) == ("retention", 2, 4, 3)
    assert (gap.chain, rows[0].chain) == (chain_4.hex(), chain_4)
    assert gap.id == derived_id("gap", box.store.epoch, Lane.D, 2, 4)
    box.clock.advance(1000)
    box.reopen()
    assert box.store.read(Lane.D, 1, 100, ROOMY) == rows
    assert box.store.read(Lane.D, 1, 1, ROOMY) == rows[:1]
    assert box.store.read(Lane.D, 1, 100, 1) == rows[:1]


def test_a_resume_below_what_is_kept_goes_as_far_back_as_it_can(box: Box) -> None:
    box.fill(Lane.D, 6)
    trimmed(box, kept_from=4)
    box.store.acknowledge({Lane.D: 6})
    box.store.resume({Lane.D: 1})
    state, depth = box.store.lane_states()[Lane.D], box.store.depths()[Lane.D]
    assert (state.first, state.acked) == (4, 3)
    assert (depth.accepted, depth.acknowledged, depth.queued) == (6, 3, 3)
    assert [(row.seq, row.through) for row in box.rows(Lane.D, after=1)] == [(2, 3), (4, 4), (5, 5), (6, 6)]


def test_the_chain_is_known_where_rows_are_kept_and_at_their_edge(box: Box) -> None:
    stored = box.fill(Lane.D, 6)
    at = [chain_of(bodies(stored[:n])) for n in range(7)]
    assert [box.store.chain_at(Lane.D, n) for n in range(8)] == [*at, None]
    trimmed(box, kept_from=4)
    assert [box.store.chain_at(Lane.D, n) for n in range(8)] == [None, None, None, *at[3:], None]
    assert box.store.chain_at(Lane.A, 0) == CHAIN_START
    assert box.store.chain_at(Lane.A, 1) is None


def test_a_lane_of_which_nothing_is_kept_goes_on_with_the_next_number(box: Box) -> None:
    stored = box.fill(Lane.D, 3)
    trimmed(box, kept_from=4)
    box.reopen()
    state = box.store.lane_states()[Lane.D]
    assert (state.first, state.last, state.acked) == (4, 3, 3)
    (result,) = box.put(entry := box.entry(Lane.D))
    assert result.seq == 4
    assert box.rows(Lane.D, after=3)[0].chain == chain_of([*bodies(stored), entry.body])


def test_retention_forgets_in_small_steps(tmp_path) -> None:
    box = Box(tmp_path / "outbox.sqlite", limits=OutboxLimits(chunk_rows=10))
    box.fill(Lane.D, 35)
    box.store.acknowledge({Lane.D: 35})
    box.settle()
    box.clock.advance(8 * DAY_S)
    assert [step.trimmed for step in box.settle() if step.trimmed] == [10, 10, 10, 5]
    box.store.close()


def test_retention_counts_running_time_and_no_step_of_the_wall_clock(box: Box) -> None:
    box.fill(Lane.D, 3)
    box.store.acknowledge({Lane.D: 3})
    box.settle()
    box.clock.step_wall(400 * DAY_S)
    box.settle()
    assert len(box.rows(Lane.D)) == 3
    box.reopen()
    box.settle()
    assert len(box.rows(Lane.D)) == 3
    box.clock.advance(7.1 * DAY_S)
    box.settle()
    assert box.store.lane_states()[Lane.D].first == 4


def test_running_time_adds_up_over_restarts(box: Box) -> None:
    box.fill(Lane.D, 3)
    box.store.acknowledge({Lane.D: 3})
    box.settle()
    for boot in range(4):
        box.clock.advance(2 * DAY_S)
        box.fill(Lane.S, 1)
        box.store.close()
        box.clock.reboot(f"{boot:032x}")
        box.store = box.open()
    box.settle()
    assert box.store.lane_states()[Lane.D].first == 4


def test_acknowledged_telemetry_goes_by_bytes_and_not_by_age(tmp_path) -> None:
    box = Box(tmp_path / "outbox.sqlite", limits=OutboxLimits(telemetry_bytes_max=6000, chunk_rows=10))
    box.fill(Lane.T, 100)
    box.settle()
    assert len(box.rows(Lane.T)) == 100
    box.store.acknowledge({Lane.T: 100})
    box.settle()
    kept = box.rows(Lane.T, after=box.store.lane_states()[Lane.T].first - 1)
    assert 0 < sum(len(row.body) for row in kept) <= 6000
    box.clock.advance(30 * DAY_S)
    box.settle()
    assert box.rows(Lane.T, after=box.store.lane_states()[Lane.T].first - 1) == kept
    box.store.close()


@pytest.mark.parametrize("lane", LANES)
def test_every_lane_is_read_and_acknowledged_the_same_way(box: Box, lane: Lane) -> None:
    stored = box.fill(lane, 3)
    assert box.ids(lane) == [entry.record.id for entry in stored]
    box.store.acknowledge({lane: 2})
    assert box.store.depths()[lane].queued == 1
    assert {other: depth.accepted for other, depth in box.store.depths().items() if depth.accepted} == {lane: 3}
