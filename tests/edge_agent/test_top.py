"""`campus-edge top`: trouble first, whole in eighty columns, and a screen of its own on a terminal."""

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from edge_agent.check_cli import init_command
from edge_agent.cli import app
from tests.outbox.making import Box
from wire.i18n import LANGUAGES
from wire.topics import Lane


def device(name: str, state: str | None, **more: Any) -> dict[str, Any]:
    known = {"heard_s": 3.0, "events": 9, "troubles": 0, "answer_ms": None}
    return {"id": f"hall-1/{name}", "state": state, **known, **more}


DEVICES = [
    device("fast", "UP", answer_ms=5.0),
    device("slow", "UP", answer_ms=900.0),
    device("gone", "DOWN", heard_s=None),
    device("odd", "UP", troubles=4),
    device("new\x1b[31m", None, heard_s=None),
]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    init_command(tmp_path, sample="minimal", language="en")
    box = Box(tmp_path / "data" / "outbox.sqlite")
    box.fill(Lane.D, 12)
    box.store.close()
    write(tmp_path)
    return tmp_path / "edge.yaml"


def write(folder: Path, age_s: float = 0.0, devices: list[dict[str, Any]] = DEVICES) -> None:
    part = {"state": "up", "restarts": 0, "bugs": 0, "cause": ""}
    document = {
        "schema": 1,
        "wall_ns": int((time.time() - age_s) * 1e9),
        "clock": {"state": "synced", "error_ms": 1, "assumed": False},
        "rate": 3.25,
        "counters": {"messages_total": 40, "events_total": 12},
        "parts": {
            "channel bus": part,
            "uplink": {
                **part,
                "state": "down",
                "restarts": 4,
                "cause": "MQTT broker 192.0.2.1:8883: no answer in time",
            },
        },
        "channels": {"bus": {"connected": True, "waiting": 0, "devices": devices}},
    }
    (folder / "data" / "health.json").write_text(json.dumps(document))


def top(config: Path, *options: str, language: str = "en") -> tuple[int, str]:
    done = CliRunner().invoke(app, ["top", "-c", str(config), "--lang", language, *options], env={"COLUMNS": "80"})
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


def test_what_troubles_stands_first_then_the_slowest(config: Path) -> None:
    code, out = top(config, "--json")
    document = json.loads(out)
    assert (code, document["schema"], document["running"], document["rate"]) == (0, 1, True, 3.25)
    assert [one["id"] for one in document["devices"]] == [
        "hall-1/gone", "hall-1/new\x1b[31m", "hall-1/odd", "hall-1/slow", "hall-1/fast",
    ]  # fmt: skip
    assert [part["name"] for part in document["parts"]] == ["uplink", "channel bus"]
    assert document["lanes"]["D"]["queued"] == 12


@pytest.mark.parametrize("language", LANGUAGES)
def test_off_a_terminal_it_is_a_snapshot_of_eighty_columns(config: Path, language: str) -> None:
    code, out = top(config, language=language)
    assert code == 0
    assert all(len(line) <= 80 for line in out.splitlines())
    assert "\x1b" not in out
    assert out.index("hall-1/gone") < out.index("hall-1/fast")
    assert "192.0.2.1:8883" in "".join(out.split())


def test_more_devices_than_lines_are_counted(config: Path) -> None:
    write(config.parent, devices=[device(f"d-{number}", "UP") for number in range(50)])
    assert "and 10 more" in top(config, "--once")[1]


def test_what_an_agent_wrote_long_ago_is_told_as_old(config: Path) -> None:
    write(config.parent, age_s=100)
    code, out = top(config, "--once")
    assert (code, "does not run" in out) == (1, True)
    (config.parent / "data" / "health.json").unlink()
    assert top(config, "--once")[0] == 1


@pytest.mark.processes
def test_on_a_terminal_it_is_a_live_screen_until_ctrl_c(config: Path) -> None:
    master, slave = pty.openpty()
    argv = [sys.executable, "-m", "edge_agent.cli", "top", "-c", str(config), "--lang", "en"]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "100", "LINES": "40"}
    process = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environment)
    os.close(slave)
    seen = b""
    deadline = time.monotonic() + 60
    while b"hall-1/gone" not in seen and time.monotonic() < deadline:
        if select.select([master], [], [], 1)[0]:
            seen += os.read(master, 65536)
    # The alternate screen, which leaves what stood there untouched.
    assert b"\x1b[?1049h" in seen
    assert b"hall-1/gone" in seen
    process.send_signal(signal.SIGINT)
    while select.select([master], [], [], 10)[0]:
        try:
            part = os.read(master, 65536)
        except OSError:
            break
        seen += part
    assert process.wait(30) == 130
    assert b"\x1b[?1049l" in seen
    os.close(master)
