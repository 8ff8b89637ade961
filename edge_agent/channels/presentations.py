"""What is held to a reader that says it again and again. Pure.

A thing that is said within the gap after it was last said is still the same presentation. Things are told apart by what
they say, so two tags that a reader says in turn are two presentations. At most HELD_MAX are remembered; beyond that
the one longest unheard is forgotten, and would be taken as new.
"""

from typing import Final

from edge_agent.message import Message

HELD_MAX: Final = 16


class Presentations:
    """One device's. Times are nanoseconds of one monotonic clock."""

    __slots__ = ("_gap_ns", "_held")

    def __init__(self, gap_ms: int) -> None:
        """gap_ms: 0 takes everything as new."""
        self._gap_ns = gap_ms * 1_000_000
        # Messages do not hash (their fields are a mapping); longest unheard first.
        self._held: list[tuple[Message, int]] = []

    def fresh(self, message: Message, now_ns: int) -> bool:
        """Whether this begins a presentation. Notes it either way."""
        held = [(one, at_ns) for one, at_ns in self._held if now_ns - at_ns < self._gap_ns]
        others = [(one, at_ns) for one, at_ns in held if one != message]
        self._held = [*others[-(HELD_MAX - 1) :], (message, now_ns)]
        return len(others) == len(held)

    def forget(self, message: Message) -> None:
        """It was not taken: said again, it is new."""
        self._held = [(one, at_ns) for one, at_ns in self._held if one != message]
