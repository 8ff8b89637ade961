"""A part that comes and goes: when to try it again, and the two log lines of each outage: one when it begins, and one
with its length when it ends.

The pause before the next try is drawn from 0 to a bound that doubles from 1 s to longest_s (full jitter, so that a
thousand boxes do not come back in one moment), and falls back when the part works.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Final

WAIT_S_MIN: Final = 1.0
WAIT_S_MAX: Final = 60.0


class Outage:
    """Of one part. began and ended may be called as often as they are true."""

    def __init__(
        self, log: logging.Logger, part: str, *, chance: Callable[[], float], longest_s: float = WAIT_S_MAX
    ) -> None:
        """log: of the part's owner. chance: uniform in [0, 1)."""
        self._log = log
        self._part = part
        self._chance = chance
        self._longest_s = longest_s
        self._bound_s = WAIT_S_MIN
        self._tries = 0
        self._told_up = False
        self.since_s: float | None = None
        self.count = 0

    def began(self, cause: object, *, wait_s: float | None = None) -> float:
        """The part does not work; returns how long to wait before the next try. wait_s: the caller knows better."""
        drawn_s = self._chance() * self._bound_s if wait_s is None else wait_s
        self._bound_s = min(self._bound_s * 2, self._longest_s)
        self._tries += 1
        if self.since_s is None:
            self.since_s = asyncio.get_running_loop().time()
            self.count += 1
            self._log.warning(
                "part down", extra={"part": self._part, "cause": str(cause), "retry_in_s": round(drawn_s, 1)}
            )
        return drawn_s

    def ended(self) -> None:
        """The part works."""
        if self.since_s is not None:
            down_for_s = round(asyncio.get_running_loop().time() - self.since_s, 1)
            self._log.info("part up", extra={"part": self._part, "down_for_s": down_for_s, "attempts": self._tries})
        elif not self._told_up:
            # Whoever has just set a part up looks for this line.
            self._log.info("part up", extra={"part": self._part})
        self._told_up = True
        self._bound_s, self._tries, self.since_s = WAIT_S_MIN, 0, None
