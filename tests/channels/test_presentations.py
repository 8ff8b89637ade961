"""A tag held to a reader is one presentation."""

from edge_agent.channels.presentations import HELD_MAX, Presentations
from edge_agent.message import Message, RawCredential, Secret
from wire.records import CredentialKind

MS = 1_000_000


def tag(number: int) -> Message:
    return Message(kind="tag", credential=RawCredential(CredentialKind.CARD, Secret(f"{number:010X}")))


def test_a_tag_that_stays_is_said_once_however_long() -> None:
    held = Presentations(800)
    fresh = [held.fresh(tag(1), at * 60 * MS) for at in range(1000)]
    assert fresh == [True] + [False] * 999


def test_the_gap_counts_from_the_last_time() -> None:
    held = Presentations(800)
    assert held.fresh(tag(1), 0)
    assert not held.fresh(tag(1), 799 * MS)
    assert not held.fresh(tag(1), 1598 * MS)
    assert held.fresh(tag(1), 2398 * MS)


def test_two_tags_said_in_turn_are_two_presentations() -> None:
    held = Presentations(800)
    assert [held.fresh(tag(at % 2), at * 60 * MS) for at in range(6)] == [True, True, False, False, False, False]


def test_without_a_gap_everything_is_new() -> None:
    held = Presentations(0)
    assert held.fresh(tag(1), 0)
    assert held.fresh(tag(1), 0)


def test_what_could_not_be_kept_is_new_when_it_is_said_again() -> None:
    held = Presentations(800)
    assert held.fresh(tag(1), 0)
    assert held.fresh(tag(2), 0)
    held.forget(tag(1))
    assert held.fresh(tag(1), 60 * MS)
    assert not held.fresh(tag(2), 60 * MS)


def test_the_memory_is_bounded_and_forgets_the_one_longest_unheard() -> None:
    held = Presentations(800)
    for number in range(HELD_MAX + 1):
        assert held.fresh(tag(number), number)
    assert not held.fresh(tag(1), 100)
    assert held.fresh(tag(0), 100)
