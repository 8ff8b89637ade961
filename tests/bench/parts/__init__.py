"""What is measured. A part is one module with `measure`, which yields figures as it gets them."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Final

from tests.bench.figures import Figure
from tests.bench.site import Campus

# In the order in which they run; the quick ones first.
NAMES: Final = ("disk", "admission", "idle", "chain", "screen", "outage", "mqtt", "modbus", "dead")


@dataclass(frozen=True, slots=True)
class Scale:
    """How long everything takes. tiny: as little as shows that it works, with figures that mean nothing."""

    tiny: bool = False

    def seconds(self, full: float, *, at_least: float = 0.5) -> float:
        """Of a measurement."""
        return min(full, max(at_least, full / 20)) if self.tiny else full

    def count(self, full: int) -> int:
        """Of things, or of events a second."""
        return max(1, full // 10) if self.tiny else full

    def rounds(self, full: int) -> int:
        """Of a comparison."""
        return 1 if self.tiny else full


Measure = Callable[[Scale, Campus], Iterator[Figure]]


def parts(names: tuple[str, ...] = NAMES) -> Mapping[str, Measure]:
    """The parts by name."""
    return {name: import_module(f"{__name__}.{name}").measure for name in names}
