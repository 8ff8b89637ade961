import ast
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.support.influx import influxd
from tests.support.mosquitto import find_program
from tests.support.victoria import victoria

FINDERS = {lambda: find_program("mosquitto"): "mosquitto", influxd: "influxdb", victoria: "victoria-metrics"}

ROOT = Path(__file__).parents[2]


def asked_for() -> set[str]:
    """Debian packages that tests name when a program is missing."""
    calls = [
        node
        for path in sorted((ROOT / "tests").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and len(node.args) == 2
    ]
    named = [
        node.args[1].value
        for node in calls
        if getattr(node.func, "attr", getattr(node.func, "id", "")) in {"find_program", "missing"}
        and isinstance(node.args[1], ast.Constant)
    ]
    return {package for packages in named for package in str(packages).split()}


def test_the_pipeline_installs_every_peer_that_a_test_asks_for() -> None:
    """Here all of them are installed, so that nothing else would notice."""
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    (packages,) = re.findall(r"--no-upgrade \\\n((?:.*\\\n)*.*)\n\}", script)
    installed = set(packages.replace("\\", " ").split())
    assert len(asked_for()) >= 8
    assert asked_for() <= installed, asked_for() - installed


@pytest.fixture
def nothing_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def which(*_arguments: Any, **_options: Any) -> None:
        return None

    monkeypatch.setattr(shutil, "which", which)


@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_peer_is_a_skip_that_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CAMPUS_REQUIRE_PEERS", raising=False)
    for find, package in FINDERS.items():
        with pytest.raises(pytest.skip.Exception, match=f"apt-get install {package}"):
            find()


@pytest.mark.usefixtures("nothing_installed")
def test_a_missing_peer_is_a_failure_where_peers_are_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CAMPUS_REQUIRE_PEERS", "1")
    for find in FINDERS:
        with pytest.raises(pytest.fail.Exception, match="not installed"):
            find()
