"""`edge.yaml`: what is read, what is refused, and what is never printed."""

import json
import traceback
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from device_profiles.findings import Finding, Severity
from edge_agent.settings import EdgeSettings, Loaded, SecretError, read_secrets, read_settings
from tests.profiles.odd import ODD, Place, places, replaced
from tests.profiles.writing import write_profile
from wire.i18n import LANGUAGES, Texts

TEXT = """\
schema: 1
campus: demo-school
edge: gate-1
site: {zone: Asia/Shanghai}
data_dir: data
identity_key_file: keys/edge.key
campus_key_file: keys/campus.key
campus_public_key_file: /etc/campus/campus.pub
uplink: {host: campus, username: gate-1, password_file: keys/broker.password, tls_ca: ca.pem, tls_certificate: edge.pem,
  tls_key: /tls/edge.key}
channels:
  - name: terminals
    protocol: facesluice
    transport: {kind: mqtt, host: 127.0.0.1, username: gate-1, password_file: keys/terminals.password}
    devices:
      - {name: face-1, profile: facesluice-mqtt, address: {device_id: "1026701"}, place: south-gate}
      - {name: face-2, profile: facesluice-mqtt, address: {device_id: "1026702"}, zone: Asia/Urumqi}
"""


def write(folder: Path, text: str = TEXT) -> Path:
    path = folder / "edge.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def changed(folder: Path, old: str, new: str) -> Loaded:
    assert TEXT.count(old) >= 1, old
    return read_settings(write(folder, TEXT.replace(old, new, 1)))


def usable(path: Path) -> EdgeSettings:
    loaded = read_settings(path)
    assert errors(loaded) == []
    assert loaded.settings is not None
    return loaded.settings


def errors(loaded: Loaded) -> list[Finding]:
    """Without the warnings about files that this box of paper does not have."""
    return [finding for finding in loaded.findings if finding.severity is Severity.ERROR]


def codes(loaded: Loaded) -> list[str]:
    return [finding.code for finding in errors(loaded)]


# --- what is read -------------------------------------------------------------------------------------


def test_paths_are_relative_to_the_file_wherever_one_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    write(folder)
    monkeypatch.chdir(tmp_path)
    settings = usable(Path("etc/edge.yaml"))
    assert settings.data_dir == folder / "data"
    assert settings.identity_key_file == folder / "keys/edge.key"
    assert settings.campus_key_file == folder / "keys/campus.key"
    assert settings.campus_public_key_file == Path("/etc/campus/campus.pub")
    assert settings.uplink.password_file == folder / "keys/broker.password"
    assert settings.uplink.tls_ca == folder / "ca.pem"
    assert settings.uplink.tls_key == Path("/tls/edge.key")
    assert settings.uplink.tls_certificate == folder / "edge.pem"
    assert settings.channels[0].transport.password_file == folder / "keys/terminals.password"


def test_a_device_comes_with_its_profile_address_and_zone(tmp_path: Path) -> None:
    loaded = read_settings(write(tmp_path))
    first, second = loaded.devices["terminals"]
    assert (first.name, first.address_key, first.zone) == ("face-1", "1026701", "Asia/Shanghai")
    assert (second.name, second.address_key, second.zone) == ("face-2", "1026702", "Asia/Urumqi")
    assert first.profile.name == "facesluice-mqtt"
    assert first.facts["systems"] == "access,attendance,biometrics"
    assert first.facts["liveness_s"] == 120
    assert first.facts["place"] == "south-gate"


def test_a_sites_own_profile_is_found(tmp_path: Path) -> None:
    write_profile(tmp_path / "own", "own-terminal")
    text = TEXT.replace("profile: facesluice-mqtt", "profile: own-terminal", 1) + "profile_folders: [own]\n"
    loaded = read_settings(write(tmp_path, text))
    assert errors(loaded) == []
    assert loaded.devices["terminals"][0].profile.name == "own-terminal"


def test_a_broken_profile_of_a_site_stops_only_who_uses_it(tmp_path: Path) -> None:
    write_profile(tmp_path / "own", "own-terminal", {"contract: acked": "contract: asked"})
    folders = "profile_folders: [own]\n"
    assert usable(write(tmp_path, TEXT + folders))
    used = TEXT.replace("profile: facesluice-mqtt", "profile: own-terminal", 1) + folders
    assert codes(read_settings(write(tmp_path, used))) == ["broken_profile"]


# --- what is refused ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "code", "place"),
    [
        ("demo-school", "Demo School", "pattern", (2, 9)),
        ("schema: 1", "schema: 2", "not_one_of", (1, 9)),
        ("Asia/Shanghai", "Asia", "unknown_zone", (4, 14)),
        ("Asia/Shanghai", "../etc/passwd", "unknown_zone", (4, 14)),
        ("zone: Asia/Urumqi", "zone: Asia/Urumchi", "unknown_zone", (17, 89)),
        ("protocol: facesluice", "protocol: facesluicee", "unknown_protocol", (13, 15)),
        ("kind: mqtt", "kind: mqqt", "not_one_of", (14, 23)),
        ("face-2", "face-1", "duplicate_name", (17, 16)),
        ("1026702", "1026701", "duplicate_address", (17, 59)),
        ('"1026702"', '"10 26"', "pattern", (17, 71)),
        ('device_id: "1026702"', 'device: "1026702"', "unknown_key", (17, 60)),
        ("place: south-gate", "room: south-gate", "unknown_key", (16, 83)),
        ("campus_key_file", "campus_key", "unknown_key", (7, 1)),
        ("uplink: {host: campus, ", "uplink: {", "missing_key", (9, 9)),
    ],
)
def test_a_mistake_is_told_once_and_where_it_stands(
    tmp_path: Path, old: str, new: str, code: str, place: tuple[int, int]
) -> None:
    loaded = changed(tmp_path, old, new)
    assert loaded.settings is None
    assert [(finding.code, finding.line, finding.column) for finding in errors(loaded)] == [(code, *place)]


def test_two_channels_of_one_name_are_told(tmp_path: Path) -> None:
    second = TEXT[TEXT.index("  - name: terminals") :].replace("face-", "gate-").replace("10267", "10268")
    loaded = read_settings(write(tmp_path, TEXT + second))
    assert codes(loaded) == ["duplicate_name"]
    # Two channels are two conversations: the same address may mean two devices.
    apart = second.replace("name: terminals", "name: others").replace("10268", "10267")
    assert codes(read_settings(write(tmp_path, TEXT + apart))) == []


CHANNEL = """\
  - {name: NAME, protocol: rdm6300, transport: TRANSPORT, devices: [{name: DEVICE, profile: rdm6300, address: {}}]}
"""


@pytest.mark.parametrize(
    ("one", "other", "taken"),
    [
        ("{kind: serial, port: /dev/ttyUSB0}", "{kind: serial, port: /dev/ttyUSB0, baud_rate: 19200}", True),
        ("{kind: serial, port: /dev/ttyUSB0}", "{kind: serial, port: /dev/ttyUSB1}", False),
        ("{kind: serial, port: /dev/ttyUSB0}", "{kind: modbus-rtu, port: /dev/ttyUSB0}", True),
        ("{kind: http-push, host: 10.0.0.1, port: 80}", "{kind: http-push, host: 10.0.0.2, port: 80}", False),
        ("{kind: http-push, host: 10.0.0.1, port: 80}", "{kind: http-push, host: '::', port: 80}", True),
        ("{kind: http-push, host: 10.0.0.1, port: 80}", "{kind: http-stream, host: 10.0.0.1}", False),
        ("{kind: http-stream, host: 10.0.0.9}", "{kind: http-stream, host: 10.0.0.9, port: 80}", True),
        ("{kind: modbus-tcp, host: 10.0.0.9}", "{kind: modbus-tcp, host: 10.0.0.9, port: 502}", True),
        ("{kind: mqtt, host: b}", "{kind: mqtt, host: b}", False),
        ("{kind: mqtt, host: b, client_id: x}", "{kind: mqtt, host: b, port: 1883, client_id: x}", True),
        ("{kind: mqtt, host: b, client_id: x}", "{kind: mqtt, host: c, client_id: x}", False),
    ],
)
def test_two_channels_cannot_have_what_there_is_one_of(tmp_path: Path, one: str, other: str, taken: bool) -> None:
    channels = [
        CHANNEL.replace("NAME", f"more-{number}").replace("DEVICE", f"x-{number}").replace("TRANSPORT", transport)
        for number, transport in enumerate((one, other))
    ]
    loaded = read_settings(write(tmp_path, TEXT + "".join(channels)))
    found = [finding for finding in loaded.findings if finding.code == "taken"]
    assert [finding.params for finding in found] == ([{"line": "18"}] if taken else [])
    assert all(finding.line == 19 for finding in found)


@pytest.mark.parametrize(
    ("given", "key", "needed"),
    [
        ("tls_certificate: edge.pem", "tls_certificate", "tls_ca"),
        ("tls_ca: ca.pem, tls_key: edge.key", "tls_key", "tls_certificate"),
        ("password_file: keys/broker.password", "password_file", "username"),
    ],
)
def test_a_key_that_does_nothing_alone_is_told(tmp_path: Path, given: str, key: str, needed: str) -> None:
    start = TEXT.index("uplink:")
    end = TEXT.index("channels:")
    loaded = read_settings(write(tmp_path, f"{TEXT[:start]}uplink: {{host: campus, {given}}}\n{TEXT[end:]}"))
    (finding,) = errors(loaded)
    assert (finding.code, finding.line, finding.params) == ("useless_key", 9, {"key": key, "needed": needed})


def test_a_profile_of_another_protocol_does_not_fit_the_channel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ("facesluice", "modbus-tcp")
    monkeypatch.setattr("edge_agent.settings_check.protocol_names", lambda: names)
    from device_profiles.protocols import protocol

    monkeypatch.setattr("edge_agent.settings_check.protocol", lambda name: protocol("facesluice"))
    loaded = changed(tmp_path, "protocol: facesluice", "protocol: modbus-tcp")
    assert codes(loaded) == ["other_protocol", "other_protocol"]


def test_a_folder_of_profiles_that_is_not_there_is_told(tmp_path: Path) -> None:
    (finding,) = errors(read_settings(write(tmp_path, TEXT + "profile_folders: [absent]\n")))
    assert (finding.code, finding.line, finding.column) == ("folder_missing", 18, 19)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    loaded = read_settings(tmp_path / "edge.yaml")
    assert loaded.settings is None
    assert codes(loaded) == ["absent"]


# --- secrets ------------------------------------------------------------------------------------------


def enrolled(folder: Path) -> EdgeSettings:
    """A box whose files are there, its secrets readable by nobody else."""
    text = TEXT.replace("/etc/campus/campus.pub", "keys/campus.pub").replace("/tls/edge.key", "keys/tls.key")
    (folder / "keys").mkdir()
    for name, content in {
        "keys/campus.key": "ab" * 32,
        "keys/campus.pub": "cd" * 32,
        "keys/edge.key": "private",
        "keys/broker.password": "hunter2\n",
        "keys/terminals.password": "hunter3\n",
        "keys/tls.key": "private",
        "ca.pem": "public",
        "edge.pem": "public",
    }.items():
        path = folder / name
        path.touch(mode=0o600)
        path.write_text(content, encoding="utf-8")
    return usable(write(folder, text))


def warnings(folder: Path) -> list[tuple[str, int]]:
    loaded = read_settings(folder / "edge.yaml")
    assert loaded.settings is not None
    assert {finding.severity for finding in loaded.findings} <= {Severity.WARNING}
    return [(finding.code, finding.line) for finding in loaded.findings]


def test_files_in_order_are_not_told(tmp_path: Path) -> None:
    enrolled(tmp_path)
    for public in ("ca.pem", "edge.pem", "keys/campus.pub"):
        (tmp_path / public).chmod(0o644)
    assert warnings(tmp_path) == []


@pytest.mark.parametrize(
    ("name", "line"),
    [("keys/edge.key", 6), ("keys/campus.key", 7), ("keys/campus.pub", 8), ("keys/broker.password", 9), ("ca.pem", 9),
     ("keys/tls.key", 10), ("keys/terminals.password", 14)],
)  # fmt: skip
def test_a_file_that_run_would_miss_is_told_before(tmp_path: Path, name: str, line: int) -> None:
    enrolled(tmp_path)
    (tmp_path / name).unlink()
    assert warnings(tmp_path) == [("file_missing", line)]


def test_a_box_that_has_not_joined_yet_misses_only_what_enrolment_does_not_bring(tmp_path: Path) -> None:
    enrolled(tmp_path)
    for name in ("edge.key", "campus.key", "campus.pub", "broker.password", "terminals.password"):
        (tmp_path / "keys" / name).unlink()
    assert warnings(tmp_path) == [("file_missing", 14)]
    # One account for devices and uplink: then enrolment brings it, too.
    text = (tmp_path / "edge.yaml").read_text(encoding="utf-8")
    write(tmp_path, text.replace("terminals.password", "broker.password"))
    assert warnings(tmp_path) == []


def test_secrets_come_from_their_files_and_print_as_nothing(tmp_path: Path) -> None:
    secrets = read_secrets(enrolled(tmp_path))
    assert secrets.campus_key == bytes.fromhex("ab" * 32)
    assert secrets.uplink_password == "hunter2"
    assert secrets.channel_passwords == {"terminals": "hunter3"}
    assert repr(secrets) == "Secrets()"


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("campus.key", None, "No such file"),
        ("campus.pub", None, "No such file"),
        ("broker.password", None, "No such file"),
        ("terminals.password", None, "No such file"),
        ("campus.key", b"hunter2 hunter2 hunter2", "not hexadecimal"),
        ("campus.key", b"abcdef", "shorter than 16 bytes"),
        ("campus.key", b"hunter2\xff", "not UTF-8"),
        ("broker.password", b"hunter2\xff", "not UTF-8"),
    ],
)
def test_an_unusable_secret_names_its_file_and_never_what_it_holds(
    tmp_path: Path, name: str, content: bytes | None, reason: str
) -> None:
    settings = enrolled(tmp_path)
    path = tmp_path / "keys" / name
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(SecretError) as refused:
        read_secrets(settings)
    assert str(path) in str(refused.value)
    assert reason in str(refused.value)
    assert "hunter" not in "".join(traceback.format_exception(refused.value))


def test_a_secret_that_others_can_read_is_worth_a_warning(tmp_path: Path) -> None:
    enrolled(tmp_path)
    for name, mode in (("campus.key", 0o644), ("tls.key", 0o604), ("terminals.password", 0o640)):
        (tmp_path / "keys" / name).chmod(mode)
    assert warnings(tmp_path) == [("file_open", 7), ("file_open", 10), ("file_open", 14)]


def test_a_key_is_a_secret_also_when_it_stands_with_its_certificate(tmp_path: Path) -> None:
    enrolled(tmp_path)
    text = (tmp_path / "edge.yaml").read_text(encoding="utf-8")
    write(tmp_path, text.replace("tls_certificate: edge.pem", "tls_certificate: keys/tls.key"))
    (tmp_path / "keys" / "tls.key").chmod(0o644)
    assert warnings(tmp_path) == [("file_open", 10)]


def test_a_password_in_the_settings_is_refused_and_not_shown(tmp_path: Path) -> None:
    loaded = changed(tmp_path, "password_file: keys/broker.password", "password: hunter2")
    assert codes(loaded) == ["unknown_key"]
    for language in LANGUAGES:
        texts = Texts(language)
        printed = "".join(finding.render(texts) + json.dumps(finding.as_document(texts)) for finding in loaded.findings)
        assert "password" in printed
        assert "hunter2" not in printed


# --- anything -----------------------------------------------------------------------------------------


DOCUMENT = {**yaml.safe_load(TEXT), "profile_folders": ["own"], "clock": {"assume_synced": True}, "outbox": {}}


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(places(DOCUMENT)), odd=ODD)
def test_an_odd_value_anywhere_gives_findings_and_never_an_exception(
    tmp_path_factory: pytest.TempPathFactory, place: Place, odd: object
) -> None:
    folder = tmp_path_factory.getbasetemp() / "odd"
    (folder / "own").mkdir(parents=True, exist_ok=True)
    loaded = read_settings(write(folder, yaml.safe_dump(replaced(DOCUMENT, place, odd))))
    assert (loaded.settings is None) == any(finding.severity is Severity.ERROR for finding in loaded.findings)
    for finding in loaded.findings:
        for language in LANGUAGES:
            assert finding.render(Texts(language))
