"""What a box asks of one device, and how it ended. Pure.

`plan` turns a command of the campus into the steps that the device's profile lists, with every value within its range;
a channel then performs the order and says which of four ends it came to. `unknown` is an honest end: something was sent
and nobody can say whether the device did it. It is never tried again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from device_profiles.meaning import resource_type
from device_profiles.model import DeviceProfile, DeviceResource
from wire.records import Scalar


class NotPossible(Exception):
    """The command cannot be given to this device. reason: a short code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        self.reason = reason
        super().__init__(f"{reason}: {detail}" if detail else reason)


@dataclass(frozen=True, slots=True)
class Operation:
    """One step: write value to a resource, or read it when value is None. attributes: where it stands, in the
    protocol's terms.
    """

    resource: str
    attributes: Mapping[str, object]
    value: Scalar | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """A command on its way to one device.

    request_id: 32 hex digits, the command's own id. address: the device's, as the codec knows it. name: as in the
    profile. deadline_ns: on the box's monotonic clock; nothing may be sent to the device after it. reply_within_s: how
    long the device may take to answer.
    """

    request_id: str
    address: str
    name: str
    operations: tuple[Operation, ...]
    deadline_ns: int
    reply_within_s: float


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


def plan(profile: DeviceProfile, name: str, arguments: Mapping[str, Scalar]) -> tuple[Operation, ...]:
    """The steps of a device command. arguments: resource name -> value, for steps whose value the profile leaves open.

    Raises NotPossible: `unknown_command`, `missing_argument`, `unknown_argument`, `wrong_type`, `out_of_range`.
    """
    command = next((one for one in profile.device_commands if one.name == name), None)
    if command is None:
        raise NotPossible("unknown_command", name)
    resources = {resource.name: resource for resource in profile.device_resources}
    writes = "W" in command.read_write
    steps = []
    open_names = set()
    for step in command.resource_operations:
        resource = resources[step.device_resource]
        value = step.value
        if writes and value is None:
            open_names.add(resource.name)
            if resource.name not in arguments:
                raise NotPossible("missing_argument", resource.name)
            value = arguments[resource.name]
        if value is not None:
            _check(resource, value)
        steps.append(Operation(resource.name, resource.attributes, value))
    for extra in sorted(arguments.keys() - open_names):
        raise NotPossible("unknown_argument", extra)
    return tuple(steps)


def _check(resource: DeviceResource, value: Scalar) -> None:
    properties = resource.properties
    if not resource_type(properties.value_type).holds(value):
        raise NotPossible("wrong_type", resource.name)
    if isinstance(value, str | bool):
        return
    low, high = properties.minimum, properties.maximum
    if (low is not None and value < low) or (high is not None and value > high):
        raise NotPossible("out_of_range", resource.name)
