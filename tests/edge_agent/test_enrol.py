import errno
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from edge_agent.enrol import EnrolError, EnrolFiles, enrol
from edge_agent.keys import IdentityKey, KeyFileError, verifies


@pytest.fixture
def files(tmp_path: Path) -> EnrolFiles:
    return EnrolFiles(
        identity_key=tmp_path / "keys" / "edge.key",
        campus_key=tmp_path / "campus.key",
        campus_public_key=tmp_path / "campus.pub",
        broker_password=tmp_path / "broker.password",
    )


@contextmanager
def campus(status: int, answer: bytes) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """An aggregator that gives one answer, and what it was asked."""
    asked: list[dict[str, Any]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({**body, "bearer": self.headers["Authorization"]})
            self.send_response(status)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *args: object) -> None:
            """Silent."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


GOOD = {
    "campus": "school-7",
    "broker": {"username": "gate-1", "password": "s3cret", "host": "127.0.0.1", "port": 1883},
    "campus_key": "00" * 32,
    "aggregator_public_key": "11" * 32,
}


def test_the_key_is_made_on_the_box_and_only_its_public_half_is_sent(files: EnrolFiles) -> None:
    with campus(200, json.dumps(GOOD).encode()) as (url, asked):
        answer = enrol(url, "token-1", edge="gate-1", software="1", files=files)
    key = IdentityKey.load(files.identity_key)
    assert asked == [{"edge": "gate-1", "public_key": key.public_hex(), "software": "1", "bearer": "Bearer token-1"}]
    assert "campus_key" not in answer
    assert "password" not in answer["broker"]


def test_secrets_land_in_files_that_only_the_owner_reads(files: EnrolFiles) -> None:
    with campus(200, json.dumps(GOOD).encode()) as (url, _):
        enrol(url, "token-1", edge="gate-1", software="1", files=files)
    for path in (files.identity_key, files.campus_key, files.broker_password):
        assert path.stat().st_mode & 0o777 == 0o600
    assert files.broker_password.read_text().strip() == "s3cret"


def test_a_second_enrolment_keeps_the_key(files: EnrolFiles) -> None:
    with campus(200, json.dumps(GOOD).encode()) as (url, asked):
        enrol(url, "a", edge="gate-1", software="1", files=files)
        enrol(url, "b", edge="gate-1", software="1", files=files)
    assert asked[0]["public_key"] == asked[1]["public_key"]


@pytest.mark.parametrize(
    ("status", "answer", "code"),
    [
        (403, b'{"code": "token_used", "title": "used"}', "token_used"),
        (500, b"oops", "http_500"),
        (200, b"[]", "bad_answer"),
        (200, b"{", "bad_answer"),
        (200, b'{"campus": "x"}', "bad_answer"),
    ],
)
def test_a_refusal_names_its_code_and_writes_no_secret(
    files: EnrolFiles, status: int, answer: bytes, code: str
) -> None:
    with campus(status, answer) as (url, _), pytest.raises(EnrolError) as caught:
        enrol(url, "token", edge="gate-1", software="1", files=files)
    assert caught.value.code == code
    assert not files.campus_key.exists()


def test_no_campus_is_told_apart_from_a_refusal(files: EnrolFiles) -> None:
    with pytest.raises(EnrolError) as caught:
        enrol("http://127.0.0.1:9", "token", edge="gate-1", software="1", files=files)
    assert caught.value.code == "unreachable"


def test_a_signature_is_the_keys_own_and_nothing_else_is(tmp_path: Path) -> None:
    key = IdentityKey.create(tmp_path / "a.key")
    other = IdentityKey.create(tmp_path / "b.key")
    signature = key.sign(b"hello")
    assert verifies(key.public_hex(), b"hello", signature)
    assert not verifies(key.public_hex(), b"hullo", signature)
    assert not verifies(other.public_hex(), b"hello", signature)
    assert not verifies(key.public_hex(), b"hello", "zz")
    assert not verifies("", b"hello", signature)


def test_a_key_file_is_what_other_programs_take_it_for(tmp_path: Path) -> None:
    """The independent witness is the library's own reader and writer of keys."""
    ours = IdentityKey.create(tmp_path / "ours.key")
    read = load_pem_private_key((tmp_path / "ours.key").read_bytes(), password=None)
    assert isinstance(read, Ed25519PrivateKey)
    assert read.public_key().public_bytes_raw().hex() == ours.public_hex()
    assert IdentityKey.load(tmp_path / "ours.key").public_hex() == ours.public_hex()
    theirs = Ed25519PrivateKey.generate()
    written = theirs.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    for name, text in {"unix": written, "windows": written.replace(b"\n", b"\r\n")}.items():
        (tmp_path / name).write_bytes(text)
        assert IdentityKey.load(tmp_path / name).public_hex() == theirs.public_key().public_bytes_raw().hex()


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (
            ec.generate_private_key(ec.SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            "Ed",
        ),
        (
            Ed25519PrivateKey.generate().private_bytes(
                Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
            ),
            "PEM",
        ),
        (b"-----BEGIN PRIVATE KEY-----\nMC4CAQAw*\n-----END PRIVATE KEY-----\n", "damaged"),
        (b"-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIA==\n-----END PRIVATE KEY-----\n", "Ed25519"),
        (b"\xff\xfe", "not a key"),
        (b"", "PEM"),
    ],
    ids=["another kind", "encrypted", "no base64", "cut short", "no text", "empty"],
)
def test_what_is_no_such_key_is_told(tmp_path: Path, content: bytes, cause: str) -> None:
    path = tmp_path / "a.key"
    path.write_bytes(content)
    with pytest.raises(KeyFileError, match=cause):
        IdentityKey.load(path)


def test_an_identity_is_never_overwritten(tmp_path: Path) -> None:
    IdentityKey.create(tmp_path / "a.key")
    with pytest.raises(FileExistsError):
        IdentityKey.create(tmp_path / "a.key")


def test_a_bad_key_file_is_named_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "a.key"
    path.write_text("SECRET-BYTES")
    with pytest.raises(KeyFileError) as caught:
        IdentityKey.load(path)
    assert str(path) in str(caught.value)
    assert "SECRET-BYTES" not in str(caught.value)


def test_a_key_that_does_not_reach_the_disk_is_not_left_half_written(
    files: EnrolFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(EnrolError, match="not_written: No space left"):
            enrol("http://127.0.0.1:9", "x", edge="gate-1", software="1", files=files)
    assert not files.identity_key.exists()
    IdentityKey.create(files.identity_key)
