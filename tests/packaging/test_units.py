import re
import subprocess
from pathlib import Path

import pytest

from tests.support.peers import find_program

ROOT = Path(__file__).parents[2]
UNITS = sorted((ROOT / "systemd").rglob("*.service"))
# In tenths, as the tool takes it: 2.0 is "OK" in its own words.
EXPOSURE_MAX = 20


def systemd_analyze() -> str:
    return find_program("systemd-analyze", "systemd")


def test_there_are_units() -> None:
    assert UNITS


@pytest.mark.peer
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_exposes_little(unit: Path) -> None:
    done = subprocess.run(
        [systemd_analyze(), "security", "--offline=true", "--no-pager", f"--threshold={EXPOSURE_MAX}", str(unit)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-600:] + done.stderr


@pytest.mark.peer
@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_holds_no_directive_that_systemd_does_not_know(unit: Path) -> None:
    done = subprocess.run([systemd_analyze(), "verify", str(unit)], capture_output=True, text=True, check=False)
    # Programs and users of the real machine need not be there; a word that systemd does not know is a mistake.
    assert not re.search(r"Unknown|Failed to parse|not an absolute path|ignoring", done.stderr), done.stderr


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_unit_is_explained_beside_it(unit: Path) -> None:
    words = (unit.parent / "README.md").read_text()
    assert unit.name in words


def directives(unit: Path, name: str) -> list[str]:
    """The values of a directive, in order."""
    return re.findall(rf"^{name}=(.*)$", unit.read_text(), re.MULTILINE)


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_a_call_that_is_not_allowed_is_refused_and_ends_nobody(unit: Path) -> None:
    assert directives(unit, "SystemCallErrorNumber") == ["EPERM"]


@pytest.mark.parametrize("name", ["campus-edge", "campus-aggregator"])
def test_a_service_of_ours_can_read_the_id_of_the_boot(name: str) -> None:
    # ProcSubset=pid hides /proc/sys, and SystemClock reads the id there.
    assert directives(ROOT / "systemd" / name / f"{name}.service", "ProcSubset") == []


def test_a_box_may_ask_the_kernel_for_its_clock_by_both_names() -> None:
    # The C library of Debian 12 carries adjtimex(3) out by clock_adjtime(2).
    allowed = directives(ROOT / "systemd/campus-edge/campus-edge.service", "SystemCallFilter")
    assert allowed[-1].split() == ["adjtimex", "clock_adjtime"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_no_directive_is_without_a_reason(unit: Path) -> None:
    words = (unit.parent / "README.md").read_text() + (ROOT / "systemd" / "README.md").read_text()
    used = set(re.findall(r"^([A-Za-z]+)=", unit.read_text(), re.MULTILINE))
    assert {name for name in used if f"`{name}=" not in words} == set()
