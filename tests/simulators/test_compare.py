"""A comparer that never complains proves nothing: losses and doubles are planted here and must be found."""

from collections.abc import Iterable

import pytest

from simulators.compare import SYSTEMS, DeviceFacts, Stored, compare
from simulators.device import RecordKey
from simulators.journal import Fate, Journal, Produced, Said
from wire.identity import source_no

DEVICES = {
    "1026701": DeviceFacts("gate-1/face-1", "biometric", ("access", "attendance", "biometrics"), {"rec": 0, "snap": 1}),
    "1026702": DeviceFacts("gate-2/face-1", "access_control", ("access",), {"rec": 0, "snap": 1}),
}


def record(device: str, number: int, *, run: int = 0, series: str = "rec", fate: Fate = Fate.ACKED) -> Produced:
    key = RecordKey(series, run, number)
    return Produced(device, key, f"2026-09-0{run + 1} 08:00:{number % 60:02d}", number, "1", 0, fate)


def journal_of(records: Iterable[Produced]) -> Journal:
    return Journal({(one.device, one.key): one for one in records})


def at_rest(one: Produced, event_id: str | None = None) -> Stored:
    facts = DEVICES[one.device]
    name = event_id or f"{one.device}/{one.key}"
    return Stored(name, facts.device_id, one.device_time, source_no(one.key.number, facts.spaces[one.key.series]))


RECORDS = [record(device, number) for device in DEVICES for number in range(1, 51)]


def test_everything_once_is_exact() -> None:
    result = compare(journal_of(RECORDS), map(at_rest, RECORDS), DEVICES)
    assert result.exact
    assert (result.total.produced, result.total.stored) == (100, 100)
    assert {name: tally.stored for name, tally in result.by_device_class.items()} == {
        "biometric": 50,
        "access_control": 50,
    }
    assert {name: tally.stored for name, tally in result.by_system.items() if tally.stored} == {
        "access": 100,
        "attendance": 50,
        "biometrics": 50,
    }
    assert tuple(result.by_system) == SYSTEMS


@pytest.mark.parametrize("index", range(0, 100, 13))
def test_a_planted_loss_is_found_and_named(index: int) -> None:
    rest = RECORDS[:index] + RECORDS[index + 1 :]
    result = compare(journal_of(RECORDS), map(at_rest, rest), DEVICES)
    assert not result.exact
    assert (result.total.lost, result.total.duplicated) == (1, 0)
    assert result.lost_records == [RECORDS[index]]
    assert result.by_system["access"].lost == 1


def test_a_held_record_that_is_missing_is_lost_too() -> None:
    held = record("1026701", 99, fate=Fate.HELD)
    result = compare(journal_of([*RECORDS, held]), map(at_rest, RECORDS), DEVICES)
    assert result.lost_records == [held]


@pytest.mark.parametrize("index", range(0, 100, 13))
def test_a_planted_double_is_found_and_named(index: int) -> None:
    twice = [*map(at_rest, RECORDS), at_rest(RECORDS[index], "another event id")]
    result = compare(journal_of(RECORDS), twice, DEVICES)
    assert not result.exact
    assert (result.total.lost, result.total.duplicated) == (0, 1)
    assert result.doubled_records == [RECORDS[index]]


def test_the_same_row_read_twice_is_no_double() -> None:
    result = compare(journal_of(RECORDS), [*map(at_rest, RECORDS), at_rest(RECORDS[0])], DEVICES)
    assert result.exact


def test_a_loss_and_a_double_do_not_cancel_out() -> None:
    stored = [*map(at_rest, RECORDS[1:]), at_rest(RECORDS[5], "again")]
    result = compare(journal_of(RECORDS), stored, DEVICES)
    assert (result.total.lost, result.total.duplicated, result.total.stored) == (1, 1, 99)


def test_something_at_rest_that_nobody_produced_is_not_exact() -> None:
    invented = at_rest(record("1026701", 4711))
    result = compare(journal_of(RECORDS), [*map(at_rest, RECORDS), invented], DEVICES)
    assert result.unexpected == 1
    assert not result.exact


def test_a_record_with_another_time_is_another_record() -> None:
    moved = at_rest(RECORDS[0])
    moved = Stored(moved.event_id, moved.device_id, "2026-09-01 09:00:00", moved.record_no)
    result = compare(journal_of(RECORDS), [moved, *map(at_rest, RECORDS[1:])], DEVICES)
    assert (result.total.lost, result.unexpected) == (1, 1)


def test_two_numberings_and_two_runs_are_told_apart() -> None:
    records = [record("1026701", 1), record("1026701", 1, series="snap"), record("1026701", 1, run=1)]
    assert compare(journal_of(records), map(at_rest, records), DEVICES).exact
    for missing in range(3):
        rest = records[:missing] + records[missing + 1 :]
        assert compare(journal_of(records), map(at_rest, rest), DEVICES).lost_records == [records[missing]]


def test_what_a_device_destroyed_itself_may_be_missing_but_not_twice() -> None:
    gone = record("1026701", 99, fate=Fate.DESTROYED)
    records = [*RECORDS, gone]
    assert compare(journal_of(records), map(at_rest, RECORDS), DEVICES).exact
    assert compare(journal_of(records), map(at_rest, records), DEVICES).exact
    twice = [*map(at_rest, records), at_rest(gone, "again")]
    assert compare(journal_of(records), twice, DEVICES).total.duplicated == 1


def test_what_was_said_once_is_counted_apart() -> None:
    journal = journal_of(RECORDS)
    journal.said = [Said("1026701", "CardPush", "2026-09-01 08:00:00", 0)] * 3
    heard = [Stored(f"said-{n}", "gate-1/face-1", "2026-09-01 08:00:00") for n in range(2)]
    result = compare(journal, [*map(at_rest, RECORDS), *heard], DEVICES)
    assert (result.unheard.produced, result.unheard.stored) == (3, 2)
    assert result.exact
    # The total is of records; of a system both count.
    assert (result.total.produced, result.total.stored) == (100, 100)
    for group in (result.by_system["biometrics"], result.by_device_class["biometric"]):
        assert (group.produced, group.stored, group.lost, group.duplicated) == (53, 52, 0, 0)
        assert (group.unheard.produced, group.unheard.stored) == (3, 2)


def test_events_of_other_devices_are_passed_over() -> None:
    foreign = Stored("x", "gate-9/face-9", "2026-09-01 08:00:00", 1)
    assert compare(journal_of(RECORDS), [*map(at_rest, RECORDS), foreign], DEVICES).exact


# --- devices without numbers, and what each system heard once -------------------------------------------


def unnumbered_campus() -> dict[str, DeviceFacts]:
    return {"clock-1": DeviceFacts("hall-1/clock-1", "attendance", ("attendance",), None)}


def made(times: list[str]) -> Journal:
    journal = Journal()
    for number, time in enumerate(times):
        key = RecordKey("att", 0, number)
        journal.records["clock-1", key] = Produced("clock-1", key, time, 1, "0", 0, Fate.ACKED)
    return journal


@pytest.mark.parametrize(
    ("produced", "at_rest", "lost", "duplicated", "unexpected"),
    [
        (["7:00", "7:01"], ["7:00", "7:01"], 0, 0, 0),
        (["7:00", "7:00"], ["7:00", "7:00"], 0, 0, 0),
        (["7:00", "7:00"], ["7:00"], 1, 0, 0),
        (["7:00"], ["7:00", "7:00"], 0, 1, 0),
        (["7:00", "7:00"], ["7:00", "7:00", "7:00"], 0, 1, 0),
        (["7:00"], ["7:00", "7:05"], 0, 0, 1),
        (["7:00"], [], 1, 0, 0),
    ],
)
def test_records_without_a_number_are_counted_by_their_time(
    produced: list[str], at_rest: list[str], lost: int, duplicated: int, unexpected: int
) -> None:
    stored = [Stored(f"{index:032x}", "hall-1/clock-1", time, 7000 + index) for index, time in enumerate(at_rest)]
    found = compare(made(produced), stored, unnumbered_campus())
    assert (found.total.lost, found.total.duplicated, found.unexpected) == (lost, duplicated, unexpected)
    assert found.total.produced == len(produced)


def test_what_was_said_once_is_counted_by_system() -> None:
    journal = Journal(said=[Said("clock-1", "card", "7:00", 0), Said("clock-1", "card", "7:01", 0)])
    found = compare(journal, [Stored("0" * 32, "hall-1/clock-1", "7:01")], unnumbered_campus())
    heard = found.by_system["attendance"].unheard
    assert (heard.produced, heard.stored, found.unheard.stored) == (2, 1, 1)
    assert found.by_system["video"].unheard.produced == 0


def test_what_a_device_without_a_clock_says_is_told_apart_by_its_topic() -> None:
    topics = {"contact": "Door/State/DoorPhysicalState", "button": "Door/RequestToExit"}
    doors = {"door": DeviceFacts("hall-1/door", "access_control", ("access",), {}, topics)}
    journal = Journal(
        said=[Said("door", "contact", "", 0), Said("door", "contact", "", 1), Said("door", "button", "", 2)]
    )

    def stored(*found: str) -> list[Stored]:
        return [Stored(f"{index:032x}", "hall-1/door", "", topic=topic) for index, topic in enumerate(found)]

    contact, button = topics.values()
    # What the box concludes from a contact does not stand in for a contact that is missing.
    lacking = compare(journal, stored(contact, button, "Door/State/DoorAlarm", "Door/State/LockPhysicalState"), doors)
    assert (lacking.unheard.produced, lacking.unheard.stored) == (3, 2)
    assert compare(journal, stored(contact, contact, button), doors).unheard.stored == 3
    assert compare(journal, stored(contact, contact, contact), doors).unheard.stored == 2
