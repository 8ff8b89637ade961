"""A step of the wall clock is noticed, and so is the moment in which it became believable."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent.clock import ClockWatch
from tests.support.clock import VirtualClock
from wire.clock import ClockState


def watched(clock: VirtualClock) -> ClockWatch:
    watch = ClockWatch()
    clock.state = ClockState.UNSYNCED
    assert watch.observe(clock.stamp()) is None
    return watch


def test_the_first_synchronisation_of_a_boot_is_marked_with_the_step_it_made() -> None:
    clock = VirtualClock(wall_s=60)
    watch = watched(clock)
    clock.advance(5)
    clock.step_wall(1_788_220_000)
    clock.state = ClockState.SYNCED
    assert watch.observe(clock.stamp()) == 1_788_220_000_000
    clock.advance(5)
    assert watch.observe(clock.stamp()) is None


def test_a_box_that_starts_synchronised_marks_that_once() -> None:
    clock, watch = VirtualClock(), ClockWatch()
    assert watch.observe(clock.stamp()) == 0
    assert watch.observe(clock.stamp()) is None


@pytest.mark.parametrize("seconds", [-3600, -0.5, 0.5, 86_400])
def test_every_later_step_is_marked(seconds: float) -> None:
    clock = VirtualClock()
    watch = ClockWatch()
    watch.observe(clock.stamp())
    clock.advance(5)
    clock.step_wall(seconds)
    assert watch.observe(clock.stamp()) == seconds * 1000
    clock.advance(5)
    assert watch.observe(clock.stamp()) is None


@given(st.lists(st.floats(-0.4, 0.4), max_size=30))
def test_drift_is_no_step(drifts: list[float]) -> None:
    """Whatever a clock gains or loses in small pieces: no single look sees half a second, so nothing is marked."""
    clock = VirtualClock()
    watch = watched(clock)
    for drift in drifts:
        clock.advance(5)
        clock.step_wall(drift)
        assert watch.observe(clock.stamp()) is None


def test_losing_and_regaining_discipline_without_a_step_is_no_news() -> None:
    clock, watch = VirtualClock(), ClockWatch()
    watch.observe(clock.stamp())
    clock.state = ClockState.HOLDOVER
    assert watch.observe(clock.stamp()) is None
    clock.state = ClockState.SYNCED
    assert watch.observe(clock.stamp()) is None
