"""Who speaks next, and how much may be under way."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.uplink.turns import (
    ALARMS_IN_A_ROW,
    BUDGET_BYTES_MAX,
    BUDGET_BYTES_MIN,
    BUDGET_BYTES_START,
    WEIGHTS,
    Goodput,
    Turns,
)
from wire.topics import LANES, Lane

REST = [Lane.M, Lane.D, Lane.S, Lane.T]


def test_nobody_ready_nobody_speaks() -> None:
    assert Turns().next([]) is None


def test_an_alarm_goes_before_everyone() -> None:
    assert Turns().next(list(LANES)) is Lane.A


def test_alarms_without_end_leave_one_turn_in_ten_to_the_others() -> None:
    turns = Turns()
    spoken = Counter(turns.next(list(LANES)) for _ in range(10 * 11))
    assert spoken[Lane.A] == 99
    assert spoken == {Lane.A: 99, Lane.M: 4, Lane.D: 4, Lane.S: 2, Lane.T: 1}


def test_alarms_alone_never_pause() -> None:
    turns = Turns()
    assert {turns.next([Lane.A]) for _ in range(5 * ALARMS_IN_A_ROW)} == {Lane.A}


def test_the_others_share_by_weight_in_every_round() -> None:
    turns = Turns()
    for _ in range(3):
        round_ = Counter(turns.next(REST) for _ in range(sum(WEIGHTS.values())))
        assert round_ == WEIGHTS


def test_who_has_nothing_to_say_leaves_its_turns_to_the_rest() -> None:
    turns = Turns()
    assert Counter(turns.next([Lane.D, Lane.T]) for _ in range(50)) == {Lane.D: 40, Lane.T: 10}


@given(st.lists(st.sets(st.sampled_from(REST), min_size=1), min_size=1, max_size=60))
def test_whoever_is_always_ready_speaks_in_every_round(ready_sets: list[set[Lane]]) -> None:
    """Telemetry has the least weight and still waits for at most a round of the others' tokens."""
    turns = Turns()
    waited = 0
    for ready in ready_sets:
        spoken = turns.next([lane for lane in LANES if lane in ready | {Lane.T}])
        assert spoken in ready | {Lane.T}
        waited = 0 if spoken is Lane.T else waited + 1
        assert waited <= 2 * sum(WEIGHTS.values())


def test_the_first_budget_is_a_guess() -> None:
    assert Goodput().budget() == BUDGET_BYTES_START


def test_the_budget_is_half_a_second_of_what_acks_confirm() -> None:
    goodput = Goodput()
    goodput.confirmed(100_000, sent_s=0.0, now=1.0)
    assert goodput.budget() == 50_000


def test_flights_under_way_together_share_the_line() -> None:
    goodput = Goodput()
    goodput.confirmed(100_000, sent_s=0.0, now=1.0)
    goodput.confirmed(100_000, sent_s=0.0, now=2.0)  # sent with the first, but its line time began at the first's ack
    assert goodput.budget() == 50_000


def test_the_budget_follows_a_line_that_grows_thin() -> None:
    goodput = Goodput()
    goodput.confirmed(200_000, sent_s=0.0, now=1.0)
    budgets = []
    for second in range(1, 12):
        goodput.confirmed(40_000, sent_s=float(second), now=second + 1.0)
        budgets.append(goodput.budget())
    assert budgets == sorted(budgets, reverse=True)
    assert budgets[-1] < 25_000


@pytest.mark.parametrize(("size", "seconds", "budget"), [(10, 60.0, BUDGET_BYTES_MIN), (10**9, 0.0, BUDGET_BYTES_MAX)])
def test_the_budget_has_bounds(size: int, seconds: float, budget: int) -> None:
    goodput = Goodput()
    goodput.confirmed(size, sent_s=0.0, now=seconds)
    assert goodput.budget() == budget
