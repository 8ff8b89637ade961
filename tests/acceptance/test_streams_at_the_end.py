"""A campus that is told to stop ends its streams itself; nobody has to be cut off for it to be gone."""

import socket
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
import yaml

from simulators.children import free_ports
from tests.acceptance.site import HOST, WITHIN_S, Process, eventually, run

pytestmark = pytest.mark.processes

STREAMS: Final = 10
# What uvicorn says when requests did not end by themselves.
CUT_OFF: Final = "timeout graceful shutdown exceeded"


def opened(port: int, path: str, token: str) -> socket.socket:
    stream = socket.create_connection((HOST, port), timeout=WITHIN_S)
    stream.sendall(f"GET {path} HTTP/1.1\r\nHost: {HOST}\r\nAuthorization: Bearer {token}\r\n\r\n".encode())
    return stream


def heard(stream: socket.socket, wanted: bytes) -> None:
    """Wait until something was said."""
    said = b""
    while wanted not in said:
        chunk = stream.recv(65_536)
        assert chunk, said
        said += chunk


def to_end(stream: socket.socket) -> bytes:
    said = b""
    while chunk := stream.recv(65_536):
        said += chunk
    return said


def test_a_campus_with_open_streams_ends_by_itself(tmp_path: Path) -> None:
    port, nobody = free_ports(2)
    config = tmp_path / "campus" / "aggregator.yaml"
    assert run("aggregator.cli", "init", str(config.parent)).returncode == 0
    settings = yaml.safe_load(config.read_text(encoding="utf-8"))
    settings["http"], settings["broker"]["port"] = {"host": HOST, "port": port}, nobody
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    token = run("aggregator.cli", "token", "create", "wall", "--role", "wall", "-c", str(config)).stdout.strip()
    campus = Process([sys.executable, "-m", "aggregator.cli", "run", "-c", str(config)], tmp_path / "campus.log")
    campus.start()
    try:
        eventually(lambda: "campus started" in campus.log())
        with ExitStack() as stack:
            streams = [
                stack.enter_context(opened(port, path, token))
                for path in ("/api/v1/live/stream?after=0", "/api/v1/stream") * (STREAMS // 2)
            ]
            for stream in streams:
                heard(stream, b"event: hello")
            assert campus.stop() == 0
            # Each ended as an answer ends, with the last chunk of length nought.
            assert all(to_end(stream).endswith(b"0\r\n\r\n") for stream in streams)
        assert "campus stopping" in campus.log()
        assert CUT_OFF not in campus.log()
    finally:
        campus.stop()
