"""Which states of a device stand, so that what is said every second is reported when it begins and when it ends. Pure.

    nothing known --active--> reported          active --active--> nothing
    nothing known --inactive--> reported as initialized: it may end what was reported before the box started
    active --inactive--> reported               inactive --inactive--> nothing
    active, said no more for OVER_S, and of a kind that nobody ends --> its end is reported
    active, said no more for AGAIN_S, and then active --> reported: it ended unseen in between

At most STATES_MAX are remembered; beyond that the one longest unheard is forgotten, and would be reported anew.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

import msgspec

from edge_agent.codecs.kinds.standing import Standing
from edge_agent.message import Message
from wire.clock import NS_PER_S

OVER_S: Final = 10
AGAIN_S: Final = 600
STATES_MAX: Final = 256


@dataclass(frozen=True, slots=True)
class _State:
    active: bool
    heard_ns: int
    over: Message | None


class Transitions:
    """One device's. Times are nanoseconds of one monotonic clock."""

    __slots__ = ("_states",)

    def __init__(self) -> None:
        # Longest unheard first.
        self._states: OrderedDict[str, _State] = OrderedDict()

    def heard(self, message: Message, standing: Standing, now_ns: int) -> Message | None:
        """What is to be reported of a message, if anything."""
        before = self._states.pop(standing.key, None)
        self._states[standing.key] = _State(standing.active, now_ns, standing.over)
        while len(self._states) > STATES_MAX:
            self._states.popitem(last=False)
        if before is None:
            return message if standing.active else msgspec.structs.replace(message, initialized=True)
        stale = before.active and now_ns - before.heard_ns >= AGAIN_S * NS_PER_S
        return message if before.active != standing.active or stale else None

    def over(self, now_ns: int) -> list[tuple[str, Message]]:
        """States that are said no more: key, and what is to be reported of each."""
        ended = [
            (key, state.over)
            for key, state in self._states.items()
            if state.active and state.over is not None and now_ns - state.heard_ns >= OVER_S * NS_PER_S
        ]
        for key, message in ended:
            self._states[key] = _State(active=False, heard_ns=now_ns, over=message)
        return ended

    def forget(self, key: str) -> None:
        """A report of it was not taken: said again, it is reported."""
        self._states.pop(key, None)
