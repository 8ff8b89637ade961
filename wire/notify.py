"""What a service tells systemd: that it is ready, that it gets on, that it stops. sd_notify(3), without a library.

`Watchdog` is fed by progress only: each part that must get on names itself, and the watchdog is fed when every one of
them has reported since the last time. A process whose loop turns while its disk hangs is not alive.
"""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Final, Self

_ABSTRACT: Final = "@"


class Notifier:
    """Says nothing at all where nobody listens: on a terminal, in the demo, in tests."""

    def __init__(self, address: str = "", *, watchdog_s: float | None = None) -> None:
        """address: of the socket, as NOTIFY_SOCKET has it. watchdog_s: how long systemd waits for progress."""
        self.watchdog_s = watchdog_s
        self._address = "\0" + address[1:] if address.startswith(_ABSTRACT) else address

    @classmethod
    def from_environment(cls, environ: Mapping[str, str] = os.environ, pid: int | None = None) -> Self:
        """As systemd set it up for this process."""
        watchdog = environ.get("WATCHDOG_USEC", "")
        own = environ.get("WATCHDOG_PID", "") in {"", str(os.getpid() if pid is None else pid)}
        watchdog_s = int(watchdog) / 1e6 if watchdog.isdigit() and own else None
        return cls(environ.get("NOTIFY_SOCKET", ""), watchdog_s=watchdog_s)

    def ready(self, status: str = "") -> None:
        """Started; what is ordered after us may begin."""
        self._say("READY=1", f"STATUS={status}")

    def status(self, text: str) -> None:
        """The line that `systemctl status` shows."""
        self._say("STATUS=" + " ".join(text.split()))

    def stopping(self) -> None:
        """On the way out."""
        self._say("STOPPING=1")

    def progress(self) -> None:
        """Feeds the watchdog."""
        self._say("WATCHDOG=1")

    def starting_takes(self, seconds: float) -> None:
        """Still starting, and at it: systemd waits so much longer."""
        self._say(f"EXTEND_TIMEOUT_USEC={int(seconds * 1e6)}")

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock:
                sock.settimeout(0)
                sock.sendto("\n".join(lines).encode(), self._address)
        except OSError:
            # Nobody to tell, and nothing to be done about it.
            return


class Watchdog:
    """See the module."""

    def __init__(self, notifier: Notifier, parts: Iterable[str]) -> None:
        """parts: names of all that must get on."""
        self._notifier = notifier
        self._parts = frozenset(parts)
        self._moved: set[str] = set()

    def moved(self, part: str) -> None:
        """A part has got on with its work, or found that there is none."""
        self._moved.add(part)

    async def run(self) -> None:
        """Feed the watchdog three times in each of its periods, as far as it is deserved. Ends only by cancellation."""
        period_s = self._notifier.watchdog_s
        if period_s is None:
            return
        while True:
            if self._moved >= self._parts:
                self._moved.clear()
                self._notifier.progress()
            await asyncio.sleep(period_s / 3)


@asynccontextmanager
async def starting(notifier: Notifier, *, each_s: float = 10.0) -> AsyncIterator[Callable[[], None]]:
    """Tell systemd that the start goes on, until what is given is called: healing a large file takes its time."""

    async def tell() -> None:
        while True:
            notifier.starting_takes(each_s * 3)
            await asyncio.sleep(each_s)

    telling = asyncio.create_task(tell())
    try:
        yield lambda: _end(telling)
    finally:
        telling.cancel()


def _end(task: "asyncio.Task[None]") -> None:
    task.cancel()
