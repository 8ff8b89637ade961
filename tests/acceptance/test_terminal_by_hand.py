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

from tests.acceptance.site import HOST, Site, eventually, run, running_site
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


# What is said below of people who do not exist, in clear. Nothing of it may be found anywhere.
PEOPLE = ("CANARY", "李雷", "20260001", "3009876543", "430102199901019876", "13800138000", "/9j/4AAQSkZJRg")
PICTURE = "data:image/jpeg;base64,/9j/4AAQSkZJRg" + "A" * 50_000
PERSON = {"customId": "20260001", "personName": "李雷", "idCard": "430102199901019876", "telnum": "13800138000"}


def push(operator: str, device: str = DEVICE, **info: Any) -> str:
    return json.dumps({"operator": operator, "info": {"facesluiceId": device, **info}}, ensure_ascii=False)


def leaks(where: str, data: bytes) -> list[str]:
    return [f"{where}: {what}" for what in PEOPLE if what.encode() in data]


def test_what_a_terminal_says_of_people_is_found_nowhere(site: Site, tmp_path: Path) -> None:
    """One picture, one name, one card, one number of a person, through everything that keeps or shows anything."""
    terminal = Terminal(site, site.terminal_password(), tmp_path / "heard")
    with terminal.listening():
        terminal.says("Rec", record(1, **PERSON, pic=PICTURE))
        terminal.says("Rec", record(2, **PERSON, RFIDCard="3009876543"))
        # The same number with another person: a conflict, which the box keeps for whoever looks for a fault.
        terminal.says("Rec", record(2, **{**PERSON, "customId": "CANARY-2"}, RFIDCard="3009876543"))
        terminal.says("Snap", push("StrSnapPush", SnapID="3", time="2026-09-01 07:55:10", **PERSON, pic=PICTURE))
        terminal.says("Card", push("CardPush", SnapOrRecordID="4", ICCardNum="3009876543", **PERSON))
        terminal.says("QRCode", push("QRCodePush", SnapOrRecordID="5", QRCodeInfo="CANARY-CODE", **PERSON))
        terminal.says("IDCard", push("IDCardPush", SnapOrRecordID="6", **PERSON))
        # What makes no sense goes to the quarantine: cut off, of a stranger, of no record's form, without meaning.
        terminal.says("Rec", record(7, **PERSON)[:150])
        terminal.says("Rec", push("RecPush", device="other9", RecordID="8", **PERSON))
        terminal.says("basic", push("Online", device="20260777", **PERSON))
        terminal.says("Rec", push("RecPush", RecordID="李雷", **PERSON))
        terminal.says("Rec", push("SomethingElse", note="CANARY", **PERSON, pic=PICTURE))
        eventually(lambda: {1, 2, 3, 4, 5, 6} <= set(terminal.acked()))
        eventually(lambda: site.counter("discarded_total") + site.counter("unmapped_total") >= 3)
        eventually(lambda: site.counter("conflicts_total"))
        eventually(lambda: site.counter("unknown_device_total"))
        eventually(lambda: len(site.events("AccessControl")) >= 5)
        eventually(lambda: site.events("Delivery/Conflict"))
        (card,) = [event["credential"] for event in site.events(GRANTED) if event["credential"]["kind"] == "Card"][:1]
    assert (card["tail"], len(card["ref"])) == ("6543", 32)
    paths = ["/events?limit=1000", "/health", "/devices", "/edges", "/edges/gate-1", "/audit", "/commands"]
    found = [leak for path in paths for leak in leaks(path, json.dumps(site.get(path), ensure_ascii=False).encode())]
    shown = run("edge_agent.cli", "outbox", "-c", str(site.edge_file), "--json")
    found += leaks("campus-edge outbox", shown.stdout.encode() + shown.stderr.encode())
    assert len(json.loads(shown.stdout)["quarantined"]) >= 4
    # Killed, so that logs of databases are still there; what the test itself heard is no file of the campus.
    for process in (site.edge, site.aggregator, site.broker):
        process.kill()
    files = [path for path in tmp_path.rglob("*") if path.is_file() and path.name != "heard"]
    assert {"ledger.sqlite", "outbox.sqlite", "health.json", "edge.log", "broker.log"} <= {path.name for path in files}
    found += [leak for path in files for leak in leaks(str(path.relative_to(tmp_path)), path.read_bytes())]
    assert found == []


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
