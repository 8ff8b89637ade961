"""Which lane speaks next, and how many bytes may be under way. Pure.

Alarms go first. The other lanes share by weight M 4 : D 4 : S 2 : T 1, each at least one batch a round, and keep one
turn in ten even while alarms never end. Bytes of other lanes in flight stay within half a second of the goodput
measured from acks, so that an alarm is never stuck behind them on a thin line.
"""

from collections.abc import Collection
from typing import Final

from wire.delivery import BATCH_BYTES_MAX
from wire.topics import Lane

WEIGHTS: Final = {Lane.M: 4, Lane.D: 4, Lane.S: 2, Lane.T: 1}
ALARMS_IN_A_ROW: Final = 9

BUDGET_S: Final = 0.5
BUDGET_BYTES_MIN: Final = 16 * 1024
BUDGET_BYTES_START: Final = 64 * 1024
BUDGET_BYTES_MAX: Final = 8 * BATCH_BYTES_MAX


class Turns:
    """Weighted round robin with a strict first lane."""

    def __init__(self) -> None:
        self._tokens = dict(WEIGHTS)
        self._alarms = 0

    def next(self, ready: Collection[Lane]) -> Lane | None:
        """The lane whose turn it is among those ready; None when none is."""
        others = [lane for lane in WEIGHTS if lane in ready]
        if Lane.A in ready and (not others or self._alarms < ALARMS_IN_A_ROW):
            self._alarms += 1
            return Lane.A
        if not others:
            return None
        self._alarms = 0
        if not any(self._tokens[lane] for lane in others):
            self._tokens = dict(WEIGHTS)
        lane = max(others, key=lambda lane: self._tokens[lane])
        self._tokens[lane] -= 1
        return lane


class Goodput:
    """Bytes per second that acks confirm, as a moving average, and the budget that follows."""

    def __init__(self) -> None:
        self._bytes_per_s: float | None = None
        self._last_ack_s = 0.0

    def confirmed(self, size: int, sent_s: float, now: float) -> None:
        """A flight of size bytes, sent at sent_s, was acknowledged now."""
        # While several flights are under way, the time since the ack before is the line's; else since its own sending.
        spent_s = max(now - max(sent_s, self._last_ack_s), 0.001)
        self._last_ack_s = now
        sample = size / spent_s
        self._bytes_per_s = sample if self._bytes_per_s is None else 0.75 * self._bytes_per_s + 0.25 * sample

    def budget(self) -> int:
        """Bytes of lanes other than A that may be in flight."""
        if self._bytes_per_s is None:
            return BUDGET_BYTES_START
        return int(min(max(self._bytes_per_s * BUDGET_S, BUDGET_BYTES_MIN), BUDGET_BYTES_MAX))
