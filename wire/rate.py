"""How fast a counter grows, over the last minute."""

from collections import deque
from typing import Final

from wire.clock import NS_PER_S

OVER_S: Final = 60


class Rate:
    """Told the counter every few seconds."""

    def __init__(self) -> None:
        self._seen: deque[tuple[int, int]] = deque()

    def observe(self, now_ns: int, count: int) -> None:
        """now_ns: monotonic."""
        self._seen.append((now_ns, count))
        while now_ns - self._seen[0][0] > OVER_S * NS_PER_S:
            self._seen.popleft()

    def per_s(self) -> float:
        """0 until there are two observations."""
        if not self._seen:
            return 0.0
        (first_ns, first), (last_ns, last) = self._seen[0], self._seen[-1]
        return (last - first) * NS_PER_S / (last_ns - first_ns) if last_ns > first_ns else 0.0
