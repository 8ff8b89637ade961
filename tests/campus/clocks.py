"""Clocks of simulated machines: each its own offset, drift, steps and boots, all driven by the loop's virtual time."""

import asyncio

from wire.clock import NS_PER_S, ClockState, Stamp

# 2026-09-01 00:00 UTC, when virtual time is 0.
WALL_START_S = 1_788_220_800


class MachineClock:
    """Implements wire.clock.Clock."""

    def __init__(self, *, offset_s: float = 0.0, drift: float = 0.0, boot_id: str = "b0" * 16) -> None:
        """drift: seconds gained per second, by wall and monotonic clock alike."""
        self._loop = asyncio.get_running_loop()
        self._offset_s = offset_s
        self._drift = drift
        self.boot_id = boot_id
        self._booted_s = self._loop.time() - 20.0
        self.state = ClockState.SYNCED
        self.error_ms = 5

    def _elapsed_s(self, since_s: float) -> float:
        return (self._loop.time() - since_s) * (1 + self._drift)

    def wall_ns(self) -> int:
        return int((WALL_START_S + self._offset_s + self._elapsed_s(0.0)) * 1000) * (NS_PER_S // 1000)

    def mono_ns(self) -> int:
        return int(self._elapsed_s(self._booted_s) * NS_PER_S)

    def stamp(self) -> Stamp:
        return Stamp(
            wall_ns=max(self.wall_ns(), 0),
            mono_ns=self.mono_ns(),
            boot_id=self.boot_id,
            clock=self.state,
            error_ms=self.error_ms,
        )

    def step_wall(self, seconds: float) -> None:
        self._offset_s += seconds

    def reboot(self, boot_id: str, *, lost_time: bool) -> None:
        """lost_time: no battery; the clock starts in 1970 until somebody tells the time."""
        self.boot_id = boot_id
        self._booted_s = self._loop.time() - 5.0
        if lost_time:
            self._offset_s = -float(WALL_START_S) - self._elapsed_s(0.0) + 60
            self.state, self.error_ms = ClockState.UNSYNCED, 16_000

    def synchronise(self) -> None:
        self._offset_s, self.state, self.error_ms = -self._drift * self._loop.time(), ClockState.SYNCED, 5
