"""`campus-aggregator tail` against a server of the test that breaks off where it likes."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from aggregator.service import Service
from aggregator.tail_cli import tail
from wire.i18n import Texts
from wire.pipe import Output

LEDGER = [
    {
        "position": position,
        "occurred": f"2026-09-01T00:00:{position:02d}.000000Z",
        "edge": "gate-1",
        "device": f"gate-1/face-{position % 2 + 1}",
        "lane": "D",
        "kind": "event",
        "topic": "AccessControl/AccessGranted/Credential",
        "historical": False,
    }
    for position in range(1, 31)
]


class Enough(Exception):
    """The test has seen what it wanted."""


class Campus(BaseHTTPRequestHandler):
    """Gives at most three frames of two rows for each connection, and breaks the last one off in its middle."""

    asked: list[dict[str, str]] = []
    token = "right"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        if self.headers.get("Authorization") != f"Bearer {self.token}":
            self._answer(401, {"code": "not_signed_in"})
        elif parts.path == "/api/v1/events":
            rows = [row for row in LEDGER if query.get("device") in {None, row["device"]}]
            newest = query.get("order") != "asc"
            self._answer(200, {"items": rows[-1:] if newest else rows[10:11], "next": None})
        else:
            self.asked.append(query)
            self._stream(query)

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps(body).encode())

    def _stream(self, query: dict[str, str]) -> None:
        self.send_response(200)
        self.end_headers()
        head = LEDGER[-1]["position"]
        self.wfile.write(b'event: hello\ndata: {"campus": "x", "head": 20}\n\n: quiet\n\n')
        position = int(query.get("after", 20))
        for _ in range(3):
            items = [row for row in LEDGER if position < row["position"] <= position + 2]
            position = min(head, position + 2)
            shown = [row for row in items if query.get("device") in {None, row["device"]}]
            frame = b"id: %d\ndata: %s\n\n" % (position, json.dumps({"items": shown, "position": position}).encode())
            self.wfile.write(frame)
        # Half a frame: it must neither be shown nor count as seen.
        self.wfile.write(b'id: 99\ndata: {"items": [{"position"')


@contextmanager
def campus() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Campus)
    Campus.asked = []
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def seen(url: str, *, losses: int, since_s: int | None = None, **wanted: str) -> None:
    """Follow until the connection was lost so many times."""
    left = losses

    def sleep(_seconds: float) -> None:
        nonlocal left
        left -= 1
        if not left:
            raise Enough

    with pytest.raises(Enough):
        tail(
            Service(url, "right"),
            {"device": "", "topic": "", "lane": "", **wanted},
            output=Output.JSON,
            zone=None,
            since_s=since_s,
            texts=Texts("en"),
            sleep=sleep,
        )


def positions(capsys: pytest.CaptureFixture[str]) -> list[int]:
    printed = capsys.readouterr()
    assert "nothing is left out" in printed.err
    return [json.loads(line)["position"] for line in printed.out.splitlines()]


def test_after_a_lost_connection_it_goes_on_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    with campus() as url:
        seen(url, losses=2)
    assert positions(capsys) == list(range(21, 31))
    assert [query.get("after") for query in Campus.asked] == [None, "26"]


def test_since_begins_before_the_first_record_that_is_as_young(capsys: pytest.CaptureFixture[str]) -> None:
    with campus() as url:
        seen(url, losses=4, since_s=3600)
    assert positions(capsys) == list(range(11, 31))
    assert Campus.asked[0]["after"] == "10"


def test_what_is_filtered_out_is_not_asked_for_again(capsys: pytest.CaptureFixture[str]) -> None:
    with campus() as url:
        seen(url, losses=3, device="gate-1/face-1", since_s=3600)
    assert positions(capsys) == [22, 24, 26, 28, 30]
    assert [query["device"] for query in Campus.asked] == ["gate-1/face-1"] * 3
    assert [query["after"] for query in Campus.asked] == ["21", "27", "30"]


@pytest.mark.parametrize(("base", "token", "code"), [("", "wrong", 5), ("http://127.0.0.1:1", "right", 4)])
def test_who_may_not_and_who_finds_nobody_is_told_and_ends(
    base: str, token: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    with campus() as url:
        wanted = {"device": "", "topic": "", "lane": ""}
        service = Service(base or url, token)
        ended = tail(service, wanted, output=Output.LINE, zone=None, since_s=None, texts=Texts("en"))
    assert ended == code
    assert re.fullmatch(r".+\n", capsys.readouterr().err)
