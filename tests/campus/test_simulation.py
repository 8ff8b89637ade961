"""Fifty whole campuses, each from its seed, each under another storm. See scenario.py for what breaks in which."""

import functools
import os
import subprocess
import sys

import pytest

from tests.campus.replay import report, run_seed
from tests.campus.scenario import CELLS
from tests.campus.world import Outcome

SEEDS = range(50)

outcome_of = functools.cache(run_seed)


@pytest.mark.parametrize("seed", SEEDS)
def test_nothing_is_lost_doubled_or_out_of_order_whatever_breaks(seed: int) -> None:
    outcome = outcome_of(seed)
    assert not outcome.broken, report(outcome)


def total(fact: str, *cells: str) -> int:
    outcomes: list[Outcome] = [outcome_of(seed) for seed in SEEDS if CELLS[seed % len(CELLS)] in cells]
    return sum(outcome.facts[fact] for outcome in outcomes)


@pytest.mark.parametrize(
    ("fact", "cells", "at_least"),
    [
        ("promised", CELLS, 10_000),
        ("rows", CELLS, 20_000),
        ("audits", CELLS, 3_000),
        ("box_starts", CELLS, 400),
        ("campus_starts", CELLS, 150),
        ("resent_batches", CELLS, 400),
        ("conflicts", CELLS, 15),
        ("rollbacks_to_notice", ("rollback", "restore"), 20),
        ("forks", ("rollback", "restore"), 12),
        ("restores", ("restore",), 12),
        ("destroyed", ("rollback", "restore"), 400),
        ("fork_alarms", ("clone",), 100),
        ("takeovers", ("clone",), 40),
        ("thinned", ("disk",), 2_000),
        ("dropped", ("disk",), 100),
        ("refused", ("disk",), 100),
    ],
)
def test_the_storm_was_real(fact: str, cells: tuple[str, ...], at_least: int) -> None:
    assert total(fact, *cells) >= at_least


def test_no_history_was_thought_changed_where_nobody_changed_it() -> None:
    assert total("forks", "kills", "disk") == 0
    assert total("fork_alarms", "kills", "disk") == 0


@pytest.mark.parametrize("seed", [0, 1, 2, 3, 4])
def test_the_same_seed_is_the_same_to_the_byte(seed: int) -> None:
    assert run_seed(seed).digest == outcome_of(seed).digest


def test_another_process_with_other_hashes_sees_the_same() -> None:
    program = "from tests.campus.replay import run_seed; print(run_seed(7).digest)"
    environment = os.environ | {"PYTHONHASHSEED": "4711"}
    output = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout
    assert output.decode().strip() == outcome_of(7).digest


def test_other_seeds_are_other_worlds() -> None:
    assert len({outcome_of(seed).digest for seed in SEEDS}) == len(SEEDS)
