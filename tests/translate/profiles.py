"""The profiles the tests translate with: the shipped one, and what a test needs besides."""

from functools import cache
from pathlib import Path
from typing import Any

import device_profiles
from device_profiles.model import DeviceProfile, EventMapping
from device_profiles.reading import read_profile

SHIPPED = Path(device_profiles.__file__).parent
OF_PROTOCOL = {"facesluice": "biometric/facesluice-mqtt.yaml"}


@cache
def shipped_profile(protocol: str) -> DeviceProfile:
    profile, findings = read_profile(SHIPPED / OF_PROTOCOL[protocol])
    assert profile is not None, findings
    return profile


def facesluice_profile() -> DeviceProfile:
    return shipped_profile("facesluice")


def with_mappings(*mappings: dict[str, Any]) -> DeviceProfile:
    """The shipped profile with other meanings."""
    return facesluice_profile().model_copy(
        update={"event_mappings": tuple(EventMapping.model_validate(mapping) for mapping in mappings)}
    )
