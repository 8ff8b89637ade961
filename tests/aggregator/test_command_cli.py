"""`campus-aggregator command` against an API played by hand: what it asks, what it says, how it ends."""

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aggregator import commands_cli
from aggregator.cli import app
from simulators.children import free_ports

DOOR = "gate-1/face-1"
GROUP = "ab" * 16
PROFILES = {DOOR: "facesluice-mqtt", "hall-1/amplifier-1": "nxt-pa", "hall-1/amplifier-2": "nxt-pa", "x/y": "own"}


class Api(ThreadingHTTPServer):
    """The routes that the commands need. ends: by device, the result it has when it is looked at."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[tuple[str, dict[str, Any], str]] = []
        self.queries: list[str] = []
        self.ends: dict[str, str | None] = dict.fromkeys(PROFILES, "succeeded")
        self.refuse: tuple[int, dict[str, Any]] | None = None
        # So many requests are heard and not answered.
        self.deaf = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def item(self, number: int, device: str) -> dict[str, Any]:
        result = self.ends[device]
        return {
            "id": f"{number:032x}",
            "group_id": GROUP,
            "device": device,
            "name": "AccessDoor",
            "asked": "2026-09-01T00:00:00.000000Z",
            "operator": "desk",
            "state": "settled" if result else "requested",
            "result": result,
            "end_reason": "" if result == "succeeded" else "why",
        }

    def answer(self, method: str, path: str, body: dict[str, Any], headers: Mapping[str, str]) -> tuple[int, Any]:
        if headers.get("Authorization") != "Bearer secret":
            return 401, {"code": "not_signed_in", "params": {}}
        if self.refuse is not None and (method == "POST" or self.refuse[0] != 503):
            return self.refuse
        path, _, query = path.removeprefix("/api/v1/").partition("?")
        if method == "POST":
            self.asked.append((path, body, headers["Idempotency-Key"]))
            return 202, {"group_id": GROUP, "items": []}
        self.queries.append(query)
        if path == "commands":
            devices = self.asked[-1][1]["devices"] if self.asked else [DOOR]
            return 200, {"items": [self.item(number, one) for number, one in enumerate(devices)][::-1], "next": None}
        if path.startswith("commands/"):
            known = path.endswith("0" * 8)
            return (200, self.item(0, DOOR)) if known else (404, {"code": "unknown_command", "params": {}})
        device = path.removeprefix("devices/")
        if device not in PROFILES:
            return 404, {"code": "unknown_device", "params": {"device": device}}
        return 200, {"profile": PROFILES[device]}


class Handler(BaseHTTPRequestHandler):
    server: Api

    def do_GET(self) -> None:
        self._answer("GET")

    def do_POST(self) -> None:
        self._answer("POST")

    def _answer(self, method: str) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))) or b"{}")
        status, document = self.server.answer(method, self.path, body, self.headers)
        if method == "POST" and self.server.deaf:
            self.server.deaf -= 1
            self.close_connection = True
            return
        data = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""


@contextmanager
def serving() -> Iterator[Api]:
    with Api() as api:
        thread = threading.Thread(target=api.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield api
        finally:
            api.shutdown()
            thread.join()


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Iterator[Api]:
    monkeypatch.setattr(commands_cli, "LOOK_S", 0.01)
    with serving() as api:
        yield api


class Desk:
    """Somebody at a terminal with a token."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.url = api.url
        self.token = folder / "token"
        self.token.write_text("secret\n")

    def call(self, *words: str) -> tuple[int, str, str]:
        options = ["--url", self.url, "--token-file", str(self.token), "--lang", "en"]
        done = CliRunner().invoke(app, ["command", *words, *options])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.stdout, done.stderr


@pytest.fixture
def desk(api: Api, tmp_path: Path) -> Desk:
    return Desk(api, tmp_path)


def test_a_door_is_opened_and_said_to_be(api: Api, desk: Desk) -> None:
    code, out, err = desk.call("send", "AccessDoor", DOOR, "--reason", "visitor")
    assert (code, err) == (0, "")
    assert out == f"{0:032x}  {DOOR}  AccessDoor  succeeded\n"
    ((path, body, key),) = api.asked
    assert path == "commands"
    assert body == {"devices": [DOOR], "name": "AccessDoor", "arguments": {}, "reason": "visitor"}
    assert len(key) == 32


@pytest.mark.parametrize(
    ("result", "said"), [("rejected", "rejected (why)"), ("unknown", "look there (why)"), (None, "unconfirmed (why)")]
)
def test_any_other_end_is_said_and_has_its_code(api: Api, desk: Desk, result: str | None, said: str) -> None:
    api.ends[DOOR] = result
    code, out, _ = desk.call("send", "AccessDoor", DOOR, "--wait", "0.05")
    assert code == 1
    assert out.strip().endswith(said)


def test_who_does_not_wait_is_not_told_of_a_failure(api: Api, desk: Desk) -> None:
    api.ends[DOOR] = None
    assert desk.call("send", "AccessDoor", DOOR, "--wait", "0")[0] == 0


def test_values_are_sent_in_the_type_that_the_profile_has(api: Api, desk: Desk) -> None:
    devices = ("hall-1/amplifier-1", "hall-1/amplifier-2")
    given = ("--arg", "song=bell.mp3", "--arg", "zones=1", "--arg", "volume=12")
    code, out, _ = desk.call("send", "Play", *devices, *given, "--json")
    assert code == 0
    assert api.asked[0][1]["devices"] == list(devices)
    assert api.asked[0][1]["arguments"] == {"song": "bell.mp3", "zones": "1", "volume": 12}
    document = json.loads(out)
    assert (document["schema"], document["group_id"]) == (1, GROUP)
    assert [item["device"] for item in document["items"]] == list(devices)
    # Of a profile that only the box has: as JSON, or else as text.
    desk.call("send", "Do", "x/y", "--arg", "a=1", "--arg", "b=true", "--arg", "c=1,2", "--arg", "d=a=b")
    assert api.asked[1][1]["arguments"] == {"a": 1, "b": True, "c": "1,2", "d": "a=b"}


def test_an_argument_without_a_value_is_a_slip(api: Api, desk: Desk) -> None:
    assert desk.call("send", "Play", DOOR, "--arg", "volume")[0] == 2
    assert api.asked == []


@pytest.mark.parametrize(
    ("status", "problem", "code", "said"),
    [
        (503, {"code": "box_unreachable", "params": {"devices": [DOOR]}}, 1, "not reachable, nothing was sent"),
        (403, {"code": "not_allowed", "params": {}}, 5, "role may not"),
        (422, {"code": "out_of_range", "params": {"device": DOOR}}, 1, "outside of its range"),
        (500, {"code": "internal", "params": {}}, 1, "internal"),
        (502, {}, 1, "http_502"),
    ],
)
def test_a_refusal_is_told_in_words(
    api: Api, desk: Desk, status: int, problem: dict[str, Any], code: int, said: str
) -> None:
    api.refuse = status, problem
    given, out, err = desk.call("send", "AccessDoor", DOOR)
    assert (given, out) == (code, "")
    assert said in err


def test_a_wrong_token_and_none_at_all(api: Api, desk: Desk) -> None:
    desk.token.write_text("wrong")
    code, _, err = desk.call("list")
    assert code == 5
    assert "token is not valid" in err
    desk.token.unlink()
    assert desk.call("list")[0] == 2
    done = CliRunner().invoke(app, ["command", "list", "--url", api.url, "--lang", "en"])
    assert done.exit_code == 2
    assert "token create" in done.stderr


def test_an_answer_that_is_lost_is_asked_for_again_under_the_same_key(api: Api, desk: Desk) -> None:
    api.deaf = 2
    assert desk.call("send", "AccessDoor", DOOR)[0] == 0
    assert len(api.asked) == 3
    assert len({key for _, _, key in api.asked}) == 1
    api.deaf = 3
    code, _, err = desk.call("send", "AccessDoor", DOOR, "--key", "key-of-the-desk")
    assert code == 4
    assert "key-of-the-desk" in err
    assert "not known" in err


def test_nobody_answers(tmp_path: Path, api: Api, desk: Desk) -> None:
    desk.url = f"http://127.0.0.1:{free_ports(1)[0]}"
    assert desk.call("list")[0] == 4
    # Beside a campus that does not run.
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    words = ["command", "list", "-c", str(tmp_path / "aggregator.yaml"), "--token-file", str(desk.token)]
    assert CliRunner().invoke(app, words).exit_code == 4


def test_the_newest_are_listed_and_one_is_shown(api: Api, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, _ = desk.call("list", "--device", DOOR, "--state", "settled", "--json")
    assert code == 0
    assert json.loads(out)["items"][0]["result"] == "succeeded"
    assert api.queries == ["device=gate-1%2Fface-1&state=settled&limit=20"]
    monkeypatch.setenv("COLUMNS", "200")
    assert "succeeded" in desk.call("list")[1]
    assert desk.call("show", "0" * 32)[1] == f"{0:032x}  {DOOR}  AccessDoor  succeeded\n"
    assert json.loads(desk.call("show", "0" * 32, "--json")[1])["schema"] == 1
    code, _, err = desk.call("show", "f" * 32)
    assert code == 1
    assert "no such command" in err
