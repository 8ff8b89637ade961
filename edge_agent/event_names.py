"""Ids of events: random bits of this run of the box, then a count.

An id only has to be given once in the world, which 96 random bits see to; nothing is protected by its being hard to
guess. The count is there for the disks: ids that grow stand one behind the other in an index of a million of them,
where ids in no order make a commit of 64 records write 64 pages of it, on the box's card and at the campus.
"""

from collections.abc import Callable
from typing import Final

_RANDOM_BYTES: Final = 12
_COUNT_BYTES: Final = 4


class EventNames:
    """See the module."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        """random: like os.urandom."""
        self._random = random
        self._run = ""
        self._count = 1 << 8 * _COUNT_BYTES

    def next(self) -> str:
        """An id, 32 hex digits."""
        if self._count >= 1 << 8 * _COUNT_BYTES:
            self._run, self._count = self._random(_RANDOM_BYTES).hex(), 0
        name = f"{self._run}{self._count:0{2 * _COUNT_BYTES}x}"
        self._count += 1
        return name
