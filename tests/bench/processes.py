"""Processor time and memory of a process as the kernel counts them, and helpers of the bench.

A helper is a Python module of this package that reads commands from stdin and writes answers to stdout, one JSON object
a line. It ends when its stdin does, so none is left behind however the bench ends.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
_CPUCLOCK_SCHED: Final = 2


def cpu_s(pid: int) -> float:
    """Seconds of processor time that a process has used so far, ended threads included."""
    # What clock_getcpuclockid(3) makes of a process id; Python does not offer it.
    return time.clock_gettime(~pid << 3 | _CPUCLOCK_SCHED)


def rss_mb(pid: int) -> float:
    """Resident memory in units of 10**6 bytes."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES / 1e6


class Cpu:
    """Processor time of several processes between two moments."""

    def __init__(self, pids: dict[str, int]) -> None:
        self._pids = pids
        self._from = {name: cpu_s(pid) for name, pid in pids.items()}

    def since(self) -> dict[str, float]:
        """Seconds since this was made, by process."""
        return {name: cpu_s(pid) - self._from[name] for name, pid in self._pids.items()}


class Helper:
    """A running helper."""

    def __init__(self, child: "subprocess.Popen[str]") -> None:
        self._child = child
        self.pid = child.pid

    def tell(self, **command: Any) -> None:
        """Give a command."""
        assert self._child.stdin is not None
        self._child.stdin.write(json.dumps(command) + "\n")
        self._child.stdin.flush()

    def hear(self) -> dict[str, Any]:
        """The answer to the oldest command that has none. Raises RuntimeError when the helper has ended."""
        assert self._child.stdout is not None
        said = self._child.stdout.readline()
        if not said:
            raise RuntimeError(f"{self._child.args} ended with {self._child.wait()}")
        answer: dict[str, Any] = json.loads(said)
        return answer

    def ask(self, **command: Any) -> dict[str, Any]:
        """Give a command and wait for its answer."""
        self.tell(**command)
        return self.hear()


@contextmanager
def helper(module: str, *arguments: object) -> Iterator[Helper]:
    """A helper inside the block. module: within this package."""
    child = subprocess.Popen(
        [sys.executable, "-m", f"tests.bench.{module}", *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield Helper(child)
    finally:
        assert child.stdin is not None
        child.stdin.close()
        try:
            child.wait(5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        assert child.stdout is not None
        child.stdout.close()


def answer(reply: dict[str, Any]) -> None:
    """What a helper says."""
    sys.stdout.write(json.dumps(reply) + "\n")
    sys.stdout.flush()


def commands() -> Iterator[dict[str, Any]]:
    """What a helper is told, to the end of its stdin."""
    for said in iter(sys.stdin.readline, ""):
        yield json.loads(said)


def serve_commands(handle: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    """Answer every command, to the end of stdin."""
    for command in commands():
        answer(handle(command))


def quantile(values: list[float], share: float) -> float:
    """The value below which that share lies; NaN of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")


def unseen(told: dict[str, Any], what: str) -> str:
    """A note on how many of the records of a run (see terminals) were not seen, if any."""
    missing: int = told["count"] - told[what]["count"]
    return f"{missing} of {told['count']} not seen" if missing else ""
