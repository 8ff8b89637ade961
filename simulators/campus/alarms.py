"""What rings in a demo: the alarms that its stations give cause for, and how often each stands in the ledger."""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final

from simulators.compare import Stored

# Topic and state -> what a person calls it.
_KINDS: Final[Mapping[tuple[str, str], str]] = {
    ("Door/State/DoorAlarm", "DoorForcedOpen"): "door_forced",
    ("Door/State/DoorAlarm", "DoorOpenTooLong"): "door_held",
    ("Camera/SignalLoss", "Active"): "camera_silent",
    ("Camera/StorageFailure", "Active"): "camera_disk",
    ("Camera/Tamper", "Active"): "camera_covered",
}
KINDS: Final = tuple(_KINDS.values())


def count_alarms(stored: Iterable[Stored]) -> Counter[str]:
    """By kind; those that did not ring are not in it."""
    return Counter(kind for one in stored if (kind := _KINDS.get((one.topic, one.state))) is not None)
