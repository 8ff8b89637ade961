import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCKS = ["requirements.lock", "requirements-dev.lock"]
REQUIREMENT = re.compile(r"(?P<name>[A-Za-z0-9._-]+)==(?P<version>[A-Za-z0-9.+!-]+)( ; .+)? \\$")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(lock: str) -> dict[str, list[str]]:
    """Requirement line -> its hashes."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in (ROOT / lock).read_text().splitlines():
        if not line.startswith((" ", "#")):
            current = found[line] = []
        elif "--hash=" in line:
            current.append(line.strip().removesuffix(" \\"))
    return found


def pinned(lock: str) -> dict[str, str]:
    matches = [REQUIREMENT.fullmatch(line) for line in entries(lock)]
    return {normal(match["name"]): match["version"] for match in matches if match}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_line_of_a_lock_is_one_version_with_hashes(lock: str) -> None:
    for line, hashes in entries(lock).items():
        assert REQUIREMENT.fullmatch(line), line
        assert hashes, line
        assert all(re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", one) for one in hashes), line


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_tells_nothing_of_where_it_was_made(lock: str) -> None:
    assert not re.search(r"://|index-url|find-links|trusted-host|(^|\s)/\w", (ROOT / lock).read_text())


def test_what_the_project_asks_for_is_in_the_locks() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    run = [*project["dependencies"], *extras["aggregator"], *extras["simulators"], "hatchling"]
    for lock, asked in (("requirements.lock", run), ("requirements-dev.lock", [*run, *extras["dev"]])):
        names = {normal(re.split(r"[ <>=;\[]", one)[0]) for one in asked} - {"campus-iot"}
        assert names <= set(pinned(lock)), lock


def test_tests_run_on_the_versions_that_people_run() -> None:
    run, dev = (pinned(lock) for lock in LOCKS)
    assert {name: version for name, version in run.items() if dev.get(name) != version} == {}


def test_the_build_tool_is_locked_in_a_version_that_the_project_takes() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["build-system"]["requires"] == ["hatchling>=1.27"]
    assert tuple(map(int, pinned("requirements.lock")["hatchling"].split("."))) >= (1, 27)
