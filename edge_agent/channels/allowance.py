"""So many per span, so that a device gone mad costs a bounded amount of disk and attention."""

from collections import deque

from wire.clock import NS_PER_S


class Allowance:
    """`take` says whether one more is allowed now: at most limit in any within_s seconds. Pure: time is an argument."""

    __slots__ = ("_taken_ns", "_within_ns")

    def __init__(self, limit: int, within_s: float) -> None:
        self._taken_ns: deque[int] = deque(maxlen=limit)
        self._within_ns = int(within_s * NS_PER_S)

    def take(self, now_ns: int) -> bool:
        """Use one up, if there is one. now_ns: of one monotonic clock."""
        taken = self._taken_ns
        if len(taken) == taken.maxlen and now_ns - taken[0] < self._within_ns:
            return False
        taken.append(now_ns)
        return True
