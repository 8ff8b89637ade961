"""Somebody who is refused again and again at one place: five times within a minute. Pure, and small enough to be kept
as one text, so that what is known of the last minute survives a restart and comes out the same in a rebuild.
"""

import json
from typing import Final

from wire.clock import NS_PER_S

DENIED: Final = "AccessControl/Denied/"
# A camera that sees passers-by tells of each whom it does not know.
NOBODY_TRIED: Final = "Stranger"
TIMES: Final = 5
WITHIN_NS: Final = 60 * NS_PER_S
_FORGOTTEN_NS: Final = 120 * NS_PER_S


class Denials:
    """Of each source that refused somebody lately: when that was heard of last, and when the refusals occurred."""

    def __init__(self, text: str = "{}") -> None:
        """text: as `text` gave it."""
        # The one longest unheard first.
        self._sources: dict[str, tuple[int, list[int]]] = json.loads(text)

    def told(self, source: str, occurred_ns: int, received_ns: int) -> bool:
        """Take a refusal; whether it was one too many. Then the counting begins anew."""
        _, moments = self._sources.pop(source, (0, []))
        moments = [*(at_ns for at_ns in moments if abs(occurred_ns - at_ns) < WITHIN_NS), occurred_ns]
        if len(moments) < TIMES:
            self._sources[source] = (received_ns, moments)
        self._forget(received_ns)
        return len(moments) >= TIMES

    def _forget(self, now_ns: int) -> None:
        while self._sources:
            first = next(iter(self._sources))
            if now_ns - self._sources[first][0] <= _FORGOTTEN_NS:
                return
            del self._sources[first]

    def text(self) -> str:
        """All of it."""
        return json.dumps(self._sources)
