"""A device's own numbers: repeats, restarts of its count, conflicts, several spaces."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.outbox import Fate
from edge_agent.outbox.book import Space
from edge_agent.outbox.sources import EPOCH_MAX, Known, Verdict, after, first_epoch, judge
from tests.outbox.making import Box
from tests.support.clock import VirtualClock
from wire.clock import ClockState
from wire.identity import CONTENT_SPACE, SourceKey, source_no
from wire.records import Event, decode_record
from wire.topics import Lane


def epochs(box: Box) -> list[tuple[int, int]]:
    """(device epoch, number) of each door record, in order."""
    records = [decode_record(row.body) for row in box.rows(Lane.D)]
    return [(record.source.epoch, record.source.record_no) for record in records]


def fate(box: Box, *args, **kwargs) -> Fate:
    return box.put(box.numbered(*args, **kwargs))[0].fate


def test_a_record_sent_again_is_a_repeat_though_its_id_and_stamp_differ(box: Box) -> None:
    assert fate(box, 7, at_s=100) is Fate.STORED
    box.clock.advance(60)
    assert fate(box, 7, at_s=100) is Fate.REPEAT
    assert fate(box, 7, at_s=100, replayed=True) is Fate.REPEAT
    assert epochs(box) == [(0, 7)]


def test_a_repeat_is_known_after_a_restart_of_the_box_and_after_a_fork(box: Box) -> None:
    box.put(box.numbered(7, at_s=100))
    box.reopen()
    assert fate(box, 7, at_s=100) is Fate.REPEAT
    box.store.fork("chain")
    assert fate(box, 7, at_s=100) is Fate.REPEAT


def test_the_same_number_of_another_device_is_another_record(box: Box) -> None:
    assert fate(box, 7, device="face-1") is Fate.STORED
    assert fate(box, 7, device="face-2") is Fate.STORED


def test_a_repeat_within_one_group_is_seen(box: Box) -> None:
    one, again, other = box.numbered(7), box.numbered(7), box.numbered(7, note="other")
    assert [result.fate for result in box.put(one, again, other)] == [Fate.STORED, Fate.REPEAT, Fate.CONFLICT]


def test_a_backlog_with_lower_numbers_and_earlier_times_is_stored(box: Box) -> None:
    assert fate(box, 100, at_s=1000) is Fate.STORED
    assert [fate(box, number, at_s=number) for number in (50, 51, 52)] == [Fate.STORED] * 3
    assert epochs(box) == [(0, 100), (0, 50), (0, 51), (0, 52)]
    assert "restarts" not in box.store.tally


def test_a_count_that_starts_again_opens_a_new_device_epoch(box: Box) -> None:
    for number in (98, 99, 100):
        box.put(box.numbered(number, at_s=number))
    assert [fate(box, number, at_s=1000 + number) for number in (1, 2)] == [Fate.STORED] * 2
    assert epochs(box) == [(0, 98), (0, 99), (0, 100), (1, 1), (1, 2)]
    assert box.store.tally["restarts"] == 1
    box.reopen()
    assert fate(box, 3, at_s=1003) is Fate.STORED
    assert epochs(box)[-1] == (1, 3)


def test_after_a_restart_of_the_count_old_records_are_still_known_as_repeats(box: Box) -> None:
    box.put(box.numbered(1, at_s=10), box.numbered(2, at_s=11))
    assert fate(box, 1, at_s=500, note="new life") is Fate.STORED
    assert fate(box, 1, at_s=10) is Fate.REPEAT
    assert fate(box, 2, at_s=11) is Fate.REPEAT
    assert fate(box, 1, at_s=500, note="new life") is Fate.REPEAT


@pytest.mark.parametrize("at_s", [100, 99, None])
def test_other_content_under_a_taken_number_is_a_conflict_kept_and_told(box: Box, at_s: int | None) -> None:
    first = box.numbered(7, at_s=100)
    box.put(first)
    second = box.numbered(7, at_s=at_s, note="other")
    (result,) = box.put(second)
    assert (result.fate, result.lane, result.seq) == (Fate.CONFLICT, Lane.D, 0)
    assert [row.body for row in box.rows(Lane.D)] == [first.body]
    (alarm,) = [decode_record(row.body) for row in box.rows(Lane.A)]
    assert isinstance(alarm, Event)
    assert (alarm.topic, alarm.device, alarm.values["record_no"]) == ("Delivery/Conflict", first.record.device, 7)
    (kept,) = box.store.quarantined()
    assert (kept.device, kept.reason, kept.length) == (first.record.device, "conflict", len(second.body))
    depth = box.store.depths()[Lane.D]
    assert (depth.accepted, depth.queued, depth.quarantined) == (2, 1, 1)
    box.assert_balanced()


def test_a_conflict_sent_again_and_again_is_told_once(box: Box) -> None:
    box.put(box.numbered(7, at_s=100))
    assert fate(box, 7, at_s=100, note="other") is Fate.CONFLICT
    assert fate(box, 7, at_s=100, note="other") is Fate.REPEAT
    box.reopen()
    assert fate(box, 7, at_s=100, note="other") is Fate.REPEAT
    assert fate(box, 7, at_s=100, note="a third") is Fate.CONFLICT
    assert len(box.rows(Lane.A)) == 2
    assert len(box.store.quarantined()) == 2


def test_without_a_time_of_the_device_no_restart_is_guessed(box: Box) -> None:
    box.put(box.numbered(7, at_s=None))
    assert fate(box, 3, at_s=None) is Fate.STORED
    assert fate(box, 7, at_s=5000, note="other") is Fate.CONFLICT


def test_a_device_that_counts_its_kinds_apart_restarts_in_one_space_only(box: Box) -> None:
    doors, codes = (lambda number: source_no(number, 0)), (lambda number: source_no(number, 3))
    assert fate(box, doors(100), at_s=100) is Fate.STORED
    assert fate(box, codes(5), at_s=200) is Fate.STORED
    assert fate(box, doors(101), at_s=201) is Fate.STORED
    assert "restarts" not in box.store.tally
    assert fate(box, doors(1), at_s=300) is Fate.STORED
    assert fate(box, codes(6), at_s=301) is Fate.STORED
    assert epochs(box) == [(0, doors(100)), (0, codes(5)), (0, doors(101)), (1, doors(1)), (0, codes(6))]


def test_a_numbered_reading_is_deduplicated_too(box: Box) -> None:
    one, again = (box.entry(Lane.T, source=SourceKey(record_no=4)) for _ in range(2))
    assert [result.fate for result in box.put(one)] == [Fate.STORED]
    assert [result.fate for result in box.put(again)] == [Fate.REPEAT]


def test_a_forgotten_number_may_come_again_without_being_a_conflict(box: Box) -> None:
    box.put(box.numbered(7, at_s=100))
    box.store.acknowledge({Lane.D: 1})
    box.settle()
    box.clock.advance(8 * 86_400)
    box.settle()
    assert box.store.lane_states()[Lane.D].first == 2
    assert fate(box, 7, at_s=100) is Fate.STORED  # the ledger knows the fingerprint and drops it there


# --- the judgement alone

SPACES = st.builds(
    Space,
    epoch=st.integers(0, 3),
    max_no=st.integers(-1, 20),
    max_wall_ns=st.none() | st.integers(0, 20),
    top_no=st.integers(20, 30),
)
KNOWN = st.lists(st.builds(Known, st.integers(0, 3), st.sampled_from([b"a", b"b", b"c"])), max_size=3)


@given(SPACES, st.integers(0, 20), st.sampled_from([b"a", b"b"]), st.none() | st.integers(0, 20), KNOWN)
def test_a_record_is_stored_only_under_a_key_that_is_free(space, record_no, print_, wall_ns, known) -> None:
    """Whatever came before: a record is never stored under a key that is taken, and never twice."""
    known = [one for one in known if one.epoch <= space.epoch]
    verdict = judge(space, record_no, print_, wall_ns, known)
    assert (verdict is Verdict.REPEAT) == any(one.print == print_ for one in known)
    if verdict in {Verdict.STORE, Verdict.RESTART}:
        then = after(space, record_no, wall_ns, restarted=verdict is Verdict.RESTART)
        assert then.epoch not in {one.epoch for one in known}
        assert then.top_no >= max(space.top_no, record_no)
        assert then.max_no >= record_no


def test_after_damage_device_epochs_start_where_none_has_been() -> None:
    clock = VirtualClock(wall_s=1_788_220_800)
    assert first_epoch(clock.stamp(), 0, 0) == 1_788_220_800 // 60
    assert first_epoch(clock.stamp(), 0, 40_000_000) == 40_000_001
    clock.state = ClockState.UNSYNCED
    assert 1 << 30 <= first_epoch(clock.stamp(), 0xFFFFFFFF, 0) <= EPOCH_MAX
    assert first_epoch(clock.stamp(), 0, EPOCH_MAX) == EPOCH_MAX


# --- numbers made of the content ------------------------------------------------------------------------


@given(st.lists(st.tuples(st.integers(0, 2**48 - 1), st.integers(0, 10**6)), min_size=1, unique_by=lambda one: one[0]))
def test_numbers_without_order_never_look_like_a_restarted_count(records: list[tuple[int, int]]) -> None:
    space = Space(epoch=3)
    for number, wall_ns in records:
        record_no = source_no(number, CONTENT_SPACE)
        assert judge(space, record_no, b"one", wall_ns, []) is Verdict.STORE
        space = after(space, record_no, wall_ns, restarted=False)
    assert space.epoch == 3


def test_a_record_without_order_is_known_again(box: Box) -> None:
    high, low = source_no(2**48 - 1, CONTENT_SPACE), source_no(5, CONTENT_SPACE)
    assert fate(box, high, at_s=100) is Fate.STORED
    assert fate(box, low, at_s=200) is Fate.STORED
    box.reopen()
    assert [fate(box, low, at_s=200), fate(box, high, at_s=100)] == [Fate.REPEAT] * 2
    assert epochs(box) == [(0, high), (0, low)]
    assert "restarts" not in box.store.tally


@pytest.mark.parametrize("at_s", [50, 150])
def test_two_contents_that_share_a_number_are_both_kept(box: Box, at_s: int) -> None:
    number = source_no(77, CONTENT_SPACE)
    assert fate(box, number, at_s=100, note="one") is Fate.STORED
    assert fate(box, number, at_s=at_s, note="other") is Fate.STORED
    assert fate(box, number, at_s=100, note="one") is Fate.REPEAT
    assert fate(box, number, at_s=at_s, note="other") is Fate.REPEAT
    assert epochs(box) == [(0, number), (1, number)]


def test_one_content_with_two_meanings_is_a_conflict(box: Box) -> None:
    """A profile was changed between two sendings: the number says that it is the same record."""
    number = source_no(77, CONTENT_SPACE)
    assert fate(box, number, at_s=100, note="one meaning") is Fate.STORED
    assert fate(box, number, at_s=100, note="another") is Fate.CONFLICT
