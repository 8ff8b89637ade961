"""Chance that can be had again: every random choice of a simulation comes from a seed and the name of its use."""

import random


def seeded(*parts: str | int) -> random.Random:
    """A random source that depends on nothing but parts. Two uses with different parts do not disturb each other."""
    # Not for secrets: being repeatable is what it is for.
    return random.Random("/".join(map(str, parts)))  # noqa: S311  no secret comes of it
