"""Who is asked when: no drift, nothing piles up, a dead unit takes a small part of its line."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.channels.polling import COST_SHARE, PAUSE_S, SILENT_AFTER, Rota, Unit
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


def test_a_unit_is_left_alone_after_two_misses_and_its_pause_grows() -> None:
    unit = Unit()
    unit.missed(0, NS_PER_MS)
    assert unit.may_be_asked(0)
    pauses = []
    now = 0
    for _ in range(SILENT_AFTER, 12):
        unit.missed(now, NS_PER_MS)
        assert unit.silent
        pauses.append((unit.asleep_until_ns - now) // NS_PER_S)
        assert not unit.may_be_asked(unit.asleep_until_ns - 1)
        now = unit.asleep_until_ns
        assert unit.may_be_asked(now)
    assert pauses == [2, 4, 8, 16, 32, 60, 60, 60, 60, 60]
    assert pauses[-1] == PAUSE_S[1]
    unit.answered()
    assert not unit.silent
    assert unit.may_be_asked(now)


def test_a_dead_unit_that_costs_more_is_asked_less() -> None:
    unit = Unit()
    for _ in range(SILENT_AFTER):
        unit.missed(0, 20 * NS_PER_S)
    assert unit.asleep_until_ns == COST_SHARE * 20 * NS_PER_S
