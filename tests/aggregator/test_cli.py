"""The aggregator's commands as a person on the server uses them."""

import json
import re
import signal
import socket
import sqlite3
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aggregator.cli import app
from aggregator.cli_options import cause_of
from aggregator.serve import listen
from simulators.children import free_ports
from tests.support.prometheus import samples, value
from wire.i18n import Texts

RUNNER = CliRunner()


def call(
    folder: Path, *words: str, stdin: str = "", env: dict[str, str] | None = None, lang: str = "en"
) -> tuple[int, str, str]:
    options = [] if words[0] == "init" else ["--config", str(folder / "aggregator.yaml")]
    # Before a name that looks like an option.
    at = words.index("--") if "--" in words else len(words)
    done = RUNNER.invoke(app, [*words[:at], *options, "--lang", lang, *words[at:]], input=stdin, env=env)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    assert call(tmp_path, "init", str(tmp_path))[0] == 0
    return tmp_path


def test_init_makes_secrets_for_the_owner_alone_and_keeps_what_is_there(folder: Path) -> None:
    secrets = sorted((folder / "keys").iterdir())
    before = {path: path.read_bytes() for path in secrets}
    assert {path.stat().st_mode & 0o777 for path in secrets} == {0o600}
    assert call(folder, "init", str(folder))[0] == 0
    assert {path: path.read_bytes() for path in secrets} == before


def test_check_tells_every_mistake_with_its_place(folder: Path) -> None:
    path = folder / "aggregator.yaml"
    assert call(folder, "check")[0] == 0
    path.write_text(path.read_text().replace("port: 8000", "port: 80000").replace("Asia/Shanghai", "Asia/Shanghei"))
    code, out, _ = call(folder, "check")
    assert code == 3
    assert f"{path}:6:7" in out
    assert f"{path}:13:9" in out
    code, out, _ = call(folder, "check", "--json")
    assert {finding["code"] for finding in json.loads(out)["findings"]} == {"unknown_zone", "too_large"}


def test_a_box_gets_its_token_on_stdout_alone(folder: Path) -> None:
    code, out, err = call(folder, "edge", "add", "gate-1")
    assert (code, out.startswith("enrol_"), len(out.split())) == (0, True, 1)
    assert "gate-1" in err
    assert call(folder, "edge", "revoke", "gate-7")[0] == 1


def test_tokens_are_listed_without_their_secrets_and_can_be_revoked(folder: Path) -> None:
    _, secret, _ = call(folder, "token", "create", "wall", "--role", "wall")
    code, out, _ = call(folder, "token", "list", "--json")
    (item,) = json.loads(out)["items"]
    assert (code, item["name"]) == (0, "wall")
    assert secret.strip() not in out
    assert call(folder, "token", "revoke", item["id"])[0] == 0
    assert call(folder, "token", "create", "wall", "--role", "king")[0] == 2


@pytest.mark.parametrize("name", ["@cli", "", "a b", "x" * 33, "-a"])
@pytest.mark.parametrize("words", [("user", "add"), ("token", "create")])
def test_a_name_that_the_interface_refuses_is_refused_here_too(folder: Path, words: tuple[str, str], name: str) -> None:
    code, out, err = call(folder, *words, "--role", "guard", "--", name, stdin="long enough to be one\n")
    assert (code, out) == (1, "")
    assert (
        err
        == f"{name} cannot be a name: 1 to 32 letters, digits, dots, hyphens or underscores, a letter or digit first\n"
    )


@pytest.mark.parametrize(
    "words",
    [
        ("user", "add", "--role", "guard", "--", "@cli"),
        ("user", "add", "--role", "guard", "--", "wang"),
        ("token", "create", "--role", "guard", "--", "a b"),
        ("edge", "add", "Gate 1"),
        ("edge", "add", "aggregator"),
        ("terminal", "add", "a b"),
        ("terminal", "add", "faces", "--prefix", "mqtt/#"),
    ],
)
def test_what_cannot_be_taken_is_told_in_the_readers_language(folder: Path, words: tuple[str, ...]) -> None:
    told = {lang: call(folder, *words, stdin="short\n", lang=lang) for lang in ("zh-CN", "en")}
    assert {code for code, _, _ in told.values()} == {1}
    assert re.search("[\u4e00-\u9fff]{4}", told["zh-CN"][2])
    assert not re.search("[a-z]{3,} [a-z]{3,}", told["zh-CN"][2])
    assert re.search("[a-z]{3,} [a-z]{2,}", told["en"][2])


def test_a_person_is_added_once(folder: Path) -> None:
    words = ("user", "add", "chen", "--role", "guard")
    assert call(folder, *words, stdin="long enough to be one\n")[0] == 0
    assert call(folder, *words, stdin="long enough to be one\n")[0] == 1
    assert call(folder, "user", "add", "wang", "--role", "guard", stdin="short\n")[0] == 1


@pytest.mark.parametrize("damage", ["locked", "garbage"])
def test_a_database_that_cannot_be_used_is_told_in_one_line(folder: Path, damage: str, monkeypatch) -> None:
    assert call(folder, "token", "list")[0] == 0
    path = folder / "data" / "office.sqlite"
    holder = None
    if damage == "garbage":
        for name in ("office.sqlite-wal", "office.sqlite-shm"):
            (folder / "data" / name).unlink(missing_ok=True)
        path.write_bytes(b"no database" * 1000)
    else:
        monkeypatch.setattr("aggregator.storage.BUSY_TIMEOUT_MS", 50)
        holder = sqlite3.connect(path, isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
    try:
        code, _, err = call(folder, "token", "create", "x", "--role", "wall")
    finally:
        if holder is not None:
            holder.close()
    assert code == 1
    assert "Traceback" not in err
    assert err.strip()


@pytest.mark.parametrize(
    ("options", "grants"),
    [
        ((), {"mqtt/face/basic", "mqtt/face/heartbeat", "mqtt/face/+/+", "mqtt/face/+"}),
        (("--protocol", "esprfid"), {"rfid/send", "rfid/cmd"}),
        (("--protocol", "esprfid", "--prefix", "doors/east"), {"doors/east/send", "doors/east/cmd"}),
        (
            ("--protocol", "nxt-pa", "--device-id", "NXT2204-000001"),
            {"channels/school/messages/NXT2204-000001", "channels/school/messages/common/device"},
        ),
    ],
)
def test_devices_get_an_account_for_the_topics_of_their_protocol(
    folder: Path, options: tuple[str, ...], grants: set[str]
) -> None:
    code, out, _ = call(folder, "terminal", "add", "devices", *options)
    assert (code, len(out.split())) == (0, 1)
    users = json.loads((folder / "broker" / "users.json").read_text())["users"]
    (user,) = [one for one in users if one["name"] == "devices"]
    assert {topic for _, topic in user["grants"]} == grants
    assert out.strip() not in json.dumps(users)


@pytest.mark.parametrize("spoken", ["esprfd", "modbus"])
def test_a_protocol_that_speaks_to_no_broker_is_a_slip(folder: Path, spoken: str) -> None:
    code, _, err = call(folder, "terminal", "add", "devices", "--protocol", spoken)
    assert code == 2
    assert "esprfid, facesluice, nxt-pa" in err


def test_nobody_there_is_told_as_unreachable(folder: Path) -> None:
    code, _, err = call(folder, "status")
    assert code == 4
    assert "does not run on this machine" in err
    assert "Errno" not in err
    (folder / "data").mkdir(exist_ok=True)
    (free,) = free_ports(1)
    (folder / "data" / "run.json").write_text(json.dumps({"schema": 1, "host": "::1", "http": free}))
    assert call(folder, "status")[0] == 4


# --- the service ----------------------------------------------------------------------------------------


@contextmanager
def service(folder: Path, port: int) -> Iterator[subprocess.Popen[str]]:
    path = folder / "aggregator.yaml"
    path.write_text(path.read_text().replace("port: 8000", f"port: {port}"))
    argv = [sys.executable, "-m", "aggregator.cli", "run", "-c", str(path)]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def wait_for_health(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=5).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


@pytest.mark.processes
def test_the_service_ends_in_order_although_a_stream_is_open(folder: Path) -> None:
    _, token, _ = call(folder, "token", "create", "wall", "--role", "wall")
    (port,) = free_ports(1)
    with service(folder, port) as process:
        wait_for_health(port)
        # Whoever stands behind a proxy asks his own machine directly all the same.
        proxies = {"http_proxy": "http://127.0.0.1:1", "HTTP_PROXY": "http://127.0.0.1:1"}
        code, out, _ = call(folder, "status", "--json", env=proxies)
        assert (code, json.loads(out)["status"]) == (1, "degraded")
        _, ops, _ = call(folder, "token", "create", "prometheus", "--role", "ops")
        request = urllib.request.Request(f"http://127.0.0.1:{port}/metrics")
        request.add_header("Authorization", f"Bearer {ops.strip()}")
        with urllib.request.urlopen(request, timeout=10) as page:
            found = samples(page.read().decode())
        assert value(found, "campus_aggregator_broker_up") == 0
        assert {dict(labels)["reader"] for name, labels in found if name.endswith("_lag")} >= {"registry", "series"}
        with socket.create_connection(("127.0.0.1", port), timeout=10) as stream:
            stream.sendall(
                f"GET /api/v1/stream HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token.strip()}\r\n\r\n".encode()
            )
            assert b"200 OK" in stream.recv(4096)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
    assert not (folder / "data" / "run.json").exists()


def test_bad_settings_end_the_service_so_that_nobody_restarts_it(folder: Path) -> None:
    (folder / "aggregator.yaml").write_text("schema: 1\n")
    assert call(folder, "run")[0] == 78


@pytest.mark.parametrize(("lang", "words"), [("en", "is damaged"), ("zh-CN", "已损坏")])
def test_a_damaged_database_is_named_in_the_readers_language(folder: Path, lang: str, words: str) -> None:
    ledger = folder / "data" / "ledger.sqlite"
    ledger.parent.mkdir(exist_ok=True)
    ledger.write_bytes(b"no database, but long enough to be looked at " * 40)
    code, _, err = call(folder, "edge", "list", lang=lang)
    assert code == 1
    assert f"{ledger} {words}" in err


def test_a_port_that_is_taken_is_named() -> None:
    with listen("127.0.0.1", 0) as held:
        port = held.getsockname()[1]
        with pytest.raises(OSError, match="in use") as caught:
            listen("127.0.0.1", port)
    assert cause_of(caught.value, Texts("en")) == f"127.0.0.1:{port}: Address already in use"
