"""From `aggregator.yaml` to the ports of the campus broker."""

from pathlib import Path

import pytest

from aggregator.broker import Audience, Listener
from aggregator.office_cli import init_campus
from aggregator.settings import Broker, read_settings
from wire.i18n import Texts

LINE = "  listeners: [{host: 192.0.2.10, port: 1884, audience: terminals}]\n"


def written(folder: Path, lines: str) -> Path:
    """What init writes, with more lines in `broker`."""
    assert init_campus(folder, Texts("en")) == 0
    path = folder / "aggregator.yaml"
    path.write_text(path.read_text() + lines)
    return path


def test_the_sample_opens_loopback_only(tmp_path: Path) -> None:
    settings = read_settings(written(tmp_path, "")).settings
    assert settings is not None
    assert settings.broker.opened() == (Listener(host="127.0.0.1", port=1883),)


def test_a_second_init_opens_what_was_added_and_keeps_the_users(tmp_path: Path) -> None:
    written(tmp_path, LINE)
    users = (tmp_path / "broker/users.json").read_bytes()
    assert init_campus(tmp_path, Texts("en")) == 0
    assert "listener 1884 192.0.2.10" in (tmp_path / "broker/mosquitto.conf").read_text()
    assert (tmp_path / "broker/users.json").read_bytes() == users


def test_retained_messages_are_taken_only_when_the_campus_says_so(tmp_path: Path) -> None:
    conf = tmp_path / "broker/mosquitto.conf"
    written(tmp_path, "  retained_allowed: true\n")
    assert "retain_available false" in conf.read_text()
    assert init_campus(tmp_path, Texts("en")) == 0
    assert "retain_available true" in conf.read_text()


def test_certificates_are_looked_for_beside_the_settings(tmp_path: Path) -> None:
    listener = "{host: 192.0.2.10, port: 8883, certificate: tls/b.crt, key: tls/b.key, client_ca: tls/ca.crt}"
    settings = read_settings(written(tmp_path, f"  listeners: [{listener}]\n")).settings
    assert settings is not None
    tls = settings.broker.opened()[1].tls
    assert tls is not None
    assert tls.certificate == tmp_path / "tls/b.crt"
    assert tls.client_ca == tmp_path / "tls/ca.crt"
    assert settings.broker.opened()[1].audience is Audience.BOXES


def test_without_a_port_of_its_own_the_aggregator_uses_what_others_use() -> None:
    assert Broker(host="broker.campus.example").opened() == ()
    assert Broker(host="localhost").opened() == (Listener(host="127.0.0.1", port=1883),)
    assert Broker(host="127.0.0.1", tls_ca=Path("/ca.crt")).opened() == ()


@pytest.mark.parametrize(
    ("listener", "code"),
    [
        ("{host: 192.0.2.10, port: 1884, audience: boxes}", "listener_in_clear"),
        ("{host: 192.0.2.10, port: 1884}", "listener_in_clear"),
        ("{host: 0.0.0.0, port: 1884, audience: everybody}", "listener_in_clear"),
        ("{host: campus.example, port: 1884, audience: terminals}", "not_an_address"),
        ("{host: 192.0.2.10, port: 8883, certificate: b.crt}", "missing_key"),
        ("{host: 192.0.2.10, port: 8883, key: b.key}", "missing_key"),
        ("{host: 192.0.2.10, port: 8883, client_ca: ca.crt}", "missing_key"),
        ("{host: 192.0.2.10, port: 0, audience: terminals}", "too_small"),
        ("{host: 192.0.2.10, port: 1884, audience: terminal}", "not_one_of"),
    ],
)
def test_a_listener_that_cannot_be_is_a_finding_in_its_line(tmp_path: Path, listener: str, code: str) -> None:
    path = written(tmp_path, f"  listeners: [{listener}]\n")
    loaded = read_settings(path)
    assert loaded.settings is None
    assert [finding.code for finding in loaded.findings] == [code]
    assert loaded.findings[0].line == len(path.read_text().splitlines())
    for language in ("zh-CN", "en"):
        assert loaded.findings[0].render(Texts(language))
