"""HTTPS for people, programs and boxes, with an authority of the school's own."""

import json
import ssl
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from aggregator.cli import app
from edge_agent.cli import app as edge_app
from simulators.children import free_ports
from tests.support.certificates import Authority, Certificate

RUNNER = CliRunner()
PASSWORD = "long enough to be one"


def campus_aggregator(folder: Path, *words: str, stdin: str = "") -> tuple[int, str, str]:
    options = [] if words[0] == "init" else ["-c", str(folder / "aggregator.yaml")]
    done = RUNNER.invoke(app, [*words, *options, "--lang", "en"], input=stdin)
    return done.exit_code, done.stdout, done.stderr


def set_up(folder: Path, certificate: Path | None, key: Path | None) -> int:
    """A campus of its own; returns its port."""
    assert campus_aggregator(folder, "init", str(folder))[0] == 0
    (port,) = free_ports(1)
    path = folder / "aggregator.yaml"
    settings = yaml.safe_load(path.read_text())
    settings["http"] |= {"port": port}
    settings["http"] |= {} if certificate is None else {"certificate": str(certificate)}
    settings["http"] |= {} if key is None else {"key": str(key)}
    path.write_text(yaml.safe_dump(settings))
    return port


@contextmanager
def service(folder: Path) -> Iterator[None]:
    argv = [sys.executable, "-m", "aggregator.cli", "run", "-c", str(folder / "aggregator.yaml")]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        for line in process.stderr:
            if "campus started" in line:
                break
        yield
    finally:
        process.terminate()
        process.communicate(timeout=30)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Certificate:
    return authority.issue("campus", address="127.0.0.1")


def edge_settings(folder: Path) -> Path:
    folder.mkdir()
    assert RUNNER.invoke(edge_app, ["init", str(folder)]).exit_code == 0
    return folder / "edge.yaml"


@pytest.mark.processes
def test_boxes_programs_and_browsers_come_over_tls(tmp_path: Path, authority: Authority, server: Certificate) -> None:
    campus = tmp_path / "campus"
    port = set_up(campus, server.certificate, server.key)
    base, trusted = f"https://127.0.0.1:{port}", ["--ca", str(authority.certificate)]
    (tmp_path / "token").write_text(campus_aggregator(campus, "token", "create", "desk", "--role", "guard")[1])
    words = ("user", "add", "chen", "--role", "guard")
    assert campus_aggregator(campus, *words, stdin=PASSWORD + "\n")[0] == 0
    with service(campus):
        # Beside it, by its own certificate, which is not for its address on another machine.
        assert json.loads(campus_aggregator(campus, "status", "--json")[1])["campus"] == "my-school"
        program = ["command", "list", "--url", base, "--token-file", str(tmp_path / "token")]
        assert campus_aggregator(campus, *program, *trusted)[0] == 0
        code, _, err = campus_aggregator(campus, *program)
        assert (code, "certificate verify failed" in err) == (4, True)

        config = edge_settings(tmp_path / "box")
        issued = campus_aggregator(campus, "edge", "add", "gate-1")[1]
        joining = ["enrol", "--url", base, "-c", str(config), "--lang", "en"]
        refused = RUNNER.invoke(edge_app, joining, input=issued)
        assert (refused.exit_code, "not_trusted" in refused.stderr, "--ca" in refused.stderr) == (4, True, True)
        joined = RUNNER.invoke(edge_app, [*joining, *trusted], input=issued)
        assert (joined.exit_code, "gate-1" in joined.stdout) == (0, True), joined.stderr

        request = urllib.request.Request(
            f"{base}/api/v1/session",
            json.dumps({"name": "chen", "password": PASSWORD}).encode(),
            {"Content-Type": "application/json"},
        )
        context = ssl.create_default_context(cafile=authority.certificate)
        with urllib.request.urlopen(request, timeout=10, context=context) as answer:
            cookie = answer.headers["Set-Cookie"]
        assert "Secure" in cookie
        assert "HttpOnly" in cookie


@pytest.mark.parametrize("damage", ["missing", "of another key", "garbage"])
def test_a_certificate_that_cannot_be_used_is_left_to_a_person(
    tmp_path: Path, authority: Authority, server: Certificate, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wire.logs.configure_logging", lambda _level: None)
    certificate = tmp_path / "campus.crt"
    if damage != "missing":
        other = authority.issue(f"other-{damage.split(maxsplit=1)[0]}", address="127.0.0.1").certificate.read_bytes()
        certificate.write_bytes(other if damage == "of another key" else b"garbage")
    set_up(tmp_path / "campus", certificate, server.key)
    code, _, err = campus_aggregator(tmp_path / "campus", "run")
    assert (code, len(err.splitlines()), str(certificate) in err) == (78, 1, True)


def test_half_of_what_tls_needs_is_a_finding(tmp_path: Path, server: Certificate) -> None:
    set_up(tmp_path, server.certificate, None)
    code, out, _ = campus_aggregator(tmp_path, "check")
    assert (code, "the key key is missing" in out) == (3, True)


def test_a_certificate_that_is_not_there_is_worth_a_word_before_the_start(tmp_path: Path, server: Certificate) -> None:
    set_up(tmp_path, tmp_path / "campus.crt", server.key)
    code, out, _ = campus_aggregator(tmp_path, "check")
    assert (code, out.count("[file_missing]"), str(tmp_path / "campus.crt") in out) == (0, 1, True)
    (tmp_path / "campus.crt").touch()
    assert "nothing wrong" in campus_aggregator(tmp_path, "check")[1]


def test_an_authority_that_cannot_be_read_is_a_mistake_of_usage(tmp_path: Path) -> None:
    config = edge_settings(tmp_path / "box")
    words = ["enrol", "--url", "https://127.0.0.1:1", "-c", str(config), "--token", "x", "--ca", str(tmp_path / "none")]
    done = RUNNER.invoke(edge_app, [*words, "--lang", "en"])
    assert (done.exit_code, "bad_authority" in done.stderr) == (2, True)
    (tmp_path / "token").write_text("x")
    set_up(tmp_path / "campus", None, None)
    program = ["command", "list", "--url", "https://127.0.0.1:1", "--token-file", str(tmp_path / "token")]
    assert campus_aggregator(tmp_path / "campus", *program, "--ca", str(tmp_path / "none"))[0] == 2
