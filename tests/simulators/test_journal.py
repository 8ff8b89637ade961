import subprocess
import sys
from pathlib import Path

import pytest

from simulators.chance import seeded
from simulators.device import DeviceClock, Memory, Moment
from simulators.facesluice import Terminal
from simulators.facesluice_messages import TerminalConfig
from simulators.journal import Counts, Fate, JournalWriter, read_journal
from simulators.people import Verdict
from tests.simulators.rig import BEGIN_S, PEOPLE, swipe_of

NOW = Moment(5.0, BEGIN_S)


def terminal(writer: JournalWriter, capacity: int = 100) -> Terminal:
    return Terminal(
        TerminalConfig(device_id="1026701"),
        clock=DeviceClock(),
        memory=Memory(capacity=capacity),
        witness=writer,
        chance=seeded("journal"),
    )


def write_a_little(path: Path) -> dict[str, Counts]:
    with JournalWriter(path) as writer:
        device = terminal(writer, capacity=2)
        device.connected(NOW)
        device.poll(NOW)
        device.received(b'{"operator":"Online-Ack","info":{"result":"ok"}}', NOW)
        device.swipe(swipe_of(PEOPLE[0]), PEOPLE[0], NOW)
        device.poll(NOW)
        device.received(b'{"operator":"PushAck","info":{"PushAckType":2,"SnapOrRecordID":1}}', NOW)
        for person in PEOPLE[1:4]:
            device.swipe(swipe_of(person, Verdict.REFUSED), person, NOW)
        device.alarm("tamper", NOW)
        writer.garbled("1026701", NOW)
        return writer.counts


def test_what_is_read_back_is_what_was_written(tmp_path: Path) -> None:
    counts = write_a_little(tmp_path / "journal.jsonl")
    assert counts == {"1026701": Counts(produced=4, acked=1, destroyed=1, said=1, garbage=1)}
    assert counts["1026701"].held == 2
    written = read_journal(tmp_path / "journal.jsonl")
    fates = [(record.key.number, record.fate, record.status) for record in written.of_device("1026701")]
    assert fates == [
        (1, Fate.ACKED, "1"),
        (2, Fate.DESTROYED, "2"),
        (3, Fate.HELD, "2"),
        (4, Fate.HELD, "2"),
    ]
    assert [said.kind for said in written.said] == ["AlarmInfoPush"]
    assert written.garbage == {"1026701": 1}


def test_a_torn_last_line_is_ignored_at_every_cut_and_a_bad_line_is_not(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    write_a_little(path)
    whole = path.read_bytes()
    counts = set()
    for cut in range(len(whole) - 120, len(whole)):
        path.write_bytes(whole[:cut])
        counts.add(sum(read_journal(path).garbage.values()))
    assert counts == {0}
    path.write_bytes(b'{"t":"record"}\n')
    with pytest.raises(ValueError, match="not a line of a journal"):
        read_journal(path)


def test_a_journal_goes_on_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    before = write_a_little(path)
    with JournalWriter(path) as writer:
        assert writer.counts == before
        assert writer.total() == before["1026701"]
        writer.garbled("1026701", NOW)
    assert read_journal(path).garbage == {"1026701": 2}


def test_no_name_and_no_number_of_a_person_enters_the_journal(tmp_path: Path) -> None:
    write_a_little(tmp_path / "journal.jsonl")
    text = (tmp_path / "journal.jsonl").read_text()
    for person in PEOPLE[:4]:
        for secret in (person.name, person.site_id, person.card, person.resident_no, person.phone):
            assert secret not in text


def test_the_journal_outlives_the_death_of_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "journal.jsonl"
    program = f"""
import os, pathlib, signal
from simulators.device import Moment
from simulators.journal import JournalWriter
writer = JournalWriter(pathlib.Path({str(path)!r}))
for _ in range(500):
    writer.garbled("1", Moment(0, 0))
os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == -9
    assert read_journal(path).garbage == {"1": 500}
