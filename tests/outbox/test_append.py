"""What goes in: numbers without gaps, a chain, all or nothing, honest answers."""

import msgspec
import pytest

from edge_agent.outbox import Entry, Fate
from tests.outbox.making import EDGE, Box, bodies, chain_of
from wire.errors import UnknownTopic
from wire.identity import CHAIN_START
from wire.records import Event, Gap, decode_record, encode_record
from wire.topics import LANES, Lane


def test_each_lane_numbers_its_records_from_one_without_a_gap(box: Box) -> None:
    lanes = [Lane.D, Lane.A, Lane.D, Lane.T, Lane.M, Lane.D, Lane.S, Lane.T]
    results = box.put(*[box.entry(lane) for lane in lanes])
    assert [(result.lane, result.seq) for result in results] == [
        (Lane.D, 1),
        (Lane.A, 1),
        (Lane.D, 2),
        (Lane.T, 1),
        (Lane.M, 1),
        (Lane.D, 3),
        (Lane.S, 1),
        (Lane.T, 2),
    ]
    assert {result.fate for result in results} == {Fate.STORED}
    assert box.put(box.entry(Lane.D))[0].seq == 4


def test_what_was_stored_is_read_back_byte_for_byte_with_its_chain(box: Box) -> None:
    stored = box.fill(Lane.D, 20)
    rows = box.rows(Lane.D)
    assert [row.body for row in rows] == bodies(stored)
    assert [row.chain for row in rows] == [chain_of(bodies(stored[: n + 1])) for n in range(20)]
    state = box.store.lane_states()[Lane.D]
    assert (state.first, state.last, state.acked) == (1, 20, 0)
    assert state.chain == chain_of(bodies(stored)).hex()
    assert state.acked_chain == CHAIN_START.hex()


def test_everything_is_there_again_after_a_restart(box: Box) -> None:
    stored = {lane: box.fill(lane, 3) for lane in LANES}
    epoch, states = box.store.epoch, box.store.lane_states()
    box.reopen()
    assert box.store.recovery is None
    assert (box.store.epoch, box.store.previous_epoch, box.store.fork_reason) == (epoch, None, "")
    assert box.store.lane_states() == states
    assert {lane: [row.body for row in box.rows(lane)] for lane in LANES} == {
        lane: bodies(entries) for lane, entries in stored.items()
    }
    assert box.put(box.entry(Lane.D))[0].seq == 4


def test_an_error_in_the_middle_of_a_group_stores_none_of_it(box: Box) -> None:
    box.fill(Lane.D, 1)
    record = Event(id="ab" * 16, device=EDGE, stamp=box.clock.stamp(), topic="No/Such/Topic")
    with pytest.raises(UnknownTopic):
        box.put(box.entry(Lane.D), Entry(record, encode_record(record)), box.entry(Lane.D))
    assert box.store.lane_states()[Lane.D].last == 1
    assert box.put(box.entry(Lane.D))[0].seq == 2
    box.assert_balanced()


def test_an_empty_group_is_answered_with_nothing(box: Box) -> None:
    assert box.put() == []


def test_a_gap_record_is_not_taken_from_outside(box: Box) -> None:
    gap = Gap(
        id="ab" * 16,
        device=EDGE,
        stamp=box.clock.stamp(),
        lane=Lane.T,
        from_seq=1,
        to_seq=2,
        count=2,
        chain="00" * 16,
        reason="dropped",
    )
    with pytest.raises(TypeError, match="GAP"):
        box.put(Entry(gap, encode_record(gap)))


@pytest.mark.parametrize("lane", [Lane.A, Lane.M, Lane.D, Lane.S])
def test_an_entry_that_is_handed_over_again_is_a_repeat(box: Box, lane: Lane) -> None:
    again = box.entry(lane)
    box.put(again)
    results = box.put(box.entry(lane), again, box.entry(lane))
    assert [result.fate for result in results] == [Fate.STORED, Fate.REPEAT, Fate.STORED]
    assert [result.seq for result in results] == [2, 0, 3]
    assert box.store.tally["repeats"] == 1
    assert box.store.depths()[lane].accepted == 3


def test_the_same_entry_twice_in_one_group_is_stored_once(box: Box) -> None:
    twice = box.entry(Lane.D)
    assert [result.fate for result in box.put(twice, twice)] == [Fate.STORED, Fate.REPEAT]
    assert box.ids(Lane.D) == [twice.record.id]


def test_an_id_used_for_something_else_is_a_conflict_that_nobody_overlooks(box: Box) -> None:
    first = box.entry(Lane.D, note="first")
    other = box.entry(Lane.D, note="other", id=first.record.id)
    box.put(first)
    assert box.put(other)[0].fate is Fate.CONFLICT
    assert [row.body for row in box.rows(Lane.D)] == [first.body]
    (alarm,) = [decode_record(row.body) for row in box.rows(Lane.A)]
    assert alarm.topic == "Delivery/Conflict"
    assert box.store.depths()[Lane.D].quarantined == 1
    box.assert_balanced()


def test_repeats_alone_write_nothing_and_are_counted_with_the_next_commit(box: Box) -> None:
    again = box.numbered(1)
    box.put(again)
    commit = box.store._core.book.commit
    for _ in range(5):
        assert box.put(again)[0].fate is Fate.REPEAT
    assert box.store._core.book.commit == commit
    assert box.store.tally["repeats"] == 5
    box.fill(Lane.S, 1)
    box.put(again)
    assert box.store.tally["repeats"] == 6
    box.reopen()
    assert box.store.tally["repeats"] == 5  # the sixth was not committed with anything


def test_a_record_of_the_largest_size_goes_through(box: Box) -> None:
    plain = box.entry(Lane.D)
    large = msgspec.structs.replace(plain.record, values={f"n{i}": "x" * 250 for i in range(32)})
    entry = Entry(large, encode_record(large))
    assert len(entry.body) > 8000
    box.put(entry)
    assert [row.body for row in box.rows(Lane.D)] == [entry.body]
    box.reopen()
    assert [row.body for row in box.rows(Lane.D)] == [entry.body]
