"""What was told of each value of a device, so that a change is told once, and an old value never passes for a new one.

A value that was not brought again for its limit is told once as `stale`, and after that not as anything until the
device brings it again; then it is told whether it has changed or not. A state that becomes an event is told when it
changes; the first time after a start it is `initialized`: said again, no change anybody saw.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import msgspec

from edge_agent.message import Message
from wire.records import Value

# Nothing that a device could have brought.
_NOTHING: Final = object()


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one resource is told. state: the profile makes an event of it. on_change: only when it differs."""

    state: bool
    on_change: bool


@dataclass(slots=True)
class _Told:
    value: object = _NOTHING
    seen: bool = False
    last: Value | None = None
    brought_ns: int = 0
    stale: bool = False


class Told:
    """The values of one device."""

    def __init__(self, rules: Mapping[str, Rule]) -> None:
        self._rules = rules
        self._told = {name: _Told() for name in rules}

    def news(self, values: Iterable[Value], now_ns: int) -> tuple[list[Message], list[Value]]:
        """What of the values that were just brought is to be told: states, and measured values."""
        states: list[Message] = []
        measured: list[Value] = []
        for value in values:
            rule, told = self._rules[value.resource], self._told[value.resource]
            changed = (value.value, value.quality) != told.value
            first, was_stale = not told.seen, told.stale
            told.value, told.last, told.brought_ns = (value.value, value.quality), value, now_ns
            told.seen, told.stale = True, False
            if rule.state:
                if changed and value.value is not None:
                    fields = {value.resource: value.value}
                    states.append(Message(kind=value.resource, fields=fields, initialized=first))
            elif changed or was_stale or not rule.on_change:
                measured.append(value)
        return states, measured

    def forget(self, names: Iterable[str]) -> None:
        """What was to be told of these could not be kept; it is told again when it is brought again."""
        for name in names:
            self._told[name].value = _NOTHING

    def grown_old(self, now_ns: int, limit_ns: Mapping[str, int]) -> Sequence[Value]:
        """Measured values that were told as good and have not been brought for their limit, marked, each once."""
        old: list[Value] = []
        for name, told in self._told.items():
            if told.last is None or told.stale or now_ns - told.brought_ns < limit_ns[name]:
                continue
            told.stale = True
            if not self._rules[name].state:
                old.append(msgspec.structs.replace(told.last, quality="stale"))
        return old
