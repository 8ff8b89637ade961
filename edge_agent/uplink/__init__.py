"""The way up: from the outbox to the campus, acknowledged only after the campus has committed.

`window` holds what is in flight in one lane and `turns` decides which lane speaks next (both pure), `session` speaks
the protocol over any carrier, `carrier` is that carrier over MQTT. The protocol itself: docs/delivery-protocol.md.
"""

from edge_agent.uplink.seams import UplinkRefusedError
from edge_agent.uplink.session import Uplink

__all__ = ["Uplink", "UplinkRefusedError"]
