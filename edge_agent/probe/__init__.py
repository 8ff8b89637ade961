"""`campus-edge probe`: talk to one device and show what it says, without storing anything and without moving anything.

Each kind of channel has one module here, named like the channel's, that exposes `probe`. It reads, listens or waits,
with the production codecs and links, and tells a `Report` what it heard and how long answers took. It never writes a
register, never publishes, never acknowledges a record and never hands out a command: a device that keeps records keeps
them for the agent.

It works beside a running agent where the protocol lets two in: a broker, a TCP device with room for a second
connection, a camera. A serial line and a port to which terminals push are held by the agent; that is told as `Held`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Final, Protocol

from device_profiles.model import DeviceProfile
from edge_agent.channels.base import BoundDevice
from edge_agent.probe.report import Report
from edge_agent.translate import DeviceInfo
from edge_agent.transports import Transport
from wire.clock import Clock

__all__ = ["Held", "Limits", "ProbeRefused", "Report", "Target", "probe"]

# What a device is called that stands in no settings.
UNNAMED: Final = "?"


class Held(Exception):
    """Somebody else, the running agent mostly, has what only one can have. The text names it."""


class ProbeRefused(Exception):
    """The other side is there and does not let us in; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What to talk to. protocol: whose codec reads it. devices: that are meant, none for whoever speaks there; profile:
    of a device that is in no list. password: of the transport, never shown.
    """

    transport: Transport
    protocol: str
    profile: DeviceProfile
    devices: Sequence[BoundDevice] = ()
    zone: str = "UTC"
    password: str = field(default="", repr=False)

    def device_of(self, address: str) -> BoundDevice | None:
        """Who goes by that id. None: somebody else than was meant. Without devices everybody is meant."""
        if not self.devices:
            return BoundDevice(address, DeviceInfo(UNNAMED, self.zone), self.profile)
        return next((device for device in self.devices if device.address == address), None)


@dataclass(frozen=True, slots=True)
class Limits:
    """How long to go on. count: rounds of questions, or things heard; for_s: of waiting for somebody to speak."""

    count: int
    for_s: float


class Prober(Protocol):
    """`probe` of a module here."""

    async def __call__(self, target: Target, report: Report, limits: Limits, clock: Clock) -> None:
        """Ends within the limits. Raises OSError when nobody is there, Held, ProbeRefused."""


async def probe(target: Target, report: Report, limits: Limits, clock: Clock) -> None:
    """Probe whatever kind it is. Raises as Prober does."""
    kind: Prober = import_module(f"{__name__}.{target.transport.channel}").probe
    await kind(target, report, limits, clock)
