"""Keeps a channel or the uplink going: restart with full-jitter backoff, two log lines per outage (wire.outage).

A part that ends with a link or device error is restarted after a pause. Anything else is our bug: one traceback, a
counter, restart with backoff, and after three in ten minutes the part is parked, because a box with one part missing is
worth more than a box that burns its card with tracebacks.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from wire.outage import WAIT_S_MAX, WAIT_S_MIN, Outage

log = logging.getLogger(__name__)

BUGS_MAX: Final = 3
BUGS_WITHIN_S: Final = 600.0
PARKED_S: Final = 600.0


class State(StrEnum):
    """What a supervised part is doing."""

    STARTING = "starting"
    UP = "up"
    DOWN = "down"
    PARKED = "parked"


class RefusedError(Exception):
    """The other side said no; raised by a part to be restarted only after the longest wait."""


@dataclass(slots=True)
class PartHealth:
    """Counters of one part, read by health."""

    name: str
    state: State = State.STARTING
    restarts: int = 0
    bugs: int = 0
    cause: str = ""


class Supervisor:
    """Runs one part for ever. The part calls `up()` once it really works."""

    def __init__(
        self,
        name: str,
        run: Callable[["Supervisor"], Awaitable[None]],
        *,
        chance: Callable[[], float],
        outages: tuple[type[BaseException], ...] = (OSError, TimeoutError),
    ) -> None:
        """chance: uniform in [0, 1). outages: what counts as the world's fault, not ours."""
        self.health = PartHealth(name)
        self._run = run
        self._outages = outages
        self._outage = Outage(log, name, chance=chance)
        self._bug_times: deque[float] = deque(maxlen=BUGS_MAX)

    def up(self) -> None:
        """The part works now."""
        self._outage.ended()
        self.health.state, self.health.cause = State.UP, ""

    async def run(self) -> None:
        """For a TaskGroup; ends only by cancellation."""
        while True:
            wait_s = self._pause(await self._attempt())
            self.health.restarts += 1
            await asyncio.sleep(wait_s)

    async def _attempt(self) -> BaseException:
        """Run the part once. Returns what ended it.

        In a task of its own: a TaskGroup whose child fails in the moment of a cancellation raises that failure and
        swallows the cancellation, and whoever cancelled us would wait for ever.
        """
        part = asyncio.ensure_future(self._run(self))
        try:
            await asyncio.wait([part])
        except asyncio.CancelledError:
            part.cancel()
            await asyncio.wait([part])
            if not part.cancelled():
                # Looked at, so that nobody calls it forgotten.
                part.exception()
            raise
        if part.cancelled():
            return asyncio.CancelledError()
        return part.exception() or ConnectionError("ended")

    def _pause(self, failure: BaseException) -> float:
        """Note a failure. Returns how long to wait before the next start."""
        if isinstance(failure, RefusedError):
            return self._down(failure, wait_s=WAIT_S_MAX)
        if isinstance(failure, self._outages):
            return self._down(failure)
        if isinstance(failure, asyncio.CancelledError):
            # Nobody cancelled us: something that the part waited for was given up. To end here would be silent.
            return self._down("what it waited for was cancelled")
        log.error("part failed; this is a bug of ours", exc_info=failure, extra={"part": self.health.name})
        return self._bug(failure)

    def _down(self, cause: object, *, wait_s: float | None = None) -> float:
        self.health.state, self.health.cause = State.DOWN, str(cause)
        return self._outage.began(cause, wait_s=wait_s)

    def _bug(self, failure: BaseException) -> float:
        self.health.bugs += 1
        # Its text may hold what the part was working on, a person's number perhaps; its name never does.
        wait_s = max(self._down(type(failure).__name__), WAIT_S_MIN)
        now = asyncio.get_running_loop().time()
        self._bug_times.append(now)
        if len(self._bug_times) < BUGS_MAX or now - self._bug_times[0] >= BUGS_WITHIN_S:
            return wait_s
        self.health.state = State.PARKED
        self._bug_times.clear()
        log.error("part parked", extra={"part": self.health.name, "for_s": PARKED_S})
        return PARKED_S
