"""Which numbers are missing in a count without holes."""

from hypothesis import given
from hypothesis import strategies as st

from edge_agent.channels.holes import ASK_EVERY_S, ASK_MAX, HOLES_MAX, POLLS_UNTIL_MISSING, Holes, Report
from wire.clock import NS_PER_S


def fed(*numbers: int) -> tuple[Holes, list[Report]]:
    holes = Holes()
    return holes, [report for number in numbers for report in holes.seen(number)]


def test_a_count_without_holes_says_nothing() -> None:
    holes, reports = fed(7, 8, 9, 9, 8, 10)
    assert (reports, holes.missing, holes.standing) == ([], 0, 10)


def test_nothing_is_known_before_the_first_number() -> None:
    assert Holes().standing is None
    assert Holes().announced(900) == []


@given(st.permutations(range(2, 12)))
def test_any_order_of_what_was_missing_fills_the_hole_with_the_last_of_it(order: list[int]) -> None:
    holes, reports = fed(1, 12)
    assert reports == [Report("open", 2, 11)]
    said = [holes.seen(number) for number in order]
    assert said[:-1] == [[]] * 9
    assert said[-1] == [Report("filled", 2, 11)]
    assert (holes.missing, holes.standing) == (0, 12)


@given(st.lists(st.integers(0, 60), max_size=80))
def test_what_is_missing_is_what_lies_between_and_never_came(numbers: list[int]) -> None:
    holes, _ = fed(*numbers)
    expected = set(range(numbers[0], max(numbers[0], *numbers) + 1)) - set(numbers) if numbers else set()
    assert holes.missing == len(expected)
    if numbers:
        assert holes.standing == (min(expected) - 1 if expected else max(numbers))


@given(st.lists(st.integers(0, 2**32 - 1), max_size=200))
def test_wild_numbers_cost_a_bounded_amount(numbers: list[int]) -> None:
    holes, _ = fed(*numbers)
    assert len(list(holes.ask(0))) <= HOLES_MAX


def test_every_open_hole_is_asked_for_a_bounded_number_of_times() -> None:
    holes, _ = fed(1, 5, 6, 9)
    assert list(holes.ask(0)) == [(2, 4), (7, 8)]
    assert list(holes.ask(1)) == []
    holes.seen(2)
    asked = [list(holes.ask(turn * ASK_EVERY_S * NS_PER_S)) for turn in range(1, ASK_MAX + 3)]
    assert asked == [[(3, 4), (7, 8)]] * (ASK_MAX - 1) + [[]] * 3


def test_a_highest_number_that_does_not_come_is_a_hole_at_the_end() -> None:
    holes, _ = fed(1, 2)
    reports = [report for _ in range(POLLS_UNTIL_MISSING + 5) for report in holes.announced(4)]
    assert reports == [Report("open", 3, 4)]
    assert holes.seen(3) == []
    assert holes.seen(4) == [Report("filled", 3, 4)]


def test_what_is_on_its_way_is_no_hole() -> None:
    holes, _ = fed(1)
    for number in range(2, 50):
        for _ in range(POLLS_UNTIL_MISSING // 2):
            assert holes.announced(number) == []
        assert holes.seen(number) == []


def test_a_count_that_begins_anew_gives_up_what_was_missing() -> None:
    holes, _ = fed(100, 105)
    assert holes.announced(2) == [Report("abandoned", 101, 104)]
    assert (holes.missing, holes.standing) == (0, 2)
    assert holes.seen(3) == []
    assert holes.seen(5) == [Report("open", 4, 4)]
