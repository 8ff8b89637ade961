"""Protocols of a serial line with one device at its end.

A line has no messages; it has bytes, in whatever pieces the kernel hands them over, with noise between them when a plug
is loose. A `Framer` finds what was said in them. It remembers at most a frame, gives the same whatever the pieces were,
and raises nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple, Protocol

from edge_agent.codecs import Codec
from edge_agent.message import Discard, Message


class Framed(NamedTuple):
    """One thing found on the line. raw: its bytes, for the quarantine; of a long one its head only."""

    raw: bytes
    content: Message | Discard


class Framer(Protocol):
    """One line's, made anew each time that the port is opened."""

    @property
    def begun(self) -> bool:
        """Whether there is something in hand that waits for more bytes."""

    def feed(self, data: bytes) -> Sequence[Framed]:
        """The next bytes of the line."""

    def idle(self) -> Sequence[Framed]:
        """Nothing came for `SerialCodec.idle_gap_s`: what was begun is never finished."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SerialCodec(Codec):
    """framer: makes one. idle_gap_s: a device never pauses for so long within what it says. quiet: the device says
    nothing of its own accord, so that an open port is all the sign of life there is.
    """

    wire: ClassVar[str] = "serial"

    framer: Callable[[], Framer]
    idle_gap_s: float
    quiet: bool
