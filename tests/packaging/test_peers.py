import shutil
from typing import Any

import pytest

from tests.support.influx import influxd
from tests.support.mosquitto import find_program
from tests.support.victoria import victoria

FINDERS = {lambda: find_program("mosquitto"): "mosquitto", influxd: "influxdb", victoria: "victoria-metrics"}


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
