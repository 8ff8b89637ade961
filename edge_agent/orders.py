"""What a box asks of one device, and how it ended.

`device_profiles.orders.plan` gives the steps; a channel performs the order and says which of four ends it came to.
`unknown` is an honest end: something was sent and nobody can say whether the device did it. It is never tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from device_profiles.orders import NotPossible, Operation, plan
from wire.records import Scalar

__all__ = ["UNREACHABLE", "NotPossible", "Operation", "Order", "Performed", "plan"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A command on its way to one device.

    request_id: 32 hex digits, the command's own id. address: the device's, as the codec knows it; given: the same as it
    stands in the settings, for protocols in which it says more than an id. name: as in the profile. deadline_ns: on the
    box's monotonic clock; nothing may be sent to the device after it. reply_within_s: how long the device may take to
    answer.
    """

    request_id: str
    address: str
    name: str
    operations: tuple[Operation, ...]
    deadline_ns: int
    reply_within_s: float
    given: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Performed:
    """How an order ended.

    succeeded: the device said so, or what it says when read shows it. rejected: the device said no. unreachable:
    nothing was sent. unknown: something was sent, and no answer came or none that can be believed.
    """

    result: Literal["succeeded", "rejected", "unreachable", "unknown"]
    reason: str = ""
    values: Mapping[str, Scalar] = field(default_factory=dict)


UNREACHABLE: Final = Performed("unreachable", "device_down")
