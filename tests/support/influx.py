"""Debian's InfluxDB in a folder of the test. What version 2 adds stands before it in influx_v2."""

import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from simulators.children import free_ports
from tests.support.peers import find_program

START_WITHIN_S = 30.0
CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  max-row-limit = 0
[monitor]
  store-enabled = false
"""


def influxd() -> str:
    return find_program("influxd", "influxdb")


class Influx:
    """A server that can be killed and started again on its folder."""

    def __init__(self, folder: Path) -> None:
        self.program = influxd()
        self.folder = folder
        self.port, self._rpc = free_ports(2)
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "influxdb.conf"
        config.write_text(CONFIG.format(folder=self.folder, port=self.port, rpc=self._rpc))
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen([self.program, "run", "-config", str(config)], stdout=log, stderr=log)
        deadline = time.monotonic() + START_WITHIN_S
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/ping", timeout=1).close()
            except OSError as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(f"influxd does not start; see {self.folder}/log") from error
                time.sleep(0.05)
            else:
                return

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@contextmanager
def running_influx(folder: Path) -> Iterator[Influx]:
    influx = Influx(folder)
    influx.start()
    try:
        yield influx
    finally:
        influx.kill()
