"""Child processes that come back when they die and never outlive their parent.

Each child leads a process group of its own, so that Ctrl-C in the terminal reaches only us and a kill reaches all of
it; it is asked for its life by the kernel when we die (`simulators.child`). Output goes to a log file per child. A
child that ends is started again after a pause that doubles from RESTART_S to RESTART_S_MAX and falls back once it has
lived a while; a child that ends at once with the exit code of bad settings is not.

`close` ends everything within CLOSE_WITHIN_S: SIGTERM to all, then SIGKILL to whoever is left.
"""

import asyncio
import atexit
import contextlib
import logging
import os
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

log = logging.getLogger(__name__)

RESTART_S: Final = 0.1
RESTART_S_MAX: Final = 2.0
STEADY_AFTER_S: Final = 5.0
POLITE_S: Final = 1.2
CLOSE_WITHIN_S: Final = 2.0
EXIT_SETTINGS: Final = 78


class ChildFailedError(RuntimeError):
    """A child cannot do its work. The text names it, its exit code and its log file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to run. name: short, for people and file names. environment: added to ours."""

    name: str
    argv: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Life:
    """What became of one child so far."""

    starts: int = 0
    kills: int = 0
    deaths: int = 0
    exit_code: int | None = None
    up: bool = False
    given_up: bool = False


class Child:
    """One program, kept running by its keeper."""

    def __init__(self, program: Program, log_file: Path) -> None:
        self.program = program
        self.log_file = log_file
        self.life = Life()
        self.process: subprocess.Popen[bytes] | None = None
        self.changed = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """Process id while it lives; also the id of its process group."""
        return self.process.pid if self.process is not None else None

    def start(self) -> None:
        """Start the program now."""
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", **self.program.environment}
        with self.log_file.open("ab") as output:
            self.process = subprocess.Popen(  # noqa: S603  what runs is ours or a broker we looked up
                [sys.executable, "-m", "simulators.child", str(os.getpid()), *self.program.argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=self.program.folder,
                env=environment,
                process_group=0,
            )
        self.life.starts += 1
        self.life.up = True

    def signal(self, number: signal.Signals) -> bool:
        """Send a signal to the child's whole group. False when it is not running."""
        if self.process is None or self.process.returncode is not None:
            return False
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            return False
        return True

    async def ended(self) -> int:
        """Wait for the end of the process and of all it started. Returns its exit code, negative for a signal."""
        process = self.process
        if process is None:
            raise ChildFailedError(f"{self.program.name} was never started")
        # A descriptor of the process itself: no thread, no polling, no race with a reused pid.
        descriptor = os.pidfd_open(process.pid)
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        try:
            loop.add_reader(descriptor, over.set)
            await over.wait()
        finally:
            loop.remove_reader(descriptor)
            os.close(descriptor)
        return self.reap(process)

    @staticmethod
    def reap(process: subprocess.Popen[bytes]) -> int:
        """Kill what is left of a process group and collect its leader."""
        # Before the leader is collected: until then the kernel keeps its number, and with it the group's, for us.
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
        return process.wait()


class Supervisor:
    """Starts children, keeps them running, kills them when asked to, leaves nothing behind."""

    def __init__(self, log_folder: Path) -> None:
        """log_folder: exists; gets `<name>.log` per child."""
        self._log_folder = log_folder
        self._children: dict[str, Child] = {}
        self._keepers: dict[str, asyncio.Task[None]] = {}

    @property
    def children(self) -> Mapping[str, Child]:
        """All children by name."""
        return self._children

    def start(self, program: Program) -> Child:
        """Start a program and keep it running until `close`."""
        if program.name in self._children:
            raise ValueError(f"there is a child {program.name!r} already")
        child = Child(program, self._log_folder / f"{program.name}.log")
        child.start()
        self._children[program.name] = child
        self._keepers[program.name] = asyncio.create_task(self._keep(child), name=f"keep {program.name}")
        return child

    def kill(self, name: str) -> bool:
        """SIGKILL, as a power cut does it to a process. It is started again. False when it was not running."""
        child = self._children[name]
        if not child.signal(signal.SIGKILL):
            return False
        child.life.kills += 1
        return True

    async def close(self) -> None:
        """End every child; returns within CLOSE_WITHIN_S with none left."""
        for keeper in self._keepers.values():
            keeper.cancel()
        await asyncio.gather(*self._keepers.values(), return_exceptions=True)
        self._keepers.clear()
        running = [child for child in self._children.values() if child.signal(signal.SIGTERM)]
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLITE_S):
                await asyncio.gather(*(child.ended() for child in running))
        for child in running:
            if child.process is not None:
                child.reap(child.process)
            child.life.up = False

    async def _keep(self, child: Child) -> None:
        loop = asyncio.get_running_loop()
        pause_s = RESTART_S
        while True:
            began_s = loop.time()
            child.life.exit_code = await child.ended()
            child.life.up = False
            child.life.deaths += 1
            child.changed.set()
            if child.life.exit_code == EXIT_SETTINGS:
                child.life.given_up = True
                log.error("child refused its settings", extra={"child": child.program.name})
                return
            if loop.time() - began_s >= STEADY_AFTER_S or child.life.exit_code == -signal.SIGKILL:
                pause_s = RESTART_S
            await asyncio.sleep(pause_s)
            pause_s = min(pause_s * 2, RESTART_S_MAX)
            child.start()
            child.changed.set()


async def wait_for_port(child: Child, port: int, *, host: str = "127.0.0.1", within_s: float = 20.0) -> None:
    """Return when something accepts connections there. Raises ChildFailedError when that does not come to pass."""
    loop = asyncio.get_running_loop()
    deadline_s = loop.time() + within_s
    while True:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection(host, port)
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()
            return
        if child.life.given_up or loop.time() > deadline_s:
            raise ChildFailedError(
                f"{child.program.name} does not answer on {host}:{port} "
                f"(exit code {child.life.exit_code}); see {child.log_file}"
            )
        await asyncio.sleep(0.03)


def free_ports(count: int, host: str = "127.0.0.1", *, wanted: int = 0) -> list[int]:
    """Ports for servers that are about to start, all different. wanted: this one. Raises OSError when it is taken.

    They stay reserved: neither another call, in any process, nor an outgoing connection gets one of them meanwhile. A
    server has to listen with SO_REUSEADDR, as nearly all do.
    """
    return [_reserve(host, wanted) for _ in range(count)]


# Sockets of the ports given away last: bound, so that the system gives them to nobody else, and not listening, so that
# whoever asked can. The oldest is let go when its server has long been there.
_RESERVED_MAX: Final = 256
_reserved: deque[socket.socket] = deque()


@atexit.register
def _let_go() -> None:
    while _reserved:
        _reserved.pop().close()


def _reserve(host: str, port: int) -> int:
    one = socket.socket()
    try:
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((host, port))
    except OSError:
        one.close()
        raise
    _reserved.append(one)
    if len(_reserved) > _RESERVED_MAX:
        _reserved.popleft().close()
    return int(one.getsockname()[1])
