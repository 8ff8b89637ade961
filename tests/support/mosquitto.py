"""A real mosquitto on free loopback ports, with a folder of its own.

Debian's program, never Debian's service: nothing here reads /etc/mosquitto or relies on a port that is not free. Output
goes to a log file in the folder, which an assertion message may quote.
"""

import os
import secrets
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final, Self

from aggregator.broker import (
    BrokerFolder,
    BrokerSettings,
    BrokerUser,
    Listener,
    aggregator_user,
    edge_user,
    new_password,
    password_hash,
    terminal_user,
)
from device_profiles.protocols import protocol
from simulators.children import free_ports
from tests.support import peers
from wire.mqtt_link import BrokerAddress

HOST: Final = "127.0.0.1"
CAMPUS: Final = "demo-school"
PREFIX: Final = "mqtt/face"
UP_WITHIN_S: Final = 45.0
DOWN_WITHIN_S: Final = 30.0
ACCEPTED: Final = 0

ANONYMOUS_CONFIGURATION = """
listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 1000
max_queued_messages 20000
persistence true
persistence_location {folder}/
autosave_interval 1
{run_as}
"""


def find_program(name: str) -> str:
    """The path of one of mosquitto's programs. Missing: the test is skipped, or fails where peers are required."""
    return peers.find_program(name, "mosquitto mosquitto-clients")


def knock(address: BrokerAddress) -> int:
    """The CONNACK return code of a bare MQTT 3.1.1 connection: 0 accepted, 4 or 5 refused."""

    def text(value: str) -> bytes:
        return len(value.encode()).to_bytes(2, "big") + value.encode()

    flags = 0xC2 if address.username else 0x02
    payload = text(f"knock-{secrets.token_hex(4)}")
    if address.username:
        payload += text(address.username) + text(address.password)
    body = text("MQTT") + bytes((4, flags, 0, 10)) + payload
    assert len(body) < 128
    with socket.create_connection((address.host, address.port), timeout=5) as sock:
        sock.sendall(bytes((0x10, len(body))) + body)
        answer = b""
        while len(answer) < 4 and (part := sock.recv(4 - len(answer))):
            answer += part
        assert len(answer) == 4, "closed without CONNACK"
        sock.sendall(b"\xe0\x00")
    return answer[3]


class Program:
    """mosquitto as a child process that can be killed and comes back on the same ports."""

    def __init__(self, config_file: Path, ports: Sequence[int]) -> None:
        self._argv = [find_program("mosquitto"), "-c", str(config_file)]
        self._ports = ports
        self.log_file = config_file.parent / "mosquitto.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and return once every port answers."""
        assert self._process is None
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        deadline = time.monotonic() + UP_WITHIN_S
        for port in self._ports:
            while True:
                try:
                    socket.create_connection((HOST, port), timeout=1).close()
                    break
                except OSError:
                    assert self._process.poll() is None, f"mosquitto ended: {self.log()}"
                    assert time.monotonic() < deadline, f"mosquitto does not answer: {self.log()}"
                    time.sleep(0.01)

    def log(self) -> str:
        """What it has said so far."""
        return self.log_file.read_text(encoding="utf-8", errors="replace")

    def kill9(self) -> None:
        """As a power cut would: no goodbye, nothing saved."""
        assert self._process is not None
        self._process.kill()
        self._process.wait(DOWN_WITHIN_S)
        self._process = None

    def stop(self) -> None:
        """Ask it to end, and wait. Does nothing when it is not running."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(DOWN_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(DOWN_WITHIN_S)
        self._process = None

    def restart(self) -> None:
        """Kill -9 and start again."""
        self.kill9()
        self.start()

    @contextmanager
    def running(self) -> Iterator[Self]:
        """Running inside the block, gone after it."""
        try:
            self.start()
            yield self
        finally:
            self.stop()


class AnonymousBroker(Program):
    """Lets everybody in. For tests of clients, where access is not the question."""

    def __init__(self, folder: Path) -> None:
        (self.port,) = free_ports(1)
        run_as = "user root" if os.geteuid() == 0 else ""
        config_file = folder / "mosquitto.conf"
        config_file.write_text(ANONYMOUS_CONFIGURATION.format(port=self.port, folder=folder, run_as=run_as))
        super().__init__(config_file, [self.port])
        self.address = BrokerAddress(host=HOST, port=self.port)


class Mosquitto(Program):
    """The broker with the configuration that we ship. `enter` makes users; without one nobody gets in."""

    def __init__(self, folder: Path, settings: BrokerSettings | None = None) -> None:
        """settings: absent, one plain loopback listener for everybody."""
        settings = settings or BrokerSettings(campus=CAMPUS, listeners=(Listener(port=free_ports(1)[0]),))
        self.settings = settings
        self.campus = settings.campus
        self.port = settings.listeners[0].port
        self.folder = BrokerFolder(folder)
        self.folder.install(settings)
        super().__init__(self.folder.config_file, [listener.port for listener in settings.listeners])

    def enter(self, user: BrokerUser, password: str) -> BrokerAddress:
        """Put a user on the list, tell the broker if it runs, and give the address to connect with."""
        self.folder.put(user)
        address = BrokerAddress(host=HOST, port=self.port, username=user.name, password=password)
        if self._process is not None:
            assert self.folder.reload()
            if self.settings.listeners[0].tls is None:
                deadline = time.monotonic() + UP_WITHIN_S
                while knock(address) != ACCEPTED:
                    assert time.monotonic() < deadline, f"mosquitto does not know {user.name}: {self.log()}"
                    time.sleep(0.01)
        return address

    def aggregator(self) -> BrokerAddress:
        """An aggregator's way in."""
        password = new_password(os.urandom)
        return self.enter(aggregator_user(self.campus, password_hash(password, os.urandom)), password)

    def edge(self, edge: str, *, terminal_prefixes: Sequence[str] = ()) -> BrokerAddress:
        """A box's way in. terminal_prefixes: where its terminals speak, when it is their broker, too."""
        password = new_password(os.urandom)
        hashed = password_hash(password, os.urandom)
        return self.enter(edge_user(self.campus, edge, hashed, terminal_prefixes=terminal_prefixes), password)

    def terminals(
        self, name: str = "terminals", prefix: str = PREFIX, *, protocol_name: str = "facesluice"
    ) -> BrokerAddress:
        """The way in of all devices of a protocol below a prefix."""
        topics = protocol(protocol_name).topics
        assert topics is not None
        password = new_password(os.urandom)
        return self.enter(terminal_user(name, topics, prefix, password_hash(password, os.urandom)), password)
