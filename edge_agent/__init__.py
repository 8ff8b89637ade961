"""The box: reads devices, keeps what they say in a durable outbox, delivers it to the campus."""

from importlib.metadata import version as _installed
from typing import Final

# What lies in a box's data_dir.
OUTBOX_FILE: Final = "outbox.sqlite"
HEALTH_FILE: Final = "health.json"


def version() -> str:
    """The software's name and version as it stands in HELLO: `campus-iot 0.1.0`."""
    return f"campus-iot {_installed('campus-iot')}"
