"""A line is what a unit answered: {"table", "address", "words"}; or what it is told: {"write": resource, "value"}.

Every point of the profile that lies within an answer is decoded, in the order of the profile, and shown as a message
named after its resource. What a write comes to is shown as told.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from device_profiles.model import DeviceProfile
from device_profiles.protocols import ONLY_ONE
from edge_agent.cases import Heard, Replay
from edge_agent.codecs import Decoded
from edge_agent.codecs.kinds.modbus import ModbusCodec
from edge_agent.codecs.poll_plan import Request
from edge_agent.message import Discard, Message
from wire.records import Scalar


def replay(spec: ModbusCodec, profile: DeviceProfile) -> Replay:
    """See edge_agent.cases."""
    points = spec.points(profile, frozenset())

    def heard(row: Mapping[str, Any]) -> Sequence[Heard]:
        if "write" in row:
            write = spec.write(profile, row["write"], row["value"])
            told = [write.table, write.address, *write.words]
            return [Heard(Decoded(ONLY_ONE, Message(kind="write")), told)]
        words = row["words"]
        within = [
            point
            for point in points.values()
            if point.table == row["table"]
            and point.address >= row["address"]
            and point.end <= row["address"] + len(words)
        ]
        request = Request(row["table"], row["address"], len(words), tuple(within))
        found: list[Heard] = []
        for value in request.values(words):
            fields: dict[str, Scalar] = {} if value.value is None else {value.resource: value.value}
            if value.quality != "good":
                fields["quality"] = value.quality
            found.append(Heard(Decoded(ONLY_ONE, Message(kind=value.resource, fields=fields))))
        return found or [Heard(Decoded(ONLY_ONE, Discard("no_point")))]

    return heard
