"""A clock that moves only when a test says so."""

import random as _random
from collections.abc import Callable

from wire.clock import NS_PER_S, ClockState, Stamp


class VirtualClock:
    """Implements wire.clock.Clock. wall and monotonic advance together; the wall can be stepped alone."""

    def __init__(self, *, wall_s: float = 1_788_220_800, mono_s: float = 100, boot_id: str = "b0" * 16) -> None:
        self._wall_ns = int(wall_s * NS_PER_S)
        self._mono_ns = int(mono_s * NS_PER_S)
        self.boot_id = boot_id
        self.state = ClockState.SYNCED
        self.error_ms = 1

    def wall_ns(self) -> int:
        return self._wall_ns

    def mono_ns(self) -> int:
        return self._mono_ns

    def stamp(self) -> Stamp:
        return Stamp(
            wall_ns=self._wall_ns,
            mono_ns=self._mono_ns,
            boot_id=self.boot_id,
            clock=self.state,
            error_ms=self.error_ms,
        )

    def advance(self, seconds: float) -> None:
        self._wall_ns += int(seconds * NS_PER_S)
        self._mono_ns += int(seconds * NS_PER_S)

    def step_wall(self, seconds: float) -> None:
        self._wall_ns += int(seconds * NS_PER_S)

    def reboot(self, boot_id: str) -> None:
        self.boot_id = boot_id
        self._mono_ns = 5 * NS_PER_S


def seeded(seed: int) -> Callable[[int], bytes]:
    """Stands in for os.urandom."""
    return _random.Random(seed).randbytes
