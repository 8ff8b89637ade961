"""A process killed at any moment loses nothing that it had called accepted."""

import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from tests.outbox.making import Box
from wire.topics import LANES

KILLS = 10


def accepted_until_killed(path: Path, seed: int) -> set[str]:
    """Start a victim, kill it in the middle of its work, and give what it had called accepted by then."""
    chance = random.Random(seed)
    victim = subprocess.Popen(
        [sys.executable, "-m", "tests.outbox.victim", str(path), str(seed)],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    try:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"ready\n"
        said = [victim.stdout.readline() for _ in range(chance.randrange(1, 60))]
        # Somewhere within the commit that runs now.
        for _ in range(chance.randrange(3000)):
            os.getpid()
        victim.kill()
        said += victim.stdout.readlines()
    finally:
        victim.kill()
        victim.wait()
        if victim.stdout:
            victim.stdout.close()
    return {event_id for line in said if line.endswith(b"\n") for event_id in line.decode().split()}


@pytest.mark.processes
def test_nothing_reported_is_missing_after_ten_kills(tmp_path: Path) -> None:
    path = tmp_path / "outbox.sqlite"
    accepted: set[str] = set()
    for seed in range(KILLS):
        fresh = accepted_until_killed(path, seed)
        assert fresh
        accepted |= fresh
        box = Box(path, seed=10_000 + seed)
        assert box.store.recovery is None
        there = {event_id for lane in LANES for event_id in box.ids(lane)}
        assert accepted <= there
        for lane in LANES:
            rows = box.rows(lane)
            assert [row.seq for row in rows] == list(range(1, len(rows) + 1))
        box.assert_balanced()
        box.store.close()
    assert len(accepted) > 100
