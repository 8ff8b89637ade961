"""Channels: the parts that do IO with devices. One channel is one conversation, and one task owns it.

A channel is one module here, named by its transport model (`edge_agent.transports`); it exposes `make`. A device
profile, a codec and a channel meet in `reception`, which every kind shares: what came from which device, what it means,
where it is kept, and whether the device may be told.
"""

from collections.abc import Sequence
from importlib import import_module

from edge_agent.channels.base import (
    BoundDevice,
    Channel,
    ChannelHealth,
    ChannelParts,
    Decide,
    as_reported,
)
from edge_agent.settings import ChannelSettings, Device, Secrets
from edge_agent.translate import DeviceInfo

__all__ = ["BoundDevice", "Channel", "ChannelHealth", "ChannelParts", "Decide", "as_reported", "make_channel"]


def make_channel(
    settings: ChannelSettings, devices: Sequence[Device], parts: ChannelParts, secrets: Secrets
) -> Channel:
    """The channel that one entry of the settings asks for. Opens nothing. Raises LookupError for an unfit protocol."""
    bound = [
        BoundDevice(
            device.address_key,
            DeviceInfo(f"{parts.edge}/{device.name}", device.zone),
            device.profile,
            device.settings.address,
            device.settings.place,
        )
        for device in devices
    ]
    kind = import_module(f"{__name__}.{settings.transport.channel}")
    channel: Channel = kind.make(settings, bound, parts, secrets.channel_passwords.get(settings.name, ""))
    return channel
