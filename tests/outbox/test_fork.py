"""A new epoch: the same records under new numbers, whatever happens on the way."""

import sqlite3

import pytest

from edge_agent.outbox import OutboxGone, OutboxLimits, renumber
from tests.outbox.making import Box, bodies, chain_of
from tests.outbox.test_delivery import DAY_S, trimmed
from wire.identity import CHAIN_START
from wire.topics import LANES, Lane


def test_every_kept_record_waits_again_from_one_with_its_id_and_bytes(box: Box) -> None:
    stored = {lane: box.fill(lane, 6) for lane in LANES}
    trimmed(box, kept_from=4)
    box.store.acknowledge({Lane.D: 5, Lane.A: 6})
    before = box.store.epoch
    epoch = box.store.fork("chain differs")
    assert (box.store.epoch, box.store.previous_epoch, box.store.fork_reason) == (epoch, before, "chain differs")
    assert epoch != before
    for lane in LANES:
        kept = stored[lane][3:] if lane is Lane.D else stored[lane]
        rows = box.rows(lane)
        assert [(row.seq, row.through, row.body) for row in rows] == [
            (n + 1, n + 1, entry.body) for n, entry in enumerate(kept)
        ]
        assert rows[-1].chain == chain_of(bodies(kept))
        state = box.store.lane_states()[lane]
        assert (state.first, state.last, state.acked, state.acked_chain) == (1, len(kept), 0, CHAIN_START.hex())


def test_counters_go_on_and_count_no_record_twice(box: Box) -> None:
    box.fill(Lane.D, 6)
    trimmed(box, kept_from=4)
    box.store.acknowledge({Lane.D: 5})
    box.store.fork("chain")
    depth = box.store.depths()[Lane.D]
    assert (depth.accepted, depth.acknowledged, depth.queued) == (6, 3, 3)
    box.store.acknowledge({Lane.D: 3})
    depth = box.store.depths()[Lane.D]
    assert (depth.accepted, depth.acknowledged, depth.queued) == (6, 6, 0)
    box.reopen()
    assert box.store.recovery is None
    box.assert_balanced()


def test_the_new_epoch_and_its_reason_outlive_a_restart_and_a_second_fork_follows_the_first(box: Box) -> None:
    first = box.store.epoch
    second = box.store.fork("one")
    box.reopen()
    assert (box.store.epoch, box.store.previous_epoch, box.store.fork_reason) == (second, first, "one")
    third = box.store.fork("two" * 60)
    assert (box.store.epoch, box.store.previous_epoch, len(box.store.fork_reason)) == (third, second, 64)


def test_a_lane_goes_on_after_a_fork(box: Box) -> None:
    stored = box.fill(Lane.D, 6)
    trimmed(box, kept_from=4)
    box.store.fork("chain")
    (result,) = box.put(entry := box.entry(Lane.D))
    assert result.seq == 4
    assert box.rows(Lane.D)[-1].chain == chain_of([*bodies(stored[3:]), entry.body])


def test_old_marks_of_acknowledgement_let_nothing_go_in_the_new_epoch(box: Box) -> None:
    box.fill(Lane.D, 6)
    box.store.acknowledge({Lane.D: 6})
    box.settle()
    box.store.fork("chain")
    box.store.acknowledge({Lane.D: 6})
    box.clock.advance(8 * DAY_S)
    box.store.maintain()
    assert len(box.rows(Lane.D)) == 6


def test_gaps_do_not_come_along_and_stay_in_the_counters(tmp_path) -> None:
    box = Box(tmp_path / "outbox.sqlite", limits=OutboxLimits(bytes_max=200_000, in_flight_rows=5, chunk_rows=50))
    box.fill(Lane.T, 700)
    box.settle()
    before = box.store.depths()[Lane.T]
    assert before.dropped["thinned"] > 100
    assert box.gaps(Lane.T)
    kept = box.ids(Lane.T)
    box.store.fork("chain")
    assert box.gaps(Lane.T) == []
    assert box.ids(Lane.T) == kept
    assert [row.seq for row in box.rows(Lane.T)] == list(range(1, len(kept) + 1))
    assert box.store.depths()[Lane.T] == before
    box.reopen()
    assert box.store.recovery is None
    box.store.close()


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("steps", range(9))
def test_a_fork_cut_short_anywhere_is_finished_by_the_next_start(tmp_path, monkeypatch, steps: int) -> None:
    monkeypatch.setattr(renumber, "STEP_ROWS", 4)
    box = Box(tmp_path / "outbox.sqlite")
    stored = box.fill(Lane.D, 14)
    alarms = box.fill(Lane.A, 5)
    trimmed(box, kept_from=3)
    before = box.store.epoch
    begun = []

    def killed_at(core, lane):
        if len(begun) == steps:
            raise _Killed
        begun.append(lane)
        return honest(core, lane)

    honest = renumber._step
    monkeypatch.setattr(renumber, "_step", killed_at)
    with pytest.raises(_Killed):
        box.store.fork("chain")
    monkeypatch.setattr(renumber, "_step", honest)
    box.reopen()
    assert box.store.recovery is None
    assert (box.store.previous_epoch, box.store.fork_reason) == (before, "chain")
    assert [row.body for row in box.rows(Lane.D)] == bodies(stored[2:])
    assert [row.body for row in box.rows(Lane.A)] == bodies(alarms)
    assert [row.seq for row in box.rows(Lane.D)] == list(range(1, 13))
    box.assert_balanced()
    box.reopen()
    assert box.store.recovery is None
    box.store.close()


def test_a_fork_takes_steps_whatever_the_size_of_the_outbox(box: Box, monkeypatch) -> None:
    monkeypatch.setattr(renumber, "STEP_ROWS", 10)
    box.fill(Lane.D, 100)
    trimmed(box, kept_from=2)
    most = []
    box.sql().set_trace_callback(lambda sql: most.append(sql) if sql.startswith("UPDATE record") else most.append("|"))
    box.store.fork("chain")
    box.sql().set_trace_callback(None)
    runs = "".join("u" if sql != "|" else "|" for sql in most).split("|")
    assert sum(len(run) for run in runs) == 99
    assert max(len(run) for run in runs) == 10


def test_a_disk_that_fills_up_in_a_fork_costs_nothing(box: Box, monkeypatch) -> None:
    monkeypatch.setattr(renumber, "STEP_ROWS", 4)
    stored = box.fill(Lane.D, 40, note="x" * 3000)
    trimmed(box, kept_from=3)

    def full(core, lane):
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(renumber, "_step", full)
        with pytest.raises(OutboxGone):
            box.store.fork("chain")
    with pytest.raises(OutboxGone):
        box.store.append([box.entry(Lane.D)])
    box.reopen()
    assert box.store.recovery is None
    assert box.store.fork_reason == "chain"
    assert box.ids(Lane.D) == [entry.record.id for entry in stored[2:]]
