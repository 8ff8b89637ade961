"""A real mosquitto on a free loopback port, for as long as a test needs it."""

import asyncio
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from wire.mqtt_link import BrokerAddress


def program() -> str:
    """mosquitto's path; skips the test where it is not installed, fails it where it must be."""
    found = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
    if found is None:
        if os.environ.get("CAMPUS_REQUIRE_PEERS") == "1":
            pytest.fail("mosquitto is required and not installed")
        pytest.skip("mosquitto is not installed")
    return found


class Broker:
    """Starts and kills mosquitto. The port stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address = BrokerAddress(host="127.0.0.1", port=probe.getsockname()[1])
        self._program = program()
        self._config = folder / "mosquitto.conf"
        self._config.write_text(
            f"listener {self.address.port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 1000\n"
            "max_queued_messages 10000\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    async def start(self) -> None:
        self._process = subprocess.Popen(  # noqa: ASYNC220  a millisecond, and kill() must work outside the loop
            [self._program, "-c", str(self._config)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        async with asyncio.timeout(10):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", self.address.port)
                except OSError:
                    await asyncio.sleep(0.01)
                else:
                    writer.close()
                    await writer.wait_closed()
                    return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
