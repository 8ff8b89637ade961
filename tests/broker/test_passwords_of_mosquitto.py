import subprocess
from pathlib import Path

import pytest

from aggregator.broker import password_matches
from tests.support.mosquitto import find_program

pytestmark = pytest.mark.peer


def test_a_hash_made_by_mosquittos_own_tool_reads_as_ours_do(tmp_path: Path) -> None:
    path = tmp_path / "passwd"
    subprocess.run([find_program("mosquitto_passwd"), "-c", "-b", str(path), "gate-1", "secret"], check=True)
    name, stored = path.read_text().strip().split(":")
    assert name == "gate-1"
    assert password_matches(stored, "secret")
    assert not password_matches(stored, "other")
