"""What `doctor` of both programs looks at alike."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from simulators.children import free_ports
from tests.support.certificates import Authority
from tests.support.mosquitto import AnonymousBroker, Mosquitto
from wire import checks
from wire.checkup import Mark, Verdict
from wire.mqtt_link import BrokerAddress


def marks(verdicts: Iterator[Verdict]) -> list[tuple[str, str]]:
    return [(verdict.mark.value, verdict.code) for verdict in verdicts]


def test_a_secret_is_there_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "key"
    assert checks.secret_file(path).code == "file_unreadable"
    path.write_text("")
    assert checks.secret_file(path).code == "file_empty"
    path.write_text("s3cret")
    path.chmod(0o644)
    verdict = checks.secret_file(path)
    assert (verdict.mark, verdict.code, verdict.params["mode"]) == (Mark.WARN, "file_open", "0644")
    path.chmod(0o600)
    assert checks.secret_file(path).code == "file_ok"
    assert "s3cret" not in str(verdict)


@pytest.mark.parametrize(("days", "code"), [(90, "certificate_ok"), (20, "certificate_soon"), (-1, "certificate_over")])
def test_a_certificate_tells_how_long_it_holds(tmp_path: Path, days: int, code: str) -> None:
    verdict = checks.certificate_file(Authority(tmp_path).issue("x", days=days).certificate)
    assert verdict.code == code
    assert abs(int(str(verdict.params["days"])) - days) <= 1


def test_what_is_no_certificate_is_told(tmp_path: Path) -> None:
    path = tmp_path / "x.crt"
    assert checks.certificate_file(path).code == "file_unreadable"
    path.write_text("no certificate")
    assert checks.certificate_file(path).code == "certificate_bad"


def test_a_disk_has_room_and_keeps_what_it_commits(tmp_path: Path) -> None:
    (room, commit) = checks.disk(tmp_path, 1)
    assert room.code == "disk_room"
    assert commit.code in {"disk_commits", "disk_slow"}
    assert list(tmp_path.iterdir()) == []
    assert next(checks.disk(tmp_path, 1 << 62)).code == "disk_small"
    assert marks(checks.disk(tmp_path / "none", 1)) == [("fail", "folder_unusable")]


def test_a_disk_that_gives_other_settings_than_were_asked_for_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sqlite3.connect

    def in_memory(_path: object, **options: object) -> sqlite3.Connection:
        # As on a file system without shared memory: WAL is refused without a word.
        return real(":memory:", isolation_level=None)

    monkeypatch.setattr(sqlite3, "connect", in_memory)
    _, commit = checks.disk(tmp_path, 1)
    assert (commit.code, commit.params["mode"]) == ("disk_unsafe", "memory")


def test_a_damaged_database_is_found(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (a TEXT)")
    connection.executemany("INSERT INTO t VALUES (?)", [("x" * 500,)] * 500)
    connection.commit()
    connection.close()
    assert checks.sound_database(path).code == "database_sound"
    with path.open("r+b") as file:
        file.seek(4096 * 5)
        file.write(b"\xff" * 8192)
    assert checks.sound_database(path).code == "database_bad"
    assert checks.sound_database(tmp_path / "none.sqlite").code == "database_bad"


def test_a_port_can_be_had_or_not() -> None:
    (port,) = free_ports(1)
    assert checks.port_free("127.0.0.1", port, "x").code == "port_free"
    assert checks.port_free("192.0.2.1", port, "x").code == "port_unusable"
    import socket

    with socket.create_server(("127.0.0.1", port)):
        assert checks.port_free("127.0.0.1", port, "x").code == "port_taken"


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"LoadState": "not-found"}, [("warn", "unit_missing")]),
        (
            {
                "LoadState": "loaded",
                "ActiveState": "active",
                "UnitFileState": "enabled",
                "WatchdogUSec": "1min",
                "NRestarts": "0",
            },
            [("ok", "unit_active")],
        ),
        (
            {"LoadState": "loaded", "ActiveState": "failed", "UnitFileState": "disabled", "NRestarts": "7"},
            [
                ("fail", "unit_inactive"),
                ("warn", "unit_disabled"),
                ("warn", "unit_unwatched"),
                ("warn", "unit_restarted"),
            ],
        ),
    ],
)
def test_a_unit_is_judged_by_what_systemd_says(said: dict[str, str], expected: list[tuple[str, str]]) -> None:
    assert marks(checks.unit_verdicts("campus-edge.service", said)) == expected


def test_a_serial_port_is_there_and_ours(tmp_path: Path) -> None:
    assert checks.readable_device("/dev/no-such-port").code == "serial_missing"
    assert checks.readable_device("/dev/null").code == "serial_ok"


# --- broker -------------------------------------------------------------------------------------------

OWN, FOREIGN = "campus/v1/demo-school/gate-1/up/doctor", "campus/v1/demo-school/gate-2/up/doctor"


@pytest.mark.peer
def test_a_broker_with_our_access_list_lets_us_say_what_is_ours_alone(mosquitto: Mosquitto) -> None:
    box = mosquitto.edge("gate-1")
    assert marks(checks.broker(box, OWN, FOREIGN, listened_to=True)) == [
        ("ok", "broker_in"),
        ("fail", "campus_deaf"),
        ("ok", "broker_fenced"),
    ]
    assert marks(checks.broker(box, FOREIGN, OWN, listened_to=True)) == [("ok", "broker_in"), ("fail", "broker_mute")]
    wrong = BrokerAddress(host=box.host, port=box.port, username="gate-1", password="s3cret")
    (verdict,) = checks.broker(wrong, OWN, FOREIGN, listened_to=True)
    assert verdict.code == "broker_refuses"
    assert "s3cret" not in str(verdict)


@pytest.mark.peer
async def test_that_the_campus_listens_is_heard_at_the_broker(mosquitto: Mosquitto) -> None:
    import asyncio

    from wire.mqtt_link import MqttLink
    from wire.topics import up_filter

    heard = []
    campus = await MqttLink.connect(mosquitto.aggregator(), heard.append, client_id="campus")
    await campus.subscribe(up_filter("demo-school"))
    box = mosquitto.edge("gate-1")
    found = await asyncio.to_thread(lambda: marks(checks.broker(box, OWN, FOREIGN, listened_to=True)))
    await campus.close()
    assert found == [("ok", "broker_in"), ("ok", "campus_hears"), ("ok", "broker_fenced")]
    assert [(message.topic, message.payload) for message in heard] == [(OWN, b"")]


@pytest.mark.peer
def test_a_broker_without_an_access_list_is_worth_a_look(anonymous_broker: AnonymousBroker) -> None:
    found = marks(checks.broker(anonymous_broker.address, OWN, FOREIGN, listened_to=False))
    assert found == [("ok", "broker_in"), ("warn", "broker_open")]


def test_a_broker_that_is_away_is_told() -> None:
    (port,) = free_ports(1)
    (verdict,) = checks.broker(BrokerAddress(host="127.0.0.1", port=port), OWN, FOREIGN, listened_to=True)
    assert verdict.code == "broker_away"
