"""A real mosquitto on a free loopback port, for as long as a test needs it."""

import asyncio
import subprocess
from pathlib import Path

from simulators.children import free_ports
from tests.support.peers import find_program
from wire.mqtt_link import BrokerAddress


class Broker:
    """Starts and kills mosquitto. The port stays the same over restarts."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.address = BrokerAddress(host="127.0.0.1", port=port)
        self._program = find_program("mosquitto", "mosquitto")
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
        async with asyncio.timeout(45):
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
