"""Whether a device is there. Pure: time is an argument, what comes out is a change to report.

    unknown --sign of life--> UP --missed intervals, last will--> DOWN --sign of life--> UP
    unknown --missed intervals since the start--> DOWN

The first state after a start is reported as `initialized`: said again, never an alarm. A device that comes and goes may
report CHANGES_MAX changes in CHANGES_WITHIN_S; beyond that changes are folded, and as soon as there is room again the
present state is reported once with the number of changes that were not.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from edge_agent.channels.allowance import Allowance
from wire.clock import NS_PER_S

CHANGES_MAX: Final = 6
CHANGES_WITHIN_S: Final = 600


class Operating(StrEnum):
    """EdgeX's operating state: does it answer."""

    UP = "UP"
    DOWN = "DOWN"


class Cause(StrEnum):
    """Why a device is held to be up or down."""

    HEARD = "heard"
    SILENT = "silent"
    LAST_WILL = "last_will"


@dataclass(frozen=True, slots=True)
class Change:
    """One Device/State/Operating to report. folded: changes before this one that were not reported."""

    state: Operating
    cause: Cause
    initialized: bool = False
    folded: int = 0


class Liveness:
    """One device. Times are nanoseconds of one monotonic clock and never go back."""

    __slots__ = ("_cause", "_due", "_folded", "_heard_ns", "_initialized", "_limit_ns", "_reports", "_state")

    def __init__(self, *, interval_s: float, missed: int, started_ns: int) -> None:
        """A device is silent after interval_s * missed without a sign of life."""
        self._limit_ns = int(interval_s * missed * NS_PER_S)
        self._heard_ns = started_ns
        self._state: Operating | None = None
        self._cause = Cause.SILENT
        self._initialized = False
        self._reports = Allowance(CHANGES_MAX, CHANGES_WITHIN_S)
        self._due = False
        self._folded = 0

    @property
    def state(self) -> Operating | None:
        """Now; None before the first sign of life or the first long enough silence."""
        return self._state

    @property
    def heard_ns(self) -> int:
        """When the last sign of life came, or the start."""
        return self._heard_ns

    def heard(self, now_ns: int) -> Change | None:
        """Any message came from the device."""
        self._heard_ns = now_ns
        if self._state is Operating.UP and not self._due:
            return None
        return self._enter(Operating.UP, Cause.HEARD, now_ns)

    def gone(self, now_ns: int) -> Change | None:
        """The broker published the device's last will, or the device said goodbye."""
        return self._enter(Operating.DOWN, Cause.LAST_WILL, now_ns)

    def tick(self, now_ns: int, silent_after_s: int | None = None) -> Change | None:
        """To be called every few seconds. silent_after_s: another limit, for now."""
        limit_ns = self._limit_ns if silent_after_s is None else silent_after_s * NS_PER_S
        if now_ns - self._heard_ns >= limit_ns:
            return self._enter(Operating.DOWN, Cause.SILENT, now_ns)
        return self._report(now_ns)

    def again(self, change: Change) -> None:
        """The report of change was not accepted; the state then present is reported by a later tick."""
        self._due = True
        self._folded += change.folded
        self._initialized = self._initialized and not change.initialized

    def _enter(self, state: Operating, cause: Cause, now_ns: int) -> Change | None:
        if state is not self._state:
            self._state, self._cause = state, cause
            self._folded += self._due
            self._due = True
        return self._report(now_ns)

    def _report(self, now_ns: int) -> Change | None:
        if self._state is None or not self._due or not self._reports.take(now_ns):
            return None
        change = Change(self._state, self._cause, not self._initialized, self._folded)
        self._due, self._folded, self._initialized = False, 0, True
        return change
