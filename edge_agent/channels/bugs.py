"""Tells of an exception in our own code once, with its place and without its text.

The text of an exception may hold what a device said (`KeyError: '20260001'`), so it goes nowhere; file, line and source
tell where to look.
"""

import logging
import traceback
from typing import Final

log = logging.getLogger(__name__)

_PLACES_MAX: Final = 256


class Bugs:
    """One channel's. counters: the box's; `device_errors_total` counts every exception, told or not."""

    def __init__(self, channel: str, counters: dict[str, int]) -> None:
        self._channel = channel
        self._counters = counters
        self._told: set[tuple[str, str, str]] = set()

    def tell(self, error: Exception, *, device: str = "") -> None:
        """Count error, and log it the first time that it comes from this place for this device."""
        self._counters["device_errors_total"] += 1
        frames = traceback.extract_tb(error.__traceback__)
        name, place = type(error).__name__, f"{frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        if (device, name, place) in self._told or len(self._told) >= _PLACES_MAX:
            return
        self._told.add((device, name, place))
        log.error(
            "handling a message failed; this is a bug of ours or of a profile",
            extra={
                "channel": self._channel,
                "device": device,
                "error": name,
                "traceback": "".join(traceback.format_list(frames)),
            },
        )
