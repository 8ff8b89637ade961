"""What was told of each value of a device, so that a change is told once, and an old value never passes for a new one.

A value that was not brought again for its limit is told once as `stale`, and after that not as anything until the
device brings it again; then it is told whether it has changed or not. A state that becomes an event is told when it
changes; the first time after a start it is `initialized`: said again, no change anybody saw.
"""

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from edge_agent.message import Message
from wire.records import Value

# Nothing that a device could have brought.
_NOTHING: Final = object()


@dataclass(slots=True)
class _Told:
    value: object = _NOTHING
    seen: bool = False
    first: bool = False
    last: Value | None = None
    brought_ns: int = 0
    stale: bool = False

    def changes(self, value: object) -> bool:
        """Whether this is another value than the one before; it is the value before from now on."""
        before, self.value = self.value, value
        return value != before


class Told:
    """The values of one device."""

    def __init__(self, is_state: Mapping[str, bool]) -> None:
        """is_state: by resource, whether the profile makes an event of it: told when it changes, and only then."""
        self._is_state = is_state
        self._told = {name: _Told() for name in is_state}

    def news(
        self, values: Iterable[Value], now_ns: int, always: Container[str] = ()
    ) -> tuple[list[Message], list[Value]]:
        """What of the values that were just brought is to be told: states, and measured values. always: told whether
        they have changed or not.
        """
        states: list[Message] = []
        measured: list[Value] = []
        for value in values:
            told = self._told[value.resource]
            was_stale = told.stale
            told.last, told.brought_ns, told.stale = value, now_ns, False
            if self._is_state[value.resource]:
                # A state that is not known just now is no other state.
                if value.value is not None and told.changes(value.value):
                    told.first, told.seen = not told.seen, True
                    fields = {value.resource: value.value}
                    states.append(Message(kind=value.resource, fields=fields, initialized=told.first))
            elif told.changes((value.value, value.quality)) or was_stale or value.resource in always:
                measured.append(value)
        return states, measured

    def forget(self, names: Iterable[str]) -> None:
        """What was to be told of these could not be kept; it is told again when it is brought again."""
        for name in names:
            told = self._told[name]
            told.value, told.seen = _NOTHING, told.seen and not told.first

    def grown_old(self, now_ns: int, limit_ns: Mapping[str, int]) -> Sequence[Value]:
        """Measured values that were told as good and have not been brought for their limit, marked, each once."""
        old: list[Value] = []
        for name, told in self._told.items():
            if told.last is None or told.stale or now_ns - told.brought_ns < limit_ns[name]:
                continue
            told.stale = True
            if not self._is_state[name]:
                old.append(msgspec.structs.replace(told.last, quality="stale"))
        return old
