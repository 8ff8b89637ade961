"""Within a long run the search for garbage is rare and spares what was loaded; after it all is as before."""

import gc

import pytest

from wire.collector import YOUNG, give_back, long_running


class Circle:
    """Holds itself."""

    def __init__(self) -> None:
        self.itself = self


def circles() -> int:
    gc.collect()
    return sum(isinstance(one, Circle) for one in gc.get_objects())


def test_garbage_of_a_long_run_is_found_and_what_was_loaded_is_not_searched() -> None:
    before, frozen = gc.get_threshold(), gc.get_freeze_count()
    with long_running():
        assert gc.get_threshold() == (YOUNG, *before[1:])
        assert gc.get_freeze_count() > frozen
        Circle()
        assert circles() == 0
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_a_run_that_ends_badly_leaves_all_as_before() -> None:
    before = gc.get_threshold()
    with pytest.raises(RuntimeError), long_running():
        raise RuntimeError
    assert gc.get_threshold() == before
    assert gc.get_freeze_count() == 0


def test_giving_back_takes_nothing_away_that_is_used() -> None:
    kept = [bytes([number % 256]) * 10_000 for number in range(1000)]
    for _ in range(500):
        kept.pop()
    give_back()
    assert all(one == bytes([number % 256]) * 10_000 for number, one in enumerate(kept))
