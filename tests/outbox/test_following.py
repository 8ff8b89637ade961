"""A follower gives every record that is stored after it began, once, whatever the agent does meanwhile."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from edge_agent.outbox import OutboxRefused, following
from edge_agent.outbox.following import Follower
from tests.outbox.making import Box
from wire.topics import LANES, Lane


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    made = Box(tmp_path / "outbox.sqlite")
    yield made
    made.store.close()


@pytest.fixture
def follower(box: Box) -> Iterator[Follower]:
    with Follower(box.path) as made:
        yield made


def ids(follower: Follower) -> list[str]:
    found = []
    while news := follower.news():
        found += [one.record.id for one in news]
    return found


def test_it_begins_with_what_comes_next_and_gives_each_record_once(box: Box, follower: Follower) -> None:
    box.fill(Lane.D, 5)
    follower.begin()
    assert ids(follower) == []
    stored = []
    for lane in LANES:
        box.clock.advance(1)
        stored += box.fill(lane, 3)
    assert ids(follower) == [entry.record.id for entry in stored]
    assert ids(follower) == []


def test_more_than_one_look_can_hold_comes_in_several(
    box: Box, follower: Follower, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(following, "ROWS_MAX", 3)
    follower.begin()
    stored = box.fill(Lane.D, 10) + box.fill(Lane.T, 4)
    assert sorted(ids(follower)) == sorted(entry.record.id for entry in stored)


def test_it_can_begin_with_what_is_so_old_at_most(box: Box, follower: Follower) -> None:
    box.fill(Lane.D, 4)
    box.clock.advance(600)
    young = box.fill(Lane.D, 2) + box.fill(Lane.A, 1)
    box.clock.advance(60)
    follower.begin(box.clock.wall_ns() - 120 * 10**9)
    assert sorted(ids(follower)) == sorted(entry.record.id for entry in young)
    with Follower(box.path) as whole:
        whole.begin(0)
        assert len(ids(whole)) == 7


def test_a_new_epoch_neither_repeats_nor_leaves_out(box: Box, follower: Follower) -> None:
    box.fill(Lane.D, 4)
    follower.begin()
    given = box.fill(Lane.D, 2)
    assert ids(follower) == [entry.record.id for entry in given]
    unseen = box.fill(Lane.D, 3)
    first_of_its_lane = box.fill(Lane.A, 2)
    box.store.fork("chain")
    later = box.fill(Lane.D, 2) + box.fill(Lane.T, 1)
    expected = [entry.record.id for entry in (*unseen, *first_of_its_lane, *later)]
    assert sorted(ids(follower)) == sorted(expected)
    assert ids(follower) == []


def test_a_restart_of_the_agent_is_not_noticed(box: Box, follower: Follower) -> None:
    follower.begin()
    box.fill(Lane.D, 2)
    box.reopen()
    box.fill(Lane.D, 2)
    assert len(ids(follower)) == 4


def test_a_file_that_was_replaced_is_opened_anew(box: Box, follower: Follower) -> None:
    follower.begin()
    box.fill(Lane.D, 2)
    given = ids(follower)
    assert len(given) == 2
    box.store.close()
    box.path.write_bytes(box.path.read_bytes()[:100] + b"damage" * 4000)
    box.store = box.open()
    assert box.store.recovery is not None
    # That it was damaged stands in it, too.
    (told,) = follower.news()
    assert told.lane is Lane.S
    (fresh,) = box.fill(Lane.D, 1)
    assert ids(follower) == [fresh.record.id]


def test_what_is_no_outbox_is_told(tmp_path: Path) -> None:
    with Follower(tmp_path / "none.sqlite") as follower, pytest.raises(FileNotFoundError):
        follower.begin()
    (tmp_path / "other").write_bytes(b"no database at all" * 100)
    with Follower(tmp_path / "other") as follower, pytest.raises(OutboxRefused):
        follower.begin()
