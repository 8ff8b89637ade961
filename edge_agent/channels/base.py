"""What every channel is given, and what every channel offers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from device_profiles.model import DeviceProfile
from edge_agent.channels.liveness import Operating
from edge_agent.draft import Draft
from edge_agent.intake import BadDraft
from edge_agent.message import Message
from edge_agent.orders import Order, Performed
from edge_agent.outbox import Appended
from edge_agent.translate import DeviceInfo
from wire.clock import Clock, Stamp
from wire.documents import UNTUNED, DeviceTuning
from wire.identity import Pseudonymiser


class Accept(Protocol):
    """The intake, as far as a channel knows it."""

    async def accept(self, drafts: Sequence[Draft], received: Stamp | None = None) -> list[Appended]:
        """See edge_agent.intake."""

    async def accept_each(
        self, batches: Sequence[tuple[Sequence[Draft], Stamp | None]]
    ) -> Sequence[list[Appended] | BadDraft]:
        """See edge_agent.intake."""


class Quarantine(Protocol):
    """The outbox's quarantine, as far as a channel knows it."""

    def __call__(self, device: str, reason: str, raw: bytes, harmless: frozenset[str]) -> Awaitable[None]:
        """Redact and keep; returns when it is on disk. harmless: see edge_agent.redact."""


@dataclass(frozen=True, slots=True)
class BoundDevice:
    """A device of the settings with its profile. address: its own id in its protocol. given: its address as it stands
    in the settings, for protocols in which it says more than an id. place: as in the settings.
    """

    address: str
    info: DeviceInfo
    profile: DeviceProfile
    given: Mapping[str, object] = field(default_factory=dict)
    place: str = ""


Decide = Callable[[BoundDevice, Message, tuple[Draft, ...]], tuple[Draft, ...]]


def as_reported(_device: BoundDevice, _message: Message, drafts: tuple[Draft, ...]) -> tuple[Draft, ...]:
    """Decides nothing: what the device says is what is recorded."""
    return drafts


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelParts:
    """What the composition root hands to every channel.

    edge: the box's own name. quarantine: keeps bytes in redacted form. counters: the names of edge_agent.health.
    decide: called between translate and intake, for the decisions that the box itself makes. tuning: what the campus
    has set for a device, by its id; to be asked each time it is needed, because it may change at any moment.
    """

    edge: str
    intake: Accept
    quarantine: Quarantine
    pseudonymiser: Pseudonymiser
    clock: Clock
    counters: dict[str, int]
    decide: Decide = as_reported
    tuning: Callable[[str], DeviceTuning] = lambda _device: UNTUNED


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceHealth:
    """How a device is. state: UP, DOWN, or None while nobody knows; heard_ns: monotonic time of its last sign of life,
    None before the first. events: its records that were stored; troubles: what it said and nobody understood, and our
    own faults with it. answer_ms: how long it takes to answer, of those that are asked: the 95th of a hundred, of late.
    """

    id: str
    state: Operating | None
    heard_ns: int | None
    events: int
    troubles: int
    answer_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelHealth:
    """What a channel says of itself. waiting: messages read and not yet committed."""

    connected: bool
    devices_up: int
    devices_down: int
    devices_unknown: int
    waiting: int
    devices: tuple[DeviceHealth, ...] = ()


class Channel(Protocol):
    """One conversation. `run` may be called again after it ended; what is known of the devices stays."""

    @property
    def name(self) -> str:
        """As in the settings."""

    async def run(self, up: Callable[[], None]) -> None:
        """Converse until the link ends, and raise what ended it (an OSError when it was the world's fault).

        up: called once the channel really works.
        """

    async def perform(self, order: Order) -> Performed:
        """Have one device do something, once, and say how it ended. Raises nothing but cancellation.

        Sends nothing after the order's deadline. Whatever may still reach the device later ends as `unknown`.
        """

    def health(self) -> ChannelHealth:
        """Now."""
