"""A line is what comes over the port next, {"hex"} or {"text"}, in pieces as one likes; or {"idle": true}, a pause.

The framer remembers the lines before, so a case can cut a frame in two.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from device_profiles.model import DeviceProfile
from device_profiles.protocols import ONLY_ONE
from edge_agent.cases import Heard, Replay, payload_of
from edge_agent.codecs import Decoded
from edge_agent.codecs.kinds.serial import SerialCodec


def replay(spec: SerialCodec, _profile: DeviceProfile) -> Replay:
    """See edge_agent.cases."""
    framer = spec.framer()

    def heard(row: Mapping[str, Any]) -> Sequence[Heard]:
        found = framer.idle() if row.get("idle") else framer.feed(payload_of(row))
        return [Heard(Decoded(ONLY_ONE, content)) for _, content in found]

    return heard
