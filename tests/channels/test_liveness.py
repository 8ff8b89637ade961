from hypothesis import given
from hypothesis import strategies as st

from edge_agent.channels.liveness import (
    CHANGES_MAX,
    CHANGES_WITHIN_S,
    Cause,
    Change,
    Liveness,
    Operating,
)
from wire.clock import NS_PER_S

UP, DOWN = Operating.UP, Operating.DOWN


def at(seconds: float) -> int:
    return int((1000 + seconds) * NS_PER_S)


def watched() -> Liveness:
    """Sixty seconds, three times, from second 0."""
    return Liveness(interval_s=60, missed=3, started_ns=at(0))


def test_the_first_sign_of_life_is_said_as_initialized() -> None:
    device = watched()
    assert device.tick(at(1)) is None
    assert device.state is None
    assert device.heard(at(5)) == Change(UP, Cause.HEARD, initialized=True)
    assert device.heard(at(6)) is None


def test_a_device_never_heard_is_down_after_three_intervals_and_that_is_initialized_too() -> None:
    device = watched()
    assert device.tick(at(179)) is None
    assert device.tick(at(180)) == Change(DOWN, Cause.SILENT, initialized=True)
    assert device.tick(at(1000)) is None


def test_three_missed_intervals_are_down_and_the_next_word_is_up() -> None:
    device = watched()
    device.heard(at(10))
    assert device.tick(at(189)) is None
    assert device.tick(at(190)) == Change(DOWN, Cause.SILENT)
    assert device.heard(at(300)) == Change(UP, Cause.HEARD)


def test_a_last_will_is_down_at_once() -> None:
    device = watched()
    device.heard(at(10))
    assert device.gone(at(11)) == Change(DOWN, Cause.LAST_WILL)
    assert device.gone(at(12)) is None
    assert device.state is DOWN


def test_flapping_is_folded_and_the_present_state_said_as_soon_as_there_is_room() -> None:
    device = watched()
    device.heard(at(0))
    said = 1
    for second in range(1, 100, 2):
        said += device.gone(at(second)) is not None
        said += device.heard(at(second + 1)) is not None
    assert said == CHANGES_MAX
    assert device.tick(at(CHANGES_WITHIN_S - 1)) is None or device.state is DOWN
    change = device.tick(at(CHANGES_WITHIN_S))
    assert change is not None
    assert change.state is device.state
    assert change.folded > 0


def test_a_report_that_was_not_accepted_is_made_again() -> None:
    device = watched()
    change = device.heard(at(5))
    assert change is not None
    device.again(change)
    assert device.tick(at(6)) == Change(UP, Cause.HEARD, initialized=True)


def test_a_report_not_accepted_in_between_is_made_with_the_state_of_then() -> None:
    device = watched()
    device.heard(at(5))
    change = device.gone(at(6))
    assert change is not None
    device.again(change)
    assert device.heard(at(7)) == Change(UP, Cause.HEARD, folded=1)


@given(st.lists(st.tuples(st.sampled_from(["heard", "gone", "tick"]), st.integers(0, 400)), max_size=60))
def test_what_was_said_and_folded_adds_up_to_what_happened(steps: list[tuple[str, int]]) -> None:
    """Every change of state is reported or counted as folded, the last word is the truth once there is room, only the
    first is initialized, and no span holds more reports than allowed.
    """
    device, now, changes, reports = watched(), 0.0, 0, list[tuple[float, Change]]()
    for what, seconds in [*steps, ("tick", CHANGES_WITHIN_S)]:
        now += seconds
        before = device.state
        change = getattr(device, what)(at(now))
        changes += device.state is not before
        if change is not None:
            assert change.state is device.state
            reports.append((now, change))
    assert sum(1 + change.folded for _, change in reports) == changes
    assert [change.initialized for _, change in reports] == [number == 0 for number in range(len(reports))]
    for (early, _), (late, _) in zip(reports, reports[CHANGES_MAX:], strict=False):
        assert late - early >= CHANGES_WITHIN_S


def test_another_limit_counts_as_long_as_it_is_given() -> None:
    device = watched()
    device.heard(at(0))
    assert device.tick(at(29), 30) is None
    assert device.tick(at(30), 30) == Change(DOWN, Cause.SILENT)
    device.heard(at(31))
    assert device.tick(at(180)) is None
