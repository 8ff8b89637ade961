"""How long it took from the terminal to the office: a histogram of fixed size, exact to two per cent."""

import math
from dataclasses import dataclass, field
from typing import Final

_GROWTH: Final = 1.02
_FLOOR_MS: Final = 0.05
# 0.05 ms times 1.02 to this power is over an hour; whatever is longer counts as that.
_BUCKETS: Final = 920


@dataclass(slots=True)
class Latencies:
    """Counts of spans in milliseconds."""

    count: int = 0
    max_ms: float = 0.0
    _buckets: list[int] = field(default_factory=lambda: [0] * _BUCKETS)

    def add(self, span_s: float) -> None:
        """One span in seconds; a negative one counts as zero."""
        span_ms = max(span_s * 1000, 0.0)
        self.count += 1
        self.max_ms = max(self.max_ms, span_ms)
        self._buckets[min(_bucket(span_ms), _BUCKETS - 1)] += 1

    def quantile_ms(self, share: float) -> float | None:
        """The span that share (0 to 1) of all spans do not exceed, in milliseconds; None when there are none."""
        if not self.count:
            return None
        rank = max(1, math.ceil(share * self.count))
        seen = 0
        for index, amount in enumerate(self._buckets):
            seen += amount
            if seen >= rank:
                return min(_FLOOR_MS * _GROWTH**index, self.max_ms)
        return self.max_ms

    def summary(self) -> dict[str, float | int | None]:
        """As it stands in the report, rounded to a tenth of a millisecond."""
        p50, p99 = self.quantile_ms(0.5), self.quantile_ms(0.99)
        return {
            "count": self.count,
            "p50": None if p50 is None else round(p50, 1),
            "p99": None if p99 is None else round(p99, 1),
            "max": round(self.max_ms, 1) if self.count else None,
        }


def _bucket(span_ms: float) -> int:
    if span_ms <= _FLOOR_MS:
        return 0
    return math.ceil(math.log(span_ms / _FLOOR_MS) / math.log(_GROWTH))
