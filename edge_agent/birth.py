"""What a box says of itself when it starts: which software, which devices. State said again never rings."""

from collections.abc import Iterable
from typing import Protocol

from edge_agent.draft import NO_ID, NO_STAMP, Draft
from wire.records import Event


class DeviceFacts(Protocol):
    """What the campus is told of a device; settings and profile together know it."""

    @property
    def name(self) -> str:
        """Within its box."""

    @property
    def facts(self) -> dict[str, str | int]:
        """profile, device_class, systems (with commas), protocol, contract, display_name(_en), place, liveness_s."""


def birth(edge: str, *, software: str, channels: int, devices: Iterable[DeviceFacts]) -> list[Draft]:
    """The drafts of one start of box `edge`: its own birth, then one Device/State/Info for each device."""
    known = list(devices)
    drafts = [
        Event(
            id=NO_ID,
            stamp=NO_STAMP,
            device=edge,
            topic="EdgeNode/State/Birth",
            initialized=True,
            values={"software": software, "channels": channels, "devices": len(known)},
        )
    ]
    drafts += [
        Event(
            id=NO_ID,
            stamp=NO_STAMP,
            device=f"{edge}/{device.name}",
            topic="Device/State/Info",
            initialized=True,
            values={key: value for key, value in device.facts.items() if value != ""},
        )
        for device in known
    ]
    return [Draft(record) for record in drafts]
