"""Somebody who is refused again and again at one place: five times within a minute. Pure."""

from collections.abc import Sequence
from typing import Final

from wire.clock import NS_PER_S

DENIED: Final = "AccessControl/Denied/"
# A camera that sees passers-by tells of each whom it does not know.
NOBODY_TRIED: Final = "Stranger"
TIMES: Final = 5
WITHIN_NS: Final = 60 * NS_PER_S


def counted(moments: Sequence[int], occurred_ns: int) -> tuple[list[int], bool]:
    """moments: when a source refused somebody lately. The same with one more, and whether that was one too many; then
    the counting begins anew.
    """
    recent = [*(at_ns for at_ns in moments if abs(occurred_ns - at_ns) < WITHIN_NS), occurred_ns]
    return ([], True) if len(recent) >= TIMES else (recent, False)
