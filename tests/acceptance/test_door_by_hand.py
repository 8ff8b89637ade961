"""An esp-rfid door played with mosquitto_pub and mosquitto_sub alone, against real processes and the broker as shipped.

Invariant: what the door says is on the campus once, without a name; what the door is told is the message of its manual,
and only while somebody waits for it.
"""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest

from tests.acceptance.site import HOST, Site, eventually, run, running_site
from tests.support.mosquitto import find_program

pytestmark = [pytest.mark.peer, pytest.mark.processes]

DOOR = "gate-1/lab-door"
IP = "192.0.2.40"
OPENDOOR = {"cmd": "opendoor", "doorip": IP}


class Board:
    """mosquitto's clients with a door's account; `playing` makes one."""

    def __init__(self, mouth: IO[bytes], heard: Path) -> None:
        self._mouth = mouth
        self._heard = heard

    def says(self, **line: Any) -> None:
        said = json.dumps({"time": 1788220510, "hostname": "lab-door", **line})
        self._mouth.write(said.encode() + b"\n")
        self._mouth.flush()

    def access(self, uid: str, name: str) -> None:
        self.says(type="access", isKnown="true", access="Always", username=name, uid=uid)

    def told(self) -> list[Any]:
        return [json.loads(line) for line in self._heard.read_text().splitlines() if line.startswith("{")]


@contextmanager
def playing(site: Site, folder: Path) -> Iterator[Board]:
    """A board that is connected, and heard of as soon as it says something."""
    login = ["-h", HOST, "-p", str(site.broker_port), "-u", "doors", "-P", site.terminal_password("doors", "esprfid")]
    heard = folder / "heard"
    # It subscribes as the firmware does: with the highest QoS there is.
    listens = [find_program("mosquitto_sub"), *login, "-q", "2", "-t", "rfid/cmd", "-d"]
    speaks = [find_program("mosquitto_pub"), *login, "-q", "0", "-t", "rfid/send", "-l"]
    with (
        heard.open("wb") as out,
        subprocess.Popen(["stdbuf", "-oL", *listens], stdout=out, stderr=subprocess.STDOUT) as ear,
        subprocess.Popen(speaks, stdin=subprocess.PIPE) as mouth,
    ):
        try:
            eventually(lambda: "SUBACK" in heard.read_text())
            assert mouth.stdin is not None
            yield Board(mouth.stdin, heard)
        finally:
            ear.terminate()
            mouth.terminate()


def desk(site: Site, folder: Path, *words: str) -> subprocess.Popen[str]:
    """`campus-aggregator command` with a guard's token."""
    made = run("aggregator.cli", "token", "create", "desk", "--role", "guard", "-c", str(site.campus_file))
    token = folder / "desk.token"
    token.write_text(made.stdout)
    options = ["-c", str(site.campus_file), "--token-file", str(token), "--lang", "en"]
    argv = [sys.executable, "-m", "aggregator.cli", "command", *words, *options]
    return subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path, doors={"lab-door": IP}) as running:
        yield running


def test_a_door_played_by_hand(site: Site, tmp_path: Path) -> None:
    with playing(site, tmp_path) as board:
        # Nobody knows yet whether it is there: nothing is sent, and that is said at once.
        assert site.ended(site.ask(DOOR, "AccessDoor"))["result"] == "unreachable"
        board.says(type="boot", uptime="0", ip=IP)
        eventually(lambda: site.events("Device/State/Operating"))
        assert board.told() == []

        board.access("4596b78a", "CANARY-NAME")
        (granted,) = eventually(lambda: site.events("AccessControl/AccessGranted/Credential"))
        assert granted["device"] == DOOR
        assert granted["occurred"] == "2026-08-31T23:55:10.000000Z"
        assert granted["credential"]["tail"] == "B78A"

        # Asked for at the campus' own command line, which waits for the end.
        with desk(site, tmp_path, "send", "AccessDoor", DOOR, "--reason", "visitor") as asking:
            eventually(lambda: board.told() == [OPENDOOR])
            board.access(" ", "MQTT")
            out, _ = asking.communicate(timeout=60)
        assert asking.returncode == 0
        assert out.rstrip().endswith("succeeded")
        (opened,) = eventually(lambda: site.events("AccessControl/AccessGranted/Anonymous"))
        assert opened["values"] == {"by": "order"}

        # The button beside the door is no answer: nobody can say whether the door opened for the order.
        asked = site.ask(DOOR, "AccessDoor")
        eventually(lambda: board.told() == [OPENDOOR, OPENDOOR])
        board.access(" ", "Button")
        eventually(lambda: site.events("Door/RequestToExit"))
        ended = site.ended(asked)
        assert (ended["result"], ended["end_reason"]) == ("unknown", "no_answer")
        assert board.told() == [OPENDOOR, OPENDOOR]

    site.stop()
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and b"CANARY" in path.read_bytes()]
    assert holding == []
