"""A disk that takes nothing more, under a running box: it ends with one line, and no terminal was told a lie."""

from pathlib import Path

import pytest

from tests.acceptance.site import eventually, running_site
from tests.acceptance.test_terminal_by_hand import DEVICE, GRANTED, Terminal, record

pytestmark = [pytest.mark.peer, pytest.mark.processes]

SPARE_BYTES = 64 * 1024


def test_a_full_disk_ends_the_box_with_one_line_and_loses_nothing(tmp_path: Path) -> None:
    with running_site(tmp_path, DEVICE) as site:
        terminal = Terminal(site, site.terminal_password(), tmp_path / "heard")
        with terminal.listening():
            terminal.says("Rec", record(1))
            eventually(terminal.told)
            log = site.edge_file.parent / "data" / "outbox.sqlite-wal"
            site.edge.limit_files(log.stat().st_size + SPARE_BYTES)
            said = 1
            while site.edge.ended() is None and said < 100:
                said += 1
                terminal.says("Rec", record(said))
            assert eventually(site.edge.ended) == 1
            output = site.edge.log()
            assert "Traceback" not in output
            assert output.splitlines()[-1].startswith("Stopped: outbox cannot go on: disk I/O error")
            told = {message["info"]["SnapOrRecordID"] for message in terminal.told()}
            assert told
            assert len(told) < said

            # There is room again, and the terminal says what it was not told about.
            site.edge.start()
            for number in range(1, said + 1):
                if number not in told:
                    terminal.says("Rec", record(number))
            eventually(
                lambda: {message["info"]["SnapOrRecordID"] for message in terminal.told()} == {*range(1, said + 1)}
            )
            eventually(lambda: len(site.events(GRANTED)) >= said)
            stored = [event["source"]["record_no"] for event in site.events(GRANTED)]
            assert sorted(stored) == list(range(1, said + 1))
