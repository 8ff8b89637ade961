"""One unit on a Modbus line, and what is remembered of it from turn to turn. Pure: time is an argument."""

from collections.abc import Iterator, Sequence
from typing import Final

from device_profiles.model import AutoEvent
from edge_agent.channels.base import BoundDevice
from edge_agent.channels.modbus_jobs import Job
from edge_agent.channels.polling import Unit
from edge_agent.channels.told import Told
from edge_agent.codecs.kinds.modbus import ModbusCodec, Point, inverted_of
from edge_agent.message import Message
from wire.clock import NS_PER_MS, NS_PER_S
from wire.documents import UNTUNED, DeviceTuning
from wire.records import Value

# A value is old when three turns in a row did not bring it, or when its device counts as gone, whatever is later.
_TURNS_MISSED: Final = 3


class Station:
    """See the module. jobs: what is read of it, by rhythm."""

    def __init__(self, bound: BoundDevice, codec: ModbusCodec, gap_max: int) -> None:
        self.bound = bound
        self.number = int(bound.address)
        self.points = codec.points(bound.profile, inverted_of(bound.given))
        self.unit = Unit()
        self.jobs = tuple(_jobs(bound, self.points, codec, gap_max))
        # What one turn brings is told in the order of the profile's mappings: a button that lets a door be opened
        # before the door that was opened.
        self._order: dict[str, int] = {}
        for index, mapping in enumerate(bound.profile.event_mappings):
            self._order.setdefault(mapping.source, index)
        self._tuning = UNTUNED
        is_state = {event.source: event.source in self._order for event in bound.profile.auto_events}
        self._told = Told(is_state, self._limits_ns())

    def retune(self, tuning: DeviceTuning) -> bool:
        """What the campus has set for it now; whether that is another rhythm."""
        if tuning is self._tuning:
            return False
        before, self._tuning = self._tuning, tuning
        self._told.limit(self._limits_ns())
        return tuning.poll_interval_ms != before.poll_interval_ms

    def interval_ns(self, job: Job) -> int:
        """How often one of its jobs is due."""
        tuned_ms = self._tuning.poll_interval_ms
        return job.interval_ns if tuned_ms is None else tuned_ms * NS_PER_MS

    def news(self, job: Job, values: Sequence[Value], now_ns: int) -> tuple[list[Message], list[Value]]:
        """What of the values that a turn has brought is to be told: states, and measured values."""
        states, measured = self._told.news(values, now_ns, job.always)
        if len(states) > 1:
            states.sort(key=lambda message: self._order[message.kind])
        return states, measured

    def forget(self, states: Sequence[Message], measured: Sequence[Value]) -> None:
        """These could not be kept."""
        self._told.forget([*(message.kind for message in states), *(value.resource for value in measured)])

    def grown_old(self, now_ns: int) -> Sequence[Value]:
        """Values that were told as good and have not been brought for too long, marked, each once."""
        return self._told.grown_old(now_ns)

    def _limits_ns(self) -> dict[str, int]:
        liveness = self.bound.profile.liveness
        limit_s = self._tuning.silent_after_s or liveness.interval_s * liveness.missed
        limits: dict[str, int] = {}
        # The slowest rhythm first: of a value that is read in several the quickest counts.
        for job in sorted(self.jobs, key=self.interval_ns, reverse=True):
            limits |= dict.fromkeys(job.points, max(limit_s * NS_PER_S, _TURNS_MISSED * self.interval_ns(job)))
        return limits


def _jobs(bound: BoundDevice, points: dict[str, Point], codec: ModbusCodec, gap_max: int) -> Iterator[Job]:
    rhythms: dict[int, list[AutoEvent]] = {}
    for event in bound.profile.auto_events:
        rhythms.setdefault(event.interval_ms, []).append(event)
    layout = codec.layout(bound.profile)
    for interval_ms, events in sorted(rhythms.items()):
        yield Job(
            interval_ns=interval_ms * NS_PER_MS,
            points={event.source: points[event.source] for event in events},
            always=frozenset(event.source for event in events if not event.on_change),
            gap_max=gap_max,
            layout=layout,
        )
