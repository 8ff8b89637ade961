"""The bench runs, prints every figure it promises and leaves nothing behind. What it measures is no test."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.figures import Figure, as_json, line
from tests.bench.parts import NAMES
from tests.support.mosquitto import find_program

WITHIN_S = 600
AIMED = {
    "admission": ["ready batches taken in"],
    "chain": ["box and aggregator at 100/s", "on its way to the campus at 100/s, p99"],
    "idle": ["memory of a box with 50 sensors", "processor of a box with 50 sensors"],
    "modbus": ["box beside the bare loop, 10 units", "box beside the bare loop, 20 units", "highest rate kept"],
    "mqtt": ["of 5000/s stored", "of 5000/s stored and answered within 1 s"],
    "outage": ["3,000 records drained in"],
    "screen": ["terminal to screen at 200/s, p99"],
}


def session_of(process: Path) -> int:
    """The session that a process belongs to; 0 when it is gone. process: its folder in /proc."""
    try:
        stat = (process / "stat").read_text(errors="replace")
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[3])


def bench(*arguments: str) -> str:
    """A tiny run to its end, in a session of its own in which nobody is left."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.bench", "--tiny", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        said, _ = child.communicate(timeout=WITHIN_S)
    finally:
        child.kill()
        child.wait()
    assert child.returncode == 0, said
    assert [process for process in Path("/proc").glob("[0-9]*") if session_of(process) == child.pid] == []
    return said


@pytest.mark.peer
@pytest.mark.processes
def test_every_part_runs_and_leaves_nothing_behind(tmp_path: Path) -> None:
    find_program("mosquitto")
    said = bench("--json", str(tmp_path / "figures.json"))
    told = json.loads((tmp_path / "figures.json").read_text())
    assert {figure["part"] for figure in told["figures"]} == set(NAMES)
    for part, names in AIMED.items():
        assert [one["name"] for one in told["figures"] if one["part"] == part and one["aim"] is not None] == names
    for figure in told["figures"]:
        assert figure["value"] >= 0, figure
        assert figure["name"] in said
    assert told["machine"]["cores"] == os.cpu_count()


def test_a_part_can_be_asked_for_by_name() -> None:
    said = bench("disk")
    assert "outbox, groups of 64" in said
    assert "chain" not in said


def test_a_part_that_is_not_there_is_an_error() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", "everything"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "everything" in done.stderr


@pytest.mark.parametrize(
    ("value", "aim", "at_least", "met", "shown"),
    [
        (99.9, 100.0, False, True, "≤ 100"),
        (100.1, 100.0, False, False, "≤ 100"),
        (20_000.0, 20_000.0, True, True, "≥ 20,000"),
        (1.0, None, False, None, ""),
    ],
)
def test_an_aim_is_met_or_missed(value: float, aim: float | None, at_least: bool, met: bool | None, shown: str) -> None:
    figure = Figure("part", "name", value, "µs", aim, at_least)
    assert figure.met is met
    assert figure.row()[2] == shown
    assert ("MISSED" in line(figure.row())) == (met is False)
    assert json.loads(as_json([figure], {}))["figures"][0]["met"] is met
