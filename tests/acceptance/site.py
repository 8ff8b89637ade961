"""A campus of real processes set up as its operators would: by our commands, on a real mosquitto.

Everything runs on free loopback ports in one temporary folder and ends with the test. Nothing here knows the inside of
the agent or of the aggregator: settings are files, answers are HTTP.
"""

import json
import os
import resource
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, TypeVar

import yaml

from simulators.children import free_ports
from tests.support.mosquitto import find_program

T = TypeVar("T")

CAMPUS: Final = "test-school"
WITHIN_S: Final = 60.0
HOST: Final = "127.0.0.1"


def eventually(look: Callable[[], T], within_s: float = WITHIN_S) -> T:
    """The first true thing that look() gives. Fails with the last it gave."""
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < deadline, f"still {seen!r} after {within_s} s"
        time.sleep(0.05)


def run(module: str, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """One of our commands, to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=WITHIN_S,
        check=False,
        env={**os.environ, "CAMPUS_LANG": "en"},
    )


class Process:
    """A child that can be killed and started again; its output goes to a file."""

    def __init__(self, argv: list[str], log: Path) -> None:
        self._argv = argv
        self.log_file = log
        self._child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        """Of the running child."""
        assert self._child is not None
        return self._child.pid

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped."""
        return self._child is not None

    def kill(self) -> None:
        """SIGKILL."""
        assert self._child is not None
        self._child.kill()
        self._child.wait()
        self._child = None

    def stop(self) -> int:
        """SIGTERM; gives the exit code."""
        if self._child is None:
            return 0
        self._child.send_signal(signal.SIGTERM)
        try:
            code = self._child.wait(15)
        except subprocess.TimeoutExpired:
            self._child.kill()
            code = self._child.wait()
        self._child = None
        return code

    def ended(self) -> int | None:
        """The exit code of a child that ended by itself; None while it runs."""
        assert self._child is not None
        return self._child.poll()

    def limit_files(self, size: int) -> None:
        """No file of the running child may grow beyond size bytes: to the child its disk is full."""
        assert self._child is not None
        _, hard = resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self._child.pid, resource.RLIMIT_FSIZE, (size, hard))

    def log(self) -> str:
        return self.log_file.read_text(errors="replace")


class Site:
    """broker, aggregator and one box `gate-1` with the terminals of device_ids. doors: esp-rfid boards on the box, by
    hostname.
    """

    def __init__(
        self,
        folder: Path,
        device_ids: tuple[str, ...],
        campus_settings: Mapping[str, Any],
        doors: Mapping[str, str],
    ) -> None:
        """campus_settings: what stands in the aggregator's settings beside what every site has."""
        self.folder = folder
        self.broker_port, self.http_port = free_ports(2)
        self.campus_file = folder / "campus" / "aggregator.yaml"
        self.edge_file = folder / "gate-1" / "edge.yaml"
        self._write_campus(campus_settings)
        self._write_edge(device_ids, doors)
        broker = [find_program("mosquitto"), "-c", str(folder / "campus/broker/mosquitto.conf")]
        self.broker = self.process(broker, folder / "broker.log")
        self.aggregator = self._ours("aggregator.cli", self.campus_file, "aggregator.log")
        self.edge = self._ours("edge_agent.cli", self.edge_file, "edge.log")
        self.token = ""
        self._asked = 0

    def _ours(self, module: str, config: Path, log: str) -> Process:
        return self.process([sys.executable, "-m", module, "run", "-c", str(config)], self.folder / log)

    def process(self, argv: list[str], log: Path) -> Process:
        """How each of them is started."""
        return Process(argv, log)

    def _write_campus(self, more: Mapping[str, Any]) -> None:
        self.campus_file.parent.mkdir()
        settings = {
            "schema": 1,
            "campus": CAMPUS,
            "data_dir": "data",
            "campus_key_file": "keys/campus.key",
            "signing_key_file": "keys/signing.key",
            "http": {"host": HOST, "port": self.http_port},
            "broker": {
                "host": HOST,
                "port": self.broker_port,
                "password_file": "keys/broker.password",
                "folder": "broker",
                "terminal_prefixes": ["mqtt/face", "rfid"],
            },
            **more,
        }
        self.campus_file.write_text(yaml.safe_dump(settings))
        done = run("aggregator.cli", "init", str(self.campus_file.parent))
        assert done.returncode == 0, done.stderr

    def _write_edge(self, device_ids: tuple[str, ...], doors: Mapping[str, str]) -> None:
        self.edge_file.parent.mkdir()
        broker = {"host": HOST, "port": self.broker_port, "username": "gate-1", "password_file": "keys/broker.password"}
        settings: dict[str, Any] = {
            "schema": 1,
            "campus": CAMPUS,
            "edge": "gate-1",
            "site": {"zone": "Asia/Shanghai"},
            "data_dir": "data",
            "identity_key_file": "keys/edge.key",
            "campus_key_file": "keys/campus.key",
            "campus_public_key_file": "keys/campus.pub",
            "uplink": broker,
        }
        faces = [
            {"name": f"face-{number}", "profile": "facesluice-mqtt", "address": {"device_id": device_id}}
            for number, device_id in enumerate(device_ids, start=1)
        ]
        boards = [
            {"name": hostname, "profile": "esprfid-door", "address": {"hostname": hostname, "ip": ip}}
            for hostname, ip in doors.items()
        ]
        settings["channels"] = [
            {"name": name, "protocol": protocol, "transport": {"kind": "mqtt", **broker}, "devices": devices}
            for name, protocol, devices in (("terminals", "facesluice", faces), ("doors", "esprfid", boards))
            if devices
        ]
        self.edge_file.write_text(yaml.safe_dump(settings))

    def start(self) -> None:
        """Up, enrolled and delivering."""
        self.broker.start()
        eventually(lambda: self.listening(self.broker_port))
        self.aggregator.start()
        eventually(lambda: self.health().get("status") == "ok")
        made = run("aggregator.cli", "token", "create", "test", "--role", "admin", "-c", str(self.campus_file))
        assert made.returncode == 0, made.stderr
        self.token = made.stdout.strip()
        issued = run("aggregator.cli", "edge", "add", "gate-1", "-c", str(self.campus_file))
        assert issued.returncode == 0, issued.stderr
        url = f"http://{HOST}:{self.http_port}"
        joined = run("edge_agent.cli", "enrol", "-c", str(self.edge_file), "--url", url, stdin=issued.stdout)
        assert joined.returncode == 0, joined.stderr
        self.edge.start()
        eventually(lambda: self.get("/edges/gate-1").get("state") == "live")

    def stop(self) -> None:
        for process in (self.edge, self.aggregator, self.broker):
            process.stop()

    def terminal_password(self, name: str = "faces", protocol: str = "facesluice") -> str:
        """A broker account for all terminals of a protocol; gives its password."""
        made = run("aggregator.cli", "terminal", "add", name, "--protocol", protocol, "-c", str(self.campus_file))
        assert made.returncode == 0, made.stderr
        return made.stdout.strip()

    def listening(self, port: int) -> bool:
        import socket

        try:
            socket.create_connection((HOST, port), timeout=1).close()
        except OSError:
            return False
        return True

    def health(self) -> dict[str, Any]:
        """{} while nobody answers."""
        return self._get("/health", {})

    def get(self, path: str) -> dict[str, Any]:
        """What the API says; {} while nobody answers or there is nothing of that name."""
        return self._get(path, {"Authorization": f"Bearer {self.token}"})

    def _get(self, path: str, headers: dict[str, str]) -> dict[str, Any]:
        request = urllib.request.Request(f"http://{HOST}:{self.http_port}/api/v1{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                answer: dict[str, Any] = json.load(response)
                return answer
        except urllib.error.HTTPError as error:
            error.close()
            return {}
        except (urllib.error.URLError, OSError, ValueError):
            return {}

    def ask(self, device: str, name: str, **arguments: str | int) -> str:
        """Give a device a command; gives its id."""
        self._asked += 1
        body = {"device": device, "name": name, "arguments": arguments, "reason": "test"}
        request = urllib.request.Request(
            f"http://{HOST}:{self.http_port}/api/v1/commands",
            data=json.dumps(body).encode(),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
                "Idempotency-Key": f"test-{self._asked:08d}",
            },
        )
        with urllib.request.urlopen(request, timeout=10) as response:
            (asked,) = json.load(response)["items"]
        return str(asked["id"])

    def ended(self, command_id: str) -> dict[str, Any]:
        """How a command ended."""

        def look() -> dict[str, Any]:
            command = self.get(f"/commands/{command_id}")
            return command if command.get("state") == "settled" else {}

        return eventually(look)

    def counter(self, name: str) -> int:
        """A counter of the box, as of its last heartbeat."""
        counters: dict[str, int] = self.get("/edges/gate-1").get("counters", {})
        return counters.get(name, 0)

    def events(self, topic: str) -> list[dict[str, Any]]:
        """All events under a topic, oldest first."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = self.get(f"/events?topic={topic}&order=asc&limit=1000{cursor}")
            found += page.get("items", [])
            if not page.get("next"):
                return found
            cursor = f"&cursor={page['next']}"


@contextmanager
def running_site(
    folder: Path,
    *device_ids: str,
    campus_settings: Mapping[str, Any] = MappingProxyType({}),
    doors: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Site]:
    """Running inside the block; on the way out nothing of it is left."""
    site = Site(folder, device_ids, campus_settings, doors)
    try:
        site.start()
        yield site
    finally:
        site.stop()
