"""How patient the demo's boxes are, sent to them as a document like any other: what takes half a minute in a school
would never be seen in a demo that has half a minute.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from device_profiles.model import DeviceProfile
from edge_agent.settings import Device
from simulators.campus.http import ApiClient
from wire.documents import TUNING

HELD_OPEN_S: Final = 3
SILENT_AFTER_S: Final = 6
POLL_EVERY_MS: Final = 2000


async def tune(client: ApiClient, devices: Mapping[str, Sequence[Device]]) -> None:
    """Tell each box. Raises ApiUnreachableError, ApiError."""
    for edge, of_box in devices.items():
        if wanted := tuned(of_box):
            await client.put(f"/api/v1/edges/{edge}/documents/{TUNING}", {"schema": 1, "devices": wanted})


def tuned(devices: Iterable[Device]) -> dict[str, dict[str, Any]]:
    """What the devices of a box need."""
    wanted = {device.name: _impatience(device.profile) for device in devices}
    return {name: tuning for name, tuning in wanted.items() if tuning}


def _impatience(profile: DeviceProfile) -> dict[str, Any]:
    tuning: dict[str, Any] = {}
    if profile.door is not None:
        tuning["held_open_s"] = HELD_OPEN_S
    elif profile.auto_events:
        tuning |= {"poll_interval_ms": POLL_EVERY_MS, "silent_after_s": SILENT_AFTER_S}
    if profile.liveness.alarm_topic is not None:
        tuning["silent_after_s"] = SILENT_AFTER_S
    return tuning
