"""Chance from a seed: each part of a world draws from its own source, so that a new draw here moves nothing there."""

import random


class Chance(random.Random):
    """A source of chance with a name."""

    def __init__(self, seed: int, name: str = "world") -> None:
        # A text is hashed by random itself, never by Python's randomised hash.
        super().__init__(f"{seed}/{name}")
        self._origin = (seed, name)

    def of(self, name: str) -> "Chance":
        """The source of a part."""
        seed, own = self._origin
        return Chance(seed, f"{own}/{name}")

    def happens(self, probability: float) -> bool:
        return self.random() < probability

    def pause_s(self, mean_s: float) -> float:
        """Time to the next of events that come at random, at most five times the mean."""
        return min(self.expovariate(1 / mean_s), 5 * mean_s)
