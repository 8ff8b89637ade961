"""What `make` offers is what it says it offers. Nothing is run: `make -n` only tells."""

import os
import re
import subprocess
from pathlib import Path

from tests.support.peers import find_program

ROOT = Path(__file__).parents[2]


def told(*arguments: str) -> str:
    # Not what the make that runs the tests was told.
    surroundings = {"PATH": os.environ["PATH"]}
    command = [find_program("make", "make"), "--no-print-directory", "-C", str(ROOT), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60, env=surroundings).stdout


def test_help_names_every_target() -> None:
    (phony,) = re.findall(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^make (\w+)", told("help"), re.MULTILINE)) == set(phony.split()) - {"help"}


def test_simulate_runs_a_thousand_seeds_unless_told_which() -> None:
    assert "python -m tests.campus.replay --seeds 1000" in told("-n", "simulate")
    assert "python -m tests.campus.replay 17 --trace\n" in told("-n", "simulate", "ARGS=17 --trace")


def test_bench_measures_everything_unless_told_what() -> None:
    assert "python -m tests.bench \n" in told("-n", "bench")
    assert "python -m tests.bench chain --json out.json\n" in told("-n", "bench", "ARGS=chain --json out.json")
