"""A device command as the steps that a profile lists, with every value within its range. Pure.

The campus asks before it sends, the box before it acts: both ask here.
"""

from collections.abc import Mapping
from dataclasses import dataclass

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
