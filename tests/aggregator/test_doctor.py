"""`campus-aggregator doctor`: what it finds on a server."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from aggregator import doctor as examined
from aggregator.cli import app
from aggregator.service import Service
from simulators.children import free_ports

RUNNER = CliRunner()


def call(folder: Path, *words: str, stdin: str = "") -> tuple[int, str]:
    done = RUNNER.invoke(app, [*words, "-c", str(folder / "aggregator.yaml")], input=stdin)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert RUNNER.invoke(app, ["init", str(tmp_path)]).exit_code == 0
    return tmp_path


def changed(folder: Path, **sections: dict[str, Any]) -> None:
    path = folder / "aggregator.yaml"
    settings = yaml.safe_load(path.read_text())
    for name, section in sections.items():
        settings[name] = settings.get(name, {}) | section
    path.write_text(yaml.safe_dump(settings))


def doctor(folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    code, out = call(folder, "doctor", "--json")
    document = json.loads(out)
    assert (document["schema"], document["ok"]) == (1, code == 0)
    secret = (folder / "keys" / "broker.password").read_text().strip()
    assert secret not in out
    return code, {one["check"]: {**one["params"], "mark": one["mark"]} for one in document["checks"]}


def test_settings_that_cannot_be_used_are_the_only_finding(folder: Path) -> None:
    (folder / "aggregator.yaml").write_text("schema: 1\n")
    code, found = doctor(folder)
    assert (code, list(found)) == (1, ["settings_bad"])


def test_a_campus_that_was_never_started_is_told_how(folder: Path) -> None:
    ports = free_ports(2)
    changed(folder, http={"port": ports[0]}, broker={"port": ports[1]})
    code, found = doctor(folder)
    assert code == 1
    assert found["broker_away"]["mark"] == "fail"
    assert found["campus_away"]["mark"] == "warn"
    assert found["port_free"]["port"] == ports[0]
    assert found["no_databases"]["mark"] == "skip"
    assert found["series_embedded"]["mark"] == "ok"


def test_databases_are_sound_or_not_and_somebody_can_sign_in_or_not(folder: Path) -> None:
    assert call(folder, "token", "list")[0] == 0
    found = doctor(folder)[1]
    assert found["no_administrator"]["mark"] == "warn"
    assert found["database_sound"]["mark"] == "ok"
    assert call(folder, "user", "add", "chen", "--role", "admin", stdin="long enough to be one\n")[0] == 0
    assert doctor(folder)[1]["administrators"]["count"] == 1
    path = folder / "data" / "ledger.sqlite"
    for suffix in ("-wal", "-shm"):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
    path.write_bytes(b"no database" * 1000)
    assert doctor(folder)[1]["database_bad"]["name"] == "ledger.sqlite"


def test_what_the_running_service_says_of_its_parts_is_told(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Running(Service):
        def get(self, *_parts: str, **_query: str | int) -> dict[str, Any]:
            reader = {"position": 9, "lag": 0, "faults": 0, "failing": False}
            return {
                "status": "degraded",
                "version": "1.0",
                "broker": {"up": False},
                "ledger": {"failing": True},
                "edges_live": 3,
                "edges_silent": 2,
                "readers": {
                    "alarms": {**reader, "faults": 1},
                    "registry": {**reader, "lag": 50_000},
                    "series": {**reader, "failing": True},
                },
            }

    monkeypatch.setattr(examined, "running", lambda _file: Running("http://127.0.0.1:1"))
    found = doctor(folder)[1]
    marks = {code: verdict["mark"] for code, verdict in found.items()}
    assert (
        marks.items()
        >= {
            "campus_runs": "ok",
            "front_down": "fail",
            "ledger_failing": "fail",
            "edges_silent": "warn",
            "reader_failing": "fail",
            "reader_behind": "warn",
            "reader_faults": "warn",
        }.items()
    )
    assert found["reader_failing"]["reader"] == "series"


def test_a_series_store_that_is_away_and_what_goes_in_the_clear_are_told(folder: Path) -> None:
    (folder / "keys" / "influx.token").write_text("s3cret")
    changed(folder, http={"host": "192.0.2.10"})
    path = folder / "aggregator.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["series"] = {
        "kind": "influxdb",
        "url": "http://127.0.0.1:1",
        "version": 1,
        "secret_file": "keys/influx.token",
    }
    path.write_text(yaml.safe_dump(settings))
    found = doctor(folder)[1]
    assert found["series_away"]["mark"] == "fail"
    assert found["http_in_clear"]["host"] == "192.0.2.10"
    assert found["file_open"]["path"].endswith("influx.token")
