"""Watching the wall clock against the monotonic one."""

from wire.clock import NS_PER_MS, ClockState, Stamp


class ClockWatch:
    """Notices that the wall clock became believable, or stepped against the monotonic one.

    `observe` gives the step in ms when a CLOCK record is due, else None. A step below step_ms_min is drift.
    """

    def __init__(self, *, step_ms_min: int = 500) -> None:
        self._step_ns_min = step_ms_min * NS_PER_MS
        self._offset_ns: int | None = None
        self._marked_synced = False

    def observe(self, stamp: Stamp) -> int | None:
        """Feed with a stamp every few seconds."""
        offset_ns = stamp.wall_ns - stamp.mono_ns
        before_ns, self._offset_ns = self._offset_ns, offset_ns
        step_ns = 0 if before_ns is None else offset_ns - before_ns
        became_synced = stamp.clock is ClockState.SYNCED and not self._marked_synced
        if not became_synced and abs(step_ns) < self._step_ns_min:
            return None
        self._marked_synced = self._marked_synced or became_synced
        return step_ns // NS_PER_MS
