"""The machine's clocks: wall, monotonic, the boot they belong to, and what the kernel says of their quality."""

import ctypes
import time
from pathlib import Path
from typing import Final

from wire.clock import NS_PER_S, ClockState, Stamp

_BOOT_ID_FILE: Final = Path("/proc/sys/kernel/random/boot_id")

# Bits of adjtimex(2), linux/timex.h.
_STA_UNSYNC: Final = 0x0040
_TIME_ERROR: Final = 5

# The kernel's judgement changes over minutes; asking once a second keeps it off the path of every record.
_ASK_EVERY_NS: Final = NS_PER_S

# What adjtimex reports at most; used when the kernel cannot be asked.
ERROR_UNKNOWN_MS: Final = 16_000


class _Timeval(ctypes.Structure):
    _fields_ = (("tv_sec", ctypes.c_long), ("tv_usec", ctypes.c_long))


class _Timex(ctypes.Structure):
    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("constant", ctypes.c_long),
        ("precision", ctypes.c_long),
        ("tolerance", ctypes.c_long),
        ("time", _Timeval),
        ("tick", ctypes.c_long),
        # The kernel writes more fields behind these; they must have room.
        ("_rest", ctypes.c_long * 32),
    )


def kernel_clock() -> tuple[bool, int]:
    """(disciplined now, error bound in ms) from adjtimex(2); (False, ERROR_UNKNOWN_MS) where it cannot be asked."""
    timex = _Timex()
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return False, ERROR_UNKNOWN_MS
    if state < 0:
        return False, ERROR_UNKNOWN_MS
    synced = state != _TIME_ERROR and not timex.status & _STA_UNSYNC
    return synced, max(0, timex.maxerror // 1000)


def read_boot_id(path: Path = _BOOT_ID_FILE) -> str:
    """The kernel's id of this boot, 32 hex digits. Raises OSError."""
    return path.read_text(encoding="ascii").strip().replace("-", "")


class SystemClock:
    """Implements wire.clock.Clock on the real machine."""

    def __init__(self, *, assume_synced: bool = False, boot_id: str | None = None) -> None:
        """assume_synced: believe the wall clock whatever the kernel says, for containers that cannot ask theirs."""
        self._assume_synced = assume_synced
        self._boot_id = boot_id or read_boot_id()
        self._was_synced = False
        self._asked_ns = -_ASK_EVERY_NS
        self._state = ClockState.UNSYNCED
        self._error_ms = ERROR_UNKNOWN_MS

    @property
    def boot_id(self) -> str:
        """The boot these stamps belong to."""
        return self._boot_id

    def wall_ns(self) -> int:
        """See wire.clock.Clock."""
        return time.time_ns()

    def mono_ns(self) -> int:
        """See wire.clock.Clock."""
        return time.monotonic_ns()

    def stamp(self) -> Stamp:
        """See wire.clock.Clock."""
        mono_ns = time.monotonic_ns()
        if mono_ns - self._asked_ns >= _ASK_EVERY_NS:
            self._ask(mono_ns)
        return Stamp(
            wall_ns=time.time_ns(),
            mono_ns=mono_ns,
            boot_id=self._boot_id,
            clock=self._state,
            error_ms=self._error_ms,
        )

    def _ask(self, mono_ns: int) -> None:
        self._asked_ns = mono_ns
        # Who believes the clock anyway does not ask: a service may not even be allowed to.
        synced, self._error_ms = (True, 0) if self._assume_synced else kernel_clock()
        if synced:
            self._state, self._was_synced = ClockState.SYNCED, True
        else:
            self._state = ClockState.HOLDOVER if self._was_synced else ClockState.UNSYNCED
