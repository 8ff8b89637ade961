"""Who is asked when: no drift, nothing piles up, a dead unit takes a small part of its line."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.channels.polling import SILENT_AFTER, Rota, Unit
from wire.clock import NS_PER_MS, NS_PER_S


def test_a_turn_is_due_an_interval_after_it_was_due_and_not_after_it_was_served() -> None:
    rota = Rota.starting(range(1), 0)
    for turn in range(100):
        assert rota.due_ns() == turn * NS_PER_S
        assert rota.put_back(rota.take(), NS_PER_S, turn * NS_PER_S + 300 * NS_PER_MS) == 0


def test_a_turn_that_is_late_by_less_than_an_interval_is_served_late() -> None:
    rota = Rota.starting(range(1), 0)
    assert rota.put_back(rota.take(), NS_PER_S, int(1.6 * NS_PER_S)) == 0
    assert rota.due_ns() == NS_PER_S
    # By more, and those in between are left out; it stays on its beat.
    assert rota.put_back(rota.take(), NS_PER_S, int(5.6 * NS_PER_S)) == 3
    assert rota.due_ns() == 5 * NS_PER_S


@given(
    st.lists(st.integers(1, 50), min_size=1, max_size=6),
    st.lists(st.integers(0, 40), min_size=200, max_size=200),
)
def test_every_turn_is_served_or_counted_and_nobody_is_forgotten(intervals: list[int], costs: list[int]) -> None:
    """Whatever the turns cost."""
    rota = Rota.starting(range(len(intervals)), 0)
    now = 0
    served: Counter[int] = Counter()
    left_out: Counter[int] = Counter()
    for cost in costs:
        now = max(now, rota.due_ns())
        turn = rota.take()
        served[turn.job] += 1
        now += cost
        left_out[turn.job] += rota.put_back(turn, intervals[turn.job], now)
    for job, interval in enumerate(intervals):
        # What is due up to now is served, left out, or waits: one turn, and less than a round of the others ago.
        due = now // interval + 1
        assert served[job] + left_out[job] <= due
        waiting = due - served[job] - left_out[job]
        assert waiting * interval <= interval + sum(sorted(costs)[-len(intervals) :]) + interval
    if sum(costs) and len(costs) > 50 * len(intervals):
        assert set(served) == set(range(len(intervals)))


def test_another_rhythm_counts_from_the_last_turn() -> None:
    rota = Rota.starting(range(2), 0)
    # Nobody who is due for the first time waits for a rhythm.
    rota.retime([10 * NS_PER_S, 20 * NS_PER_S])
    for interval_s in (10, 20):
        assert rota.due_ns() == 0
        rota.put_back(rota.take(), interval_s * NS_PER_S, 5)
    rota.retime([10 * NS_PER_S, 2 * NS_PER_S])
    first = rota.take()
    assert (first.job, first.due_ns) == (1, 2 * NS_PER_S)
    assert rota.put_back(first, 2 * NS_PER_S, 2 * NS_PER_S) == 0
    assert rota.due_ns() == 4 * NS_PER_S


def pauses(cost_ns: int, *, alone: bool, count: int = 10) -> list[int]:
    """In seconds, as they follow on one another."""
    unit = Unit()
    unit.missed(0, cost_ns, alone=alone)
    assert unit.may_be_asked(0)
    now, found = 0, []
    for _ in range(count):
        unit.missed(now, cost_ns, alone=alone)
        assert unit.silent
        assert not unit.may_be_asked(unit.asleep_until_ns - 1)
        found.append((unit.asleep_until_ns - now) // NS_PER_S)
        now = unit.asleep_until_ns
        assert unit.may_be_asked(now)
    unit.answered()
    assert not unit.silent
    return found


def test_a_unit_is_left_alone_after_two_misses_and_its_pause_grows() -> None:
    assert SILENT_AFTER == 2
    assert pauses(NS_PER_MS, alone=False) == [2, 4, 8, 16, 32, 60, 60, 60, 60, 60]


def test_a_dead_unit_that_costs_more_is_asked_less() -> None:
    assert pauses(NS_PER_S, alone=False) == [5, 10, 20, 40, 40, 60, 60, 60, 60, 60]
    assert pauses(20 * NS_PER_S, alone=False, count=5) == [100, 200, 400, 800, 800]


def test_where_nobody_answers_nobody_is_spared() -> None:
    assert pauses(20 * NS_PER_S, alone=True) == [1, 2, 4, 8, 8, 8, 8, 8, 8, 8]
