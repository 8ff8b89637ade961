"""A FaceSluice terminal played with mosquitto_pub and mosquitto_sub alone, against real processes.

Invariant: the terminal is told PushAck for a record only once it is stored, and however often it says the record, the
campus holds it once.
"""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.acceptance.site import HOST, Site, eventually, running_site
from tests.support.mosquitto import find_program

pytestmark = [pytest.mark.peer, pytest.mark.processes]

DEVICE = "1026701"
GRANTED = "AccessControl/AccessGranted/Credential"


def record(number: int, **changes: Any) -> str:
    """A recognition record as a terminal sends it. The person is invented."""
    info = {
        "customId": "20260001",
        "personId": "17",
        "RecordID": str(number),
        "VerifyStatus": "1",
        "PersonType": "0",
        "similarity1": "93.000000",
        "Sendintime": 1,
        "personName": "CANARY-NAME",
        "facesluiceId": DEVICE,
        "facesluiceName": "South gate 1",
        "idCard": "CANARY-ID",
        "telnum": " ",
        "time": "2026-09-01 07:55:10",
        "isNoMask": "0",
        "PushType": 0,
        "targetPosInScene": [312, 140, 520, 410],
        "direction": "entr",
        "otype": "1",
        "RFIDCard": "",
        "pic": "data:image/jpeg;base64,CANARYPICTURE" + "A" * 2000,
    }
    return json.dumps({"operator": "RecPush", "info": {**info, **changes}})


class Terminal:
    """mosquitto's clients with a terminal's account."""

    def __init__(self, site: Site, password: str, heard: Path) -> None:
        self._login = ["-h", HOST, "-p", str(site.broker_port), "-u", "faces", "-P", password]
        self._heard = heard

    def says(self, leaf: str, payload: str) -> None:
        topic = f"mqtt/face/{leaf}" if leaf in {"basic", "heartbeat"} else f"mqtt/face/{DEVICE}/{leaf}"
        subprocess.run(
            [find_program("mosquitto_pub"), *self._login, "-q", "1", "-t", topic, "-s"],
            input=payload.encode(),
            check=True,
            timeout=30,
        )

    @contextmanager
    def listening(self) -> Iterator[None]:
        argv = [find_program("mosquitto_sub"), *self._login, "-q", "1", "-t", f"mqtt/face/{DEVICE}", "-d"]
        with self._heard.open("wb") as out:
            child = subprocess.Popen(["stdbuf", "-oL", *argv], stdout=out, stderr=subprocess.STDOUT)
            try:
                eventually(lambda: "SUBACK" in self._heard.read_text())
                yield
            finally:
                child.terminate()
                child.wait(10)

    def told(self) -> list[dict[str, Any]]:
        """What the box has said to this terminal, in order."""
        lines = self._heard.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]

    def acked(self) -> list[int]:
        return [said["info"]["SnapOrRecordID"] for said in self.told() if said["operator"] == "PushAck"]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path, DEVICE) as running:
        yield running


def test_a_terminal_played_by_hand(site: Site, tmp_path: Path) -> None:
    terminal = Terminal(site, site.terminal_password(), tmp_path / "heard")
    with terminal.listening():
        terminal.says("basic", json.dumps({"operator": "Online", "info": {"facesluiceId": DEVICE}}))
        eventually(lambda: [said["operator"] for said in terminal.told()] == ["Online-Ack"])

        terminal.says("Rec", record(4211))
        eventually(lambda: terminal.acked() == [4211])
        (first,) = eventually(lambda: site.events(GRANTED))
        assert first["source"] == {"epoch": 0, "record_no": 4211}
        assert first["device_time"]["raw"] == "2026-09-01 07:55:10"
        assert first["occurred"] == "2026-08-31T23:55:10.000000Z"

        # The same record again, as after a lost acknowledgement: told again, stored once.
        terminal.says("Rec", record(4211, PushType=2, Sendintime=0))
        eventually(lambda: terminal.acked() == [4211, 4211])
        # Two swipes in one second are two events.
        terminal.says("Rec", record(4212))
        terminal.says("Rec", record(4213))
        eventually(lambda: terminal.acked() == [4211, 4211, 4212, 4213])
        eventually(lambda: len(site.events(GRANTED)) == 3)
        assert [event["source"]["record_no"] for event in site.events(GRANTED)] == [4211, 4212, 4213]
        assert eventually(lambda: site.counter("repeats_total")) == 1


def test_what_a_terminal_says_of_people_never_reaches_a_disk_or_a_log(site: Site, tmp_path: Path) -> None:
    terminal = Terminal(site, site.terminal_password(), tmp_path / "heard")
    with terminal.listening():
        terminal.says("Rec", record(1))
        terminal.says("Rec", '{"operator": "RecPush", "info": {"facesluiceId": "1026701", "personName": "CANARY-NAME')
        eventually(lambda: terminal.acked() == [1])
        eventually(lambda: len(site.events(GRANTED)) == 1)
        eventually(lambda: site.counter("discarded_total"))
    site.stop()
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    holding = [path for path in files if b"CANARY" in path.read_bytes() or b"20260001" in path.read_bytes()]
    assert holding == []


def test_a_record_while_the_campus_is_away_is_acknowledged_at_once_and_delivered_later(
    site: Site, tmp_path: Path
) -> None:
    terminal = Terminal(site, site.terminal_password(), tmp_path / "heard")
    site.aggregator.kill()
    with terminal.listening():
        terminal.says("Rec", record(77))
        eventually(lambda: terminal.acked() == [77])
    site.aggregator.start()
    (event,) = eventually(lambda: site.events(GRANTED))
    assert event["source"]["record_no"] == 77
