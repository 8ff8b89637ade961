"""Terminals with characters of their own, on virtual wires."""

from pathlib import Path

from simulators.facesluice_messages import TerminalConfig
from simulators.journal import JournalWriter, read_journal
from simulators.people import Timetable, make_people, school_day
from simulators.school import CHARACTERS, School, make_terminals
from wire.clock import SystemTime
from wire.mqtt_link import BrokerAddress


def configs(count: int) -> list[TerminalConfig]:
    return [TerminalConfig(device_id=str(1_026_701 + index)) for index in range(count)]


def school(folder: Path, seed: int = 5) -> tuple[School, JournalWriter]:
    writer = JournalWriter(folder / "journal.jsonl")
    terminals = make_terminals(configs(20), seed, writer)
    people = make_people(seed)
    return School(terminals, lambda _: BrokerAddress(), people, iter(()), seed=seed, clock=SystemTime()), writer


async def test_a_day_is_recorded_by_the_terminals_it_was_played_to(tmp_path: Path) -> None:
    stage, writer = school(tmp_path)
    with writer:
        day = school_day(5, 0, make_people(5), 20, Timetable())
        for swipe in day:
            stage.play(swipe)
    journal = read_journal(tmp_path / "journal.jsonl")
    assert len(journal.records) == len(day) == stage.owed()
    by_terminal = [sum(swipe.terminal == index for swipe in day) for index in range(20)]
    assert [len(list(journal.of_device(terminal.client_id))) for terminal in stage.terminals] == by_terminal


def test_characters_repeat_in_every_ten_and_can_be_switched_off(tmp_path: Path) -> None:
    with JournalWriter(tmp_path / "journal.jsonl") as writer:
        wrong = [terminal.clock.wrong_by_s for terminal in make_terminals(configs(20), 5, writer)]
        assert wrong == [CHARACTERS[i % 10].wrong_by_s if i % 10 in CHARACTERS else 0.0 for i in range(20)]
        assert {terminal.config.qos for terminal in make_terminals(configs(20), 5, writer, characters={})} == {1}
