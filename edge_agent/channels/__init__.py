"""Channels: the parts that do IO with devices. One channel is one conversation, and one task owns it.

A channel kind is one module here, named by `transport.kind` in the settings; it exposes `make`. A device profile, a
codec and a channel meet in `reception`, which every kind shares: what came from which device, what it means, where it
is kept, and whether the device may be told.
"""

from edge_agent.channels.base import (
    BoundDevice,
    Channel,
    ChannelHealth,
    ChannelParts,
)

__all__ = ["BoundDevice", "Channel", "ChannelHealth", "ChannelParts"]
