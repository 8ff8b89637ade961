"""Ids of events: of the wire's form, never twice, and one behind the other within a run."""

from edge_agent.event_names import EventNames
from tests.support.clock import VirtualClock, seeded
from wire.records import ClockMark, decode_record, encode_record


def test_ids_of_a_run_grow_and_are_of_the_wires_form() -> None:
    names = EventNames(seeded(1))
    given = [names.next() for _ in range(300)]
    assert given == sorted(set(given))
    mark = ClockMark(id=given[-1], stamp=VirtualClock().stamp(), device="gate-1")
    assert decode_record(encode_record(mark)) == mark


def test_two_runs_share_no_id() -> None:
    first, second = EventNames(seeded(1)), EventNames(seeded(2))
    assert {first.next() for _ in range(100)}.isdisjoint(second.next() for _ in range(100))


def test_when_the_count_is_used_up_another_run_begins() -> None:
    names = EventNames(seeded(1))
    before = names.next()
    names._count = (1 << 32) - 1
    last, after = names.next(), names.next()
    assert last == before[:24] + "ffffffff"
    assert after[:24] != before[:24]
    assert after[24:] == "00000000"
