"""`campus-edge tail` as a person and a pipe use it."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent.check_cli import init_command
from edge_agent.cli import app
from tests.outbox.making import Box
from wire.record_lines import COLUMNS
from wire.topics import LANES, Lane


@pytest.fixture
def box(tmp_path: Path) -> Iterator[Box]:
    init_command(tmp_path, sample="minimal", language="en")
    (tmp_path / "data").mkdir()
    made = Box(tmp_path / "data" / "outbox.sqlite")
    made.clock.step_wall(time.time() - made.clock.wall_ns() / 1e9)
    yield made
    made.store.close()


def tail(box: Box, *options: str) -> Result:
    config = box.path.parents[1] / "edge.yaml"
    return CliRunner().invoke(app, ["tail", "-c", str(config), "--lang", "en", *options])


def test_it_prints_what_there_is_and_filters(box: Box) -> None:
    for lane in LANES:
        box.fill(lane, 2, device="face-2" if lane is Lane.A else "face-1")
    every = tail(box, "--since", "10m", "--no-follow", "-o", "json")
    assert every.exit_code == 0
    rows = [json.loads(line) for line in every.stdout.splitlines()]
    assert [row["lane"] for row in rows].count("T") == 2
    assert len(rows) == 10
    for options, count in (
        (["--lane", "D"], 2),
        (["--device", "face-2"], 2),
        (["--device", "gate-1/face-2"], 2),
        (["--topic", "AccessControl"], 2),
        (["--topic", "AccessCon"], 0),
        (["--topic", "Payment/Sale", "--lane", "A"], 0),
    ):
        done = tail(box, "--since", "10m", "--no-follow", *options)
        assert len(done.stdout.splitlines()) == count, options
    (head, *lines) = csv.reader(io.StringIO(tail(box, "--since", "10m", "--no-follow", "-o", "csv").stdout))
    assert (tuple(head), len(lines)) == (COLUMNS, 10)


def test_what_is_older_is_left_out_and_without_since_all_of_it_is(box: Box) -> None:
    box.fill(Lane.D, 2)
    box.clock.step_wall(-7200)
    box.fill(Lane.S, 3)
    assert len(tail(box, "--since", "1h", "--no-follow").stdout.splitlines()) == 2
    assert tail(box, "--no-follow").stdout == ""


def test_a_mistake_of_usage_and_a_box_without_an_outbox_are_told(box: Box) -> None:
    assert tail(box, "--since", "soon").exit_code == 2
    box.store.close()
    for path in box.path.parent.iterdir():
        path.unlink()
    done = tail(box, "--no-follow")
    assert (done.exit_code, "No outbox" in done.stderr) == (1, True)


def start(box: Box, **options: int) -> "subprocess.Popen[str]":
    config = box.path.parents[1] / "edge.yaml"
    argv = [sys.executable, "-m", "edge_agent.cli", "tail", "-c", str(config), "--since", "1h"]
    environment = {**os.environ, "CAMPUS_LANG": "en", "PYTHONUTF8": "1"}
    return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, **options)


@pytest.mark.processes
def test_it_follows_and_ends_quietly_when_nobody_reads_any_more(box: Box) -> None:
    box.fill(Lane.D, 1)
    with start(box) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert "gate-1/face-1" in process.stdout.readline()
        box.fill(Lane.A, 1)
        assert "DoorAlarm" in process.stdout.readline()
        process.stdout.close()
        deadline = time.monotonic() + 60
        while process.poll() is None:
            assert time.monotonic() < deadline
            box.fill(Lane.D, 1)
            time.sleep(0.1)
        assert (process.returncode, process.stderr.read()) == (0, "")


@pytest.mark.processes
def test_ctrl_c_ends_it_with_130_and_without_a_word(box: Box) -> None:
    box.fill(Lane.D, 1)
    with start(box) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert (process.wait(60), process.stderr.read()) == (130, "")
