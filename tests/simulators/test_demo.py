"""`campus-sim demo` as a person starts it: real processes, both brokers, and nothing left behind."""

import base64
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from simulators.broker import Flavour, find_mosquitto
from simulators.compare import SYSTEMS
from simulators.people import make_people
from simulators.picture import CANARY, CANARY_BYTES
from tests.support.peers import missing

pytestmark = pytest.mark.processes


@pytest.fixture(params=list(Flavour))
def flavour(request: pytest.FixtureRequest) -> Flavour:
    if request.param is Flavour.MOSQUITTO and find_mosquitto() is None:
        missing("mosquitto", "mosquitto")
    return request.param


@contextmanager
def demo(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "simulators.cli", "demo", "--data-dir", str(folder), "--lang", "en", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment)
    try:
        with process:
            yield process
    finally:
        process.kill()


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """What was printed up to and with the line that holds words."""
    assert process.stdout is not None
    shown = ""
    for line in process.stdout:
        shown += line
        if words in line:
            return shown
    raise AssertionError(f"ended before saying {words!r}:\n{shown}")


def living(folder: Path) -> list[str]:
    """Command lines of processes that were started with something in the folder."""
    found = []
    for status in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = status.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(folder) in command and "simulators.cli" not in command:
            found.append(command)
    return found


def ports_of(folder: Path) -> list[int]:
    """Every port that stands in the settings of the campus."""
    texts = [path.read_text() for path in (*folder.rglob("*.yaml"), *folder.rglob("*.toml"), *folder.rglob("*.conf"))]
    found = {int(port) for text in texts for port in re.findall(r"(?:port: |listener |127\.0\.0\.1:)(\d{4,5})", text)}
    assert len(found) >= 4
    return sorted(found)


def open_ports(ports: list[int]) -> list[int]:
    answering = []
    for port in ports:
        with socket.socket() as one:
            if one.connect_ex(("127.0.0.1", port)) == 0:
                answering.append(port)
    return answering


def wait_until_gone(folder: Path, ports: list[int], within_s: float = 20.0) -> None:
    # A killed process loses its command line before its sockets.
    deadline = time.monotonic() + within_s
    while (alive := living(folder)) or (held := open_ports(ports)):
        assert time.monotonic() < deadline, alive or held
        time.sleep(0.05)


def test_a_school_day_arrives_once_and_no_picture_and_no_name_with_it(flavour: Flavour, tmp_path: Path) -> None:
    folder, report = tmp_path / "campus", tmp_path / "out.json"
    options = ("--broker", flavour, "--for", "12", "--report", str(report), "--terminals", "10", "--seed", "8")
    with demo(folder, *options) as process:
        output = read_until(process, "Result written")
    assert process.returncode == 0, output
    found = json.loads(report.read_text())
    assert (found["lost"], found["duplicated"]) == (0, 0)
    assert found["produced"] == found["stored"] > 20
    assert found["unheard"]["produced"] == found["unheard"]["stored"] > 0
    all_seven_systems_lived(found)
    # Nothing was killed: what was said once came, too.
    assert all(system["produced"] == system["stored"] for system in found["by_system"].values())
    commands_have_one_end_each(found)
    assert found["commands"]["succeeded"] > 0
    assert all(found["alarms"][kind] > 0 for kind in ("door_forced", "door_held", "camera_silent", "camera_covered"))
    assert found["series_points"] > 50
    assert found["latency_ms"]["count"] > 20
    # One of the ten terminals sends garbage now and then, pictures and all; the boxes set it aside, redacted.
    assert found["quarantined"] > 0
    assert found["versions"]["broker"].startswith(flavour)
    assert "\x1b" not in output
    assert living(folder) == []
    assert open_ports(ports_of(folder)) == []
    nothing_personal_at_rest(folder)


def all_seven_systems_lived(found: dict[str, Any]) -> None:
    assert tuple(found["by_system"]) == SYSTEMS
    for name, system in found["by_system"].items():
        assert system["produced"] > 0, name
        assert (system["lost"], system["duplicated"]) == (0, 0), name


def commands_have_one_end_each(found: dict[str, Any]) -> None:
    commands = dict(found["commands"])
    assert commands.pop("issued") == sum(commands.values()) > 0


def nothing_personal_at_rest(folder: Path) -> None:
    """Neither pictures nor names nor numbers in any file of box, campus and broker."""
    secrets = [CANARY.encode(), CANARY_BYTES, base64.b64encode(CANARY_BYTES)]
    for person in make_people(8):
        numbers = (person.name, person.resident_no, person.phone, person.card, person.site_id)
        secrets += [number.encode() for number in numbers]
    searched = 0
    for path in folder.rglob("*"):
        if path.is_file():
            content = path.read_bytes()
            searched += len(content)
            for secret in secrets:
                assert secret not in content, (path, secret)
    assert searched > 100_000


def test_secrets_are_readable_by_their_owner_only_and_stand_in_no_settings_file(tmp_path: Path) -> None:
    folder = tmp_path / "campus"
    with demo(folder, "--broker", "iotcore", "--for", "1", "--terminals", "2") as process:
        output = read_until(process, "Alarms:")
    assert process.returncode == 0, output
    passwords = {
        path: path.read_text().strip() for path in folder.rglob("*") if re.search(r"password$|\.key$", path.name)
    }
    assert len(passwords) >= 8
    for path, secret in passwords.items():
        assert path.stat().st_mode & 0o077 == 0, path
        for settings in folder.rglob("*.yaml"):
            assert secret not in settings.read_text()
        for log in folder.rglob("*.log"):
            assert secret not in log.read_text()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_everything_and_leaves_no_process_and_no_port(
    flavour: Flavour, how: signal.Signals, tmp_path: Path
) -> None:
    folder = tmp_path / "campus"
    with demo(folder, "--broker", flavour, "--terminals", "4") as process:
        read_until(process, "Ctrl-C ends it")
        ports = ports_of(folder)
        # The broker, the campus, three boxes.
        assert len(living(folder)) == 5
        assert len(open_ports(ports)) >= 3
        process.send_signal(how)
        read_until(process, "Interrupted")
        assert process.wait(20) == 130
    assert living(folder) == []
    assert open_ports(ports) == []


def test_ctrl_c_while_starting_leaves_nothing_either(tmp_path: Path) -> None:
    folder = tmp_path / "campus"
    with demo(folder, "--broker", "iotcore", "--terminals", "2") as process:
        read_until(process, "Starting")
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130
    assert living(folder) == []


def test_killing_the_demo_kills_its_children(tmp_path: Path) -> None:
    folder = tmp_path / "campus"
    with demo(folder, "--broker", "iotcore", "--terminals", "2") as process:
        read_until(process, "Ctrl-C ends it")
        ports = ports_of(folder)
        process.kill()
    wait_until_gone(folder, ports)


def test_a_campus_in_chaos_keeps_its_word(flavour: Flavour, tmp_path: Path) -> None:
    folder, report = tmp_path / "campus", tmp_path / "out.json"
    options = ("--broker", flavour, "--for", "15", "--report", str(report), "--chaos", "--seed", "9")
    with demo(folder, *options) as process:
        output = read_until(process, "Result written")
    assert process.returncode == 0, output
    found = json.loads(report.read_text())
    assert (found["lost"], found["duplicated"]) == (0, 0)
    assert found["produced"] == found["stored"] > 100
    all_seven_systems_lived(found)
    commands_have_one_end_each(found)
    assert "†" in output
    assert "harm=kill" in (folder / "log" / "demo.log").read_text()
    assert living(folder) == []


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--broker", "amqtt"), "Unknown broker amqtt; choose from mosquitto, iotcore"),
        (("--port", "{taken}"), "Port {taken} is in use"),
    ],
)
def test_what_cannot_be_honoured_is_a_usage_error(tmp_path: Path, options: tuple[str, ...], words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = str(server.getsockname()[1])
        filled = [option.format(taken=taken) for option in options]
        with demo(tmp_path / "campus", *filled) as process:
            read_until(process, words.format(taken=taken))
            assert process.wait(20) == 2


def test_a_folder_with_something_in_it_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with demo(tmp_path) as process:
        read_until(process, "is not empty")
        assert process.wait(20) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]
