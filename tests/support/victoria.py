"""Debian's VictoriaMetrics in a folder of the test: another program that takes the write API of InfluxDB 2.

It is a witness of what goes over the wire, and of nothing else. It keeps milliseconds and numbers only, a text becomes
0, its answer does not mean "on disk", and its /query is a stub; so it is read by its own export.
"""

import json
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from simulators.children import free_ports
from tests.support.peers import find_program

START_WITHIN_S = 30.0
# Points of one series within a millisecond are one to it; those of the test lie a second apart.
ARGUMENTS = ("-dedup.minScrapeInterval=1ms", "-retentionPeriod=100y", "-search.disableCache")


def victoria() -> str:
    return find_program("victoria-metrics", "victoria-metrics")


class Victoria:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (self.port,) = free_ports(1)
        self.url = f"http://127.0.0.1:{self.port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        argv = [victoria(), f"-httpListenAddr=127.0.0.1:{self.port}", f"-storageDataPath={self._folder}/data"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*argv, *ARGUMENTS], stdout=log, stderr=log)
        deadline = time.monotonic() + START_WITHIN_S
        while True:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=1).close()
            except OSError as error:
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(f"victoria-metrics does not start; see {self._folder}/log") from error
                time.sleep(0.05)
            else:
                return

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(15)
            self._process = None

    def export(self, match: str) -> list[dict[str, Any]]:
        """Every series that matches, with all its points. What was just written is flushed first."""
        urllib.request.urlopen(f"{self.url}/internal/force_flush", timeout=10).close()
        query = urllib.parse.urlencode({"match[]": match})
        with urllib.request.urlopen(f"{self.url}/api/v1/export?{query}", timeout=30) as answer:
            return [json.loads(line) for line in answer.read().splitlines()]


@contextmanager
def running_victoria(folder: Path) -> Iterator[Victoria]:
    server = Victoria(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()
