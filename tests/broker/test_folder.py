import json
import os
import threading
from pathlib import Path
from stat import S_IMODE

import pytest

from aggregator.broker import (
    Audience,
    BrokerFolder,
    BrokerSettings,
    Listener,
    ServerTls,
    aggregator_user,
    edge_user,
    password_hash,
    render_configuration,
    terminal_user,
)
from device_profiles.protocols.facesluice import TOPICS
from tests.support.clock import seeded

CAMPUS = "demo-school"
HASH = password_hash("secret", seeded(1))


def installed(tmp_path: Path, *listeners: Listener) -> BrokerFolder:
    folder = BrokerFolder(tmp_path / "broker")
    folder.install(BrokerSettings(campus=CAMPUS, listeners=listeners or (Listener(),)))
    return folder


def directives(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_the_shipped_limits_are_explicit(tmp_path: Path) -> None:
    lines = directives(render_configuration(BrokerSettings(campus=CAMPUS), tmp_path))
    for line in (
        "per_listener_settings true",
        "allow_anonymous false",
        "persistence false",
        "max_inflight_messages 1000",
        "max_queued_messages 20000",
        "max_queued_bytes 16777216",
        "max_packet_size 4194304",
        "memory_limit 536870912",
        "retain_available false",
        "listener 1883 127.0.0.1",
    ):
        assert line in lines


def test_sessions_never_expire_because_debians_mosquitto_loses_count_of_those_that_do(tmp_path: Path) -> None:
    text = render_configuration(BrokerSettings(campus=CAMPUS), tmp_path)
    assert not [line for line in directives(text) if line.startswith("persistent_client_expiration")]


@pytest.mark.parametrize("audience", [Audience.BOXES, Audience.EVERYBODY])
def test_passwords_of_boxes_never_cross_a_network_in_the_clear(audience: Audience) -> None:
    with pytest.raises(ValueError, match="terminals only"):
        Listener(host="192.0.2.1", audience=audience)


def test_terminals_may_speak_plainly_and_find_only_terminals_on_their_listener(tmp_path: Path) -> None:
    folder = installed(tmp_path, Listener(), Listener(host="192.0.2.1", audience=Audience.TERMINALS))
    folder.put(edge_user(CAMPUS, "gate-1", HASH), terminal_user("terminals", TOPICS, "mqtt/face", HASH))
    conf = directives(folder.config_file.read_text())
    plain = conf[conf.index("listener 1883 192.0.2.1") :]
    assert f"password_file {folder.folder}/terminals.passwd" in plain
    assert f"acl_file {folder.folder}/terminals.acl" in plain
    for name in ("terminals.passwd", "terminals.acl"):
        text = (folder.folder / name).read_text()
        assert "terminals" in text
        assert "gate-1" not in text


def test_a_listener_with_tls_asks_boxes_for_certificates_when_their_authority_is_known(tmp_path: Path) -> None:
    tls = ServerTls(certificate=tmp_path / "s.crt", key=tmp_path / "s.key", client_ca=tmp_path / "ca.crt")
    settings = BrokerSettings(
        campus=CAMPUS, listeners=(Listener(port=8883, host="192.0.2.1", audience=Audience.BOXES, tls=tls),)
    )
    lines = directives(render_configuration(settings, tmp_path))
    assert {"tls_version tlsv1.2", "require_certificate true", "use_identity_as_username true"} <= set(lines)
    assert f"cafile {tmp_path}/ca.crt" in lines


@pytest.mark.parametrize("bad", ["relative", "/with\nuser root"])
def test_a_path_that_would_break_a_line_is_refused(bad: str) -> None:
    with pytest.raises(ValueError, match="absolute path on one line"):
        render_configuration(BrokerSettings(campus=CAMPUS), Path(bad))


def test_files_with_hashes_are_not_for_everybody_to_read(tmp_path: Path) -> None:
    umask = os.umask(0)
    try:
        folder = installed(tmp_path)
        folder.put(edge_user(CAMPUS, "gate-1", HASH))
    finally:
        os.umask(umask)
    modes = {path.name: S_IMODE(path.stat().st_mode) for path in folder.folder.iterdir()}
    assert modes.pop("mosquitto.conf") == 0o644
    assert set(modes.values()) == {0o640}
    assert S_IMODE(folder.folder.stat().st_mode) == 0o750


def test_users_are_added_replaced_and_removed_and_the_files_follow(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    folder.put(aggregator_user(CAMPUS, HASH), edge_user(CAMPUS, "gate-2", HASH), edge_user(CAMPUS, "gate-1", HASH))
    assert [user.name for user in folder.users()] == ["aggregator", "gate-1", "gate-2"]
    other = password_hash("other", seeded(2))
    folder.put(edge_user(CAMPUS, "gate-1", other))
    passwords = (folder.folder / "everybody.passwd").read_text().splitlines()
    assert passwords == [f"aggregator:{HASH}", f"gate-1:{other}", f"gate-2:{HASH}"]
    assert folder.remove("gate-2")
    assert not folder.remove("gate-2")
    assert "gate-2" not in "".join(path.read_text() for path in folder.folder.glob("*.*") if path.is_file())


def test_installing_again_keeps_the_users_and_mends_files_that_were_half_written(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    folder.put(edge_user(CAMPUS, "gate-1", HASH))
    before = (folder.folder / "everybody.acl").read_text()
    (folder.folder / "everybody.acl").write_text("user gate-1\ntop")
    installed(tmp_path)
    assert (folder.folder / "everybody.acl").read_text() == before
    assert [user.name for user in folder.users()] == ["gate-1"]


def test_a_users_file_that_was_tampered_with_is_not_believed(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    folder.put(edge_user(CAMPUS, "gate-1", HASH))
    path = folder.folder / "users.json"
    data = json.loads(path.read_text())
    data["users"][0]["grants"][0][1] = "up\ntopic readwrite #"
    path.write_text(json.dumps(data))
    with pytest.raises(ValueError, match="bad topic"):
        folder.users()


def test_two_writers_at_once_both_leave_their_users(tmp_path: Path) -> None:
    folder = installed(tmp_path)

    def add(group: str) -> None:
        for number in range(10):
            BrokerFolder(folder.folder).put(edge_user(CAMPUS, f"{group}-{number}", HASH))

    threads = [threading.Thread(target=add, args=(group,)) for group in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(folder.users()) == 30


def test_a_number_that_now_belongs_to_another_process_is_not_signalled(tmp_path: Path) -> None:
    folder = installed(tmp_path)
    assert not folder.reload()
    folder.pid_file.write_text(str(os.getpid()))
    assert not folder.reload()
