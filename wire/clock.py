"""When something happened, and how far that can be believed.

Order never depends on wall time. Every record carries the wall clock, the monotonic clock, the boot it
belongs to and the quality of the wall clock, so that a box that started in 1970 is corrected later.
"""

import time
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import Annotated, Protocol

import msgspec

Ns = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]
BootId = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]

NS_PER_S = 1_000_000_000
NS_PER_MS = 1_000_000


class ClockState(StrEnum):
    """What the kernel says of the wall clock: disciplined now, was disciplined in this boot, never in this boot."""

    SYNCED = "synced"
    HOLDOVER = "holdover"
    UNSYNCED = "unsynced"


class Stamp(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One moment on one box.

    wall_ns: nanoseconds since 1970 UTC by the box's wall clock. mono_ns: nanoseconds of the monotonic clock,
    comparable only within one boot_id. error_ms: bound of the wall clock's error as the kernel estimates it.
    """

    wall_ns: Ns
    mono_ns: Ns
    boot_id: BootId
    clock: ClockState
    error_ms: Annotated[int, msgspec.Meta(ge=0)]


class Clock(Protocol):
    """Where a process gets its time from; tests pass a virtual one."""

    def wall_ns(self) -> int:
        """Nanoseconds since 1970 UTC."""

    def mono_ns(self) -> int:
        """Nanoseconds that never step, comparable within this boot."""

    def stamp(self) -> Stamp:
        """Both at once, with boot and quality."""


def utc_text(wall_ns: int) -> str:
    """RFC 3339 in UTC with microseconds: `2026-09-01T07:55:10.000000Z`."""
    seconds, rest_ns = divmod(wall_ns, NS_PER_S)
    return f"{_second_text(seconds)}.{rest_ns // 1000:06d}Z"


# What happens together is shown together.
@lru_cache(maxsize=256)
def _second_text(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}"


def parse_utc(text: str) -> int:
    """Nanoseconds since 1970 of an RFC 3339 text with an offset or Z. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"{text!r} has no offset; write for example 2026-09-01T07:55:10Z")
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * NS_PER_S + delta.microseconds * 1000


class SystemTime:
    """The machine's clocks, without a judgement of their quality. For parts that only measure spans or print times."""

    def wall_ns(self) -> int:
        """See Clock."""
        return time.time_ns()

    def mono_ns(self) -> int:
        """See Clock."""
        return time.monotonic_ns()
