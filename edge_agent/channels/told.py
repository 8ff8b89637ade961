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
from wire.records import Scalar, Value

_NONE: Final[frozenset[str]] = frozenset()


@dataclass(slots=True)
class _State:
    """What an event was made of. first: it was the first one, and may still turn out not to have been kept."""

    value: Scalar | None = None
    seen: bool = False
    first: bool = False


class Told:
    """The values of one device."""

    def __init__(self, is_state: Mapping[str, bool], limit_ns: Mapping[str, int]) -> None:
        """is_state: by resource, whether the profile makes an event of it: told when it changes, and only then.
        limit_ns: see `limit`.
        """
        self._states = {name: _State() for name, state in is_state.items() if state}
        self._last: dict[str, Value] = {}
        self._brought_ns: dict[str, int] = {}
        self._stale: set[str] = set()
        # Told when it is brought again, changed or not.
        self._owed: set[str] = set()
        self.limit(limit_ns)

    def limit(self, limit_ns: Mapping[str, int]) -> None:
        """By resource, for how long a value is good that is not brought again. All that may ever be brought."""
        self._limit_ns = limit_ns
        # Before this nothing can have grown old.
        self._young_until_ns = 0

    def news(
        self, values: Sequence[Value], now_ns: int, always: Container[str] = _NONE
    ) -> tuple[list[Message], list[Value]]:
        """What of the values that were just brought is to be told: states, and measured values. always: told whether
        they have changed or not.
        """
        states: list[Message] = []
        measured: list[Value] = []
        every_state, owed, last, brought_ns = self._states, self._owed, self._last, self._brought_ns
        for value in values:
            name = value.resource
            if name in every_state:
                states += self._changed(every_state[name], value)
            elif name in always or name in owed or value != last.get(name):
                measured.append(value)
            last[name] = value
            brought_ns[name] = now_ns
        if self._stale or owed:
            self._stale.difference_update(value.resource for value in values)
            owed.difference_update(value.resource for value in values)
        return states, measured

    @staticmethod
    def _changed(state: _State, value: Value) -> Sequence[Message]:
        # A state that is not known just now is no other state.
        if value.value is None or value.value == state.value:
            return ()
        state.value, state.first, state.seen = value.value, not state.seen, True
        fields = {value.resource: value.value}
        return (Message(kind=value.resource, fields=fields, initialized=state.first),)

    def forget(self, names: Iterable[str]) -> None:
        """What was to be told of these could not be kept; it is told again when it is brought again."""
        for name in names:
            if (state := self._states.get(name)) is None:
                self._owed.add(name)
            else:
                state.value, state.seen = None, state.seen and not state.first

    def grown_old(self, now_ns: int) -> Sequence[Value]:
        """Measured values that were told as good and have not been brought for their limit, marked, each once."""
        if now_ns < self._young_until_ns:
            return ()
        until_ns = {
            name: brought_ns + self._limit_ns[name]
            for name, brought_ns in self._brought_ns.items()
            if name not in self._stale
        }
        old = [name for name, over_ns in until_ns.items() if now_ns >= over_ns]
        self._stale.update(old)
        self._owed.update(old)
        # What is brought from now on is good for a whole limit from now at least.
        young_ns = [over_ns for over_ns in until_ns.values() if now_ns < over_ns]
        self._young_until_ns = min([*young_ns, now_ns + min(self._limit_ns.values(), default=0)])
        return [msgspec.structs.replace(self._last[name], quality="stale") for name in old if name not in self._states]
