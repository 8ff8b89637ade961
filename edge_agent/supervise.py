"""Keeps a channel or the uplink going: restart with full-jitter backoff, two log lines per outage.

A part that ends with a link or device error is restarted after a pause drawn from 0 to a bound that doubles from 1 s
to 60 s; the bound falls back when the part has reported itself up. Anything else is our bug: one traceback, a counter,
restart with backoff, and after three in ten minutes the part is parked, because a box with one part missing is worth
more than a box that burns its card with tracebacks.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

log = logging.getLogger(__name__)

WAIT_S_MIN: Final = 1.0
WAIT_S_MAX: Final = 60.0
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
    down_since_s: float | None = None
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
        self._chance = chance
        self._outages = outages
        self._bound_s = WAIT_S_MIN
        self._attempts = 0
        self._bug_times: deque[float] = deque(maxlen=BUGS_MAX)

    def up(self) -> None:
        """The part works now."""
        health = self.health
        now = asyncio.get_running_loop().time()
        if health.down_since_s is not None:
            log.info(
                "part up",
                extra={
                    "part": health.name,
                    "down_for_s": round(now - health.down_since_s, 1),
                    "attempts": self._attempts,
                },
            )
        health.state, health.down_since_s, health.cause = State.UP, None, ""
        self._bound_s, self._attempts = WAIT_S_MIN, 0

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
        now = asyncio.get_running_loop().time()
        if isinstance(failure, RefusedError):
            return self._outage(now, failure, wait_s=WAIT_S_MAX)
        if isinstance(failure, self._outages):
            return self._outage(now, failure)
        if isinstance(failure, asyncio.CancelledError):
            # Nobody cancelled us: something that the part waited for was given up. To end here would be silent.
            return self._outage(now, "what it waited for was cancelled")
        log.error("part failed; this is a bug of ours", exc_info=failure, extra={"part": self.health.name})
        return self._bug(now, failure)

    def _outage(self, now: float, cause: object, *, wait_s: float | None = None) -> float:
        wait_s = self._chance() * self._bound_s if wait_s is None else wait_s
        self._bound_s = min(self._bound_s * 2, WAIT_S_MAX)
        self._attempts += 1
        if self.health.down_since_s is None:
            self.health.down_since_s = now
            log.warning(
                "part down", extra={"part": self.health.name, "cause": str(cause), "retry_in_s": round(wait_s, 1)}
            )
        self.health.state, self.health.cause = State.DOWN, str(cause)
        return wait_s

    def _bug(self, now: float, cause: BaseException) -> float:
        self.health.bugs += 1
        self.health.cause = type(cause).__name__
        self._bug_times.append(now)
        if len(self._bug_times) == BUGS_MAX and now - self._bug_times[0] < BUGS_WITHIN_S:
            self.health.state = State.PARKED
            if self.health.down_since_s is None:
                self.health.down_since_s = now
            log.error("part parked", extra={"part": self.health.name, "for_s": PARKED_S})
            self._bug_times.clear()
            return PARKED_S
        # Its text may hold what the part was working on, a person's number perhaps; its name never does.
        return max(self._outage(now, type(cause).__name__), WAIT_S_MIN)
