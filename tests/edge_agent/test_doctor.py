"""`campus-edge doctor`: what it finds on a box, beside a running agent and without one."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from edge_agent.check_cli import init_command
from edge_agent.cli import app
from edge_agent.keys import IdentityKey
from simulators.children import free_ports
from tests.outbox.making import Box
from wire.topics import Lane

Change = Callable[[dict[str, Any]], None]


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A box that has joined, whose broker is away."""
    init_command(tmp_path, sample="minimal", language="en")
    keys = tmp_path / "keys"
    IdentityKey.create(keys / "edge.key")
    for name, text in (("campus.key", "00" * 32), ("campus.pub", "11" * 32), ("broker.password", "s3cret-of-the-box")):
        (keys / name).write_text(text)
        (keys / name).chmod(0o600)
    (tmp_path / "data").mkdir()
    path = tmp_path / "edge.yaml"
    (nobody,) = free_ports(1)
    path.write_text(path.read_text().replace("port: 1883", f"port: {nobody}"))
    return path


def changed(config: Path, change: Change) -> None:
    settings = yaml.safe_load(config.read_text())
    change(settings)
    config.write_text(yaml.safe_dump(settings))


def doctor(config: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Exit code, and of each check its last verdict."""
    done = CliRunner().invoke(app, ["doctor", "-c", str(config), "--json"])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert "s3cret" not in done.output
    document = json.loads(done.stdout)
    assert document["schema"] == 1
    assert document["ok"] == (done.exit_code == 0)
    return done.exit_code, {one["check"]: {**one["params"], "mark": one["mark"]} for one in document["checks"]}


def health(config: Path, age_s: float = 0, **parts: dict[str, Any]) -> None:
    """As a running agent writes it."""
    devices = [
        {"id": "gate-1/face-1", "state": "UP", "heard_s": 3.0, "events": 9, "troubles": 0, "answer_ms": None},
        {"id": "gate-1/face-2", "state": "DOWN", "heard_s": None, "events": 0, "troubles": 0, "answer_ms": None},
        {"id": "gate-1/face-3", "state": None, "heard_s": None, "events": 0, "troubles": 0, "answer_ms": None},
    ]
    part = {"state": "up", "restarts": 0, "bugs": 0, "cause": ""}
    document = {
        "schema": 1,
        "wall_ns": int((time.time() - age_s) * 1e9),
        "rate": 1.5,
        "parts": {name: part | more for name, more in parts.items()},
        "channels": {"terminals": {"connected": True, "waiting": 0, "devices": devices}},
    }
    (config.parent / "data" / "health.json").write_text(json.dumps(document))


def test_settings_that_cannot_be_used_are_the_only_finding(config: Path) -> None:
    config.write_text("schema: 1\n")
    code, found = doctor(config)
    assert (code, list(found)) == (1, ["settings_bad"])


def test_a_box_that_has_not_joined_is_told_to(config: Path) -> None:
    (config.parent / "keys" / "edge.key").unlink()
    code, found = doctor(config)
    assert (code, found["not_joined"]["mark"]) == (1, "fail")


def test_secrets_are_there_and_nobody_else_reads_them(config: Path) -> None:
    keys = config.parent / "keys"
    (keys / "campus.key").chmod(0o640)
    assert doctor(config)[1]["file_open"] == {"path": str(keys / "campus.key"), "mode": "0640", "mark": "warn"}
    (keys / "edge.key").write_text("not a key")
    assert "key_bad" in doctor(config)[1]


def test_beside_a_running_agent_its_own_knowledge_is_told(config: Path) -> None:
    uplink = {"state": "down", "cause": "MQTT broker 192.0.2.10:8883: no answer in time", "bugs": 2}
    health(config, uplink=uplink)
    code, found = doctor(config)
    assert code == 1
    assert found["agent_runs"] == {"rate": 1.5, "mark": "ok"}
    assert found["part_down"] == {"part": "uplink", "state": "down", "cause": uplink["cause"], "mark": "fail"}
    assert found["part_bugs"]["count"] == 2
    assert found["device_up"] == {"device": "gate-1/face-1", "heard_s": 3.0, "mark": "ok"}
    assert found["device_never_heard"] == {"device": "gate-1/face-2", "mark": "fail"}
    assert found["device_unknown"]["mark"] == "warn"


def test_a_part_that_is_starting_is_no_fault(config: Path) -> None:
    health(config, uplink={"state": "starting"})
    _, found = doctor(config)
    assert found["part_starting"] == {"part": "uplink", "mark": "warn"}
    assert "part_down" not in found


def test_what_an_agent_wrote_long_ago_is_no_news(config: Path) -> None:
    health(config, age_s=120)
    code, found = doctor(config)
    assert code == 1
    assert found["agent_away"]["mark"] == "warn"
    assert not {"device_up", "device_down", "device_never_heard"} & set(found)
    # Asked by itself, and the broker is not there.
    assert found["device_away"]["channel"] == "terminals"
    assert found["broker_away"]["mark"] == "fail"


def test_without_an_agent_devices_are_asked_and_ports_looked_at(config: Path) -> None:
    dead, push = free_ports(2)

    def change(settings: dict[str, Any]) -> None:
        settings["metrics"] = {"port": push}
        settings["channels"] = [
            {
                "name": "climate",
                "protocol": "modbus",
                "transport": {"kind": "modbus-tcp", "host": "127.0.0.1", "port": dead},
                "devices": [{"name": "climate-1", "profile": "xy-md02", "address": {"unit_id": 1}}],
            },
            {
                "name": "cards",
                "protocol": "rdm6300",
                "transport": {"kind": "serial", "port": "/dev/no-such-port"},
                "devices": [{"name": "reader-1", "profile": "rdm6300", "address": {}}],
            },
            {
                "name": "clocks",
                "protocol": "zk-adms-att",
                "transport": {"kind": "http-push", "host": "127.0.0.1", "port": push},
                "devices": [{"name": "clock-1", "profile": "zk-adms-att", "address": {"serial": "ABC1"}}],
            },
        ]

    changed(config, change)
    code, found = doctor(config)
    assert code == 1
    assert found["serial_missing"]["path"] == "/dev/no-such-port"
    assert found["device_away"]["channel"] == "cards"
    assert found["port_free"]["what"] == "clocks"


def test_an_outbox_tells_what_waits_and_what_was_lost(config: Path) -> None:
    box = Box(config.parent / "data" / "outbox.sqlite")
    box.fill(Lane.D, 3)
    box.store.quarantine("gate-1/face-1", "bad_json", b"abc")
    box.store.close()
    (config.parent / "data" / "outbox.damaged-1.sqlite").write_bytes(b"")
    found = doctor(config)[1]
    assert found["database_sound"]["name"] == "outbox.sqlite"
    # The clock of the test stands at another time; that there are three is what counts.
    assert (found.get("outbox_waits") or found["outbox_ok"])["queued"] == 3
    assert found["outbox_quarantine"]["count"] == 1
    assert found["outbox_set_aside"]["name"] == "outbox.damaged-1.sqlite"
    changed(config, lambda settings: settings.update(edge="gate-7"))
    assert doctor(config)[1]["outbox_foreign"]["edge"] == "gate-1"


def test_what_goes_in_the_clear_is_told(config: Path) -> None:
    changed(config, lambda settings: settings["uplink"].update(host="192.0.2.1"))
    health(config)
    found = doctor(config)[1]
    assert found["uplink_in_clear"]["host"] == "192.0.2.1"
    assert found["no_certificates"]["mark"] == "skip"
