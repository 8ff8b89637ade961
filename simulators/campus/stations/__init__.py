"""The devices of the demo beside its face terminals: one module for each family, all on one box.

A station binds what must be bound before the box's settings are written (ports, pseudo-terminals), says how it stands
in these settings, and then lives: devices that serve or call, and what happens to them. It runs in the demo's own
process, so that no fault of a child harms the truth it tells.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aggregator.broker import BrokerUser
from simulators.campus.operator import Order
from simulators.device import Destroyed, Kept, Moment, Time, Witness
from simulators.people import Person, Timetable
from wire.mqtt_link import BrokerAddress


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """How a device of the journal stands on the campus. device: its name on the box; spaces, topics: as in
    `simulators.compare.DeviceFacts`.
    """

    device: str
    spaces: Mapping[str, int] | None = field(default_factory=dict)
    topics: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a station stands. folder: its own, for files that the settings name; edge: the box."""

    folder: Path
    edge: str
    seed: int
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """What a station lives with. broker: how a device of this name enters it."""

    witness: Witness
    clock: Time
    people: Sequence[Person]
    timetable: Timetable
    broker: Mapping[str, BrokerAddress]


class LateWitness:
    """Passes on to the witness that a station is given when its day begins; devices that are up before have one to talk
    to. Nothing must happen to them before.
    """

    def __init__(self) -> None:
        self.told: Witness | None = None

    def produced(self, device: str, record: Kept, now: Moment) -> None:
        """See Witness."""
        self._told.produced(device, record, now)

    def released(self, device: str, record: Kept, now: Moment) -> None:
        """See Witness."""
        self._told.released(device, record, now)

    def destroyed(self, device: str, record: Kept, cause: Destroyed, now: Moment) -> None:
        """See Witness."""
        self._told.destroyed(device, record, cause, now)

    def said(self, device: str, kind: str, device_time: str, now: Moment) -> None:
        """See Witness."""
        self._told.said(device, kind, device_time, now)

    def executed(self, device: str, request: str, now: Moment) -> None:
        """See Witness."""
        self._told.executed(device, request, now)

    def garbled(self, device: str, now: Moment) -> None:
        """See Witness."""
        self._told.garbled(device, now)

    @property
    def _told(self) -> Witness:
        if self.told is None:
            raise RuntimeError("something happened before the day began")
        return self.told


class Station(ABC):
    """One family of devices. What only some of them have (accounts at a broker, orders, records that a device still
    holds) is nothing unless a family says otherwise.
    """

    name: str

    @abstractmethod
    async def open(self, place: Place) -> None:
        """Bind what the settings must name. Raises OSError."""

    @abstractmethod
    def channels(self) -> Sequence[Mapping[str, Any]]:
        """As they stand in edge.yaml; a transport of kind mqtt without broker, user and password, which are added."""

    @abstractmethod
    def known(self) -> Mapping[str, Known]:
        """Its devices by the name that the journal uses."""

    @abstractmethod
    async def run(self, life: Life) -> None:
        """The devices serve and connect, until cancelled."""

    @abstractmethod
    async def produce(self, life: Life) -> None:
        """What happens to them: people, bells, faults. Begins after `run`; cancelled when the day is over."""

    def accounts(self, password_hash: Mapping[str, str]) -> Sequence[BrokerUser]:
        """Of its devices at the broker."""
        del password_hash
        return ()

    def account_names(self) -> Sequence[str]:
        """Of these accounts."""
        return ()

    def topic_prefixes(self) -> Sequence[str]:
        """Where its devices speak at the broker and are spoken to."""
        return ()

    def orders(self) -> Sequence[Order]:
        """What the office may ask of them, chosen at random."""
        return ()

    def owed(self) -> int:
        """Records that its devices still hold."""
        return 0

    async def close(self) -> None:  # noqa: B027  not every family has something to give back
        """Give back what `open` took."""
