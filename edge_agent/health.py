"""What a box knows of itself: counters with names from a closed list, states of its parts.

The same numbers go up with each heartbeat and into `health.json` beside the outbox, where `campus-edge outbox` and a
person on the box read them. No person data, no card number, no name of a person ever stands in a counter.
"""

import contextlib
import json
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from edge_agent.supervise import PartHealth, State
from wire.clock import ClockState, Stamp
from wire.delivery import Heartbeat

log = logging.getLogger(__name__)

COUNTERS: Final = (
    "messages_total",  # from devices, of every kind
    "events_total",  # accepted by the outbox
    "repeats_total",  # device records that were already stored
    "conflicts_total",  # device numbers used twice with different content
    "refused_total",  # not accepted because a lane was full; the device keeps them
    "discarded_total",  # bytes that made no sense, quarantined on the box
    "unmapped_total",  # messages that the profile gives no meaning, quarantined on the box
    "unknown_device_total",  # from devices that no setting names, quarantined on the box
    "commands_forged_total",  # command frames that our campus has not signed
    "commands_dropped_total",  # under a lease that is void or told as settled; the campus ends them
    "outcomes_total",  # ends of commands written
    "polls_total",  # requests to devices that are asked
    "polls_unanswered_total",  # of them, without an answer in time
    "polls_overrun_total",  # turns of a device that were left out because its line was busy
    "device_errors_total",  # exceptions in our own code while handling one device
)

Counters = dict[str, int]


def new_counters() -> Counters:
    """All counters at zero."""
    return dict.fromkeys(COUNTERS, 0)


class Health:
    """Gathers; written by the parts, read by heartbeat and file."""

    def __init__(self, counters: Mapping[str, int], gauges: Mapping[str, Callable[[], int | float]]) -> None:
        """gauges: current values by name, read when asked."""
        self._counters = counters
        self._gauges = gauges
        self.parts: dict[str, PartHealth] = {}
        self._unwritten = False

    def numbers(self) -> dict[str, int | float]:
        """All counters and gauges."""
        numbers: dict[str, int | float] = dict(self._counters)
        numbers.update({name: read() for name, read in self._gauges.items()})
        numbers["parts_total"] = len(self.parts)
        numbers["parts_down"] = sum(part.state is not State.UP for part in self.parts.values())
        return numbers

    def decorate(self, heartbeat: Heartbeat) -> Heartbeat:
        """Add the numbers to a heartbeat."""
        return msgspec.structs.replace(heartbeat, counters=self.numbers())

    def write(self, path: Path, stamp: Stamp, *, assume_synced: bool) -> None:
        """Replace path with the present state; readable by the owner and its group.

        A disk that cannot take it ends nothing: records have room reserved for them, this file has none.
        """
        state = {
            "schema": 1,
            "wall_ns": stamp.wall_ns,
            "clock": {
                "state": stamp.clock,
                "error_ms": stamp.error_ms,
                "assumed": assume_synced and stamp.clock is ClockState.SYNCED,
            },
            "counters": self.numbers(),
            "parts": {
                name: {"state": part.state, "restarts": part.restarts, "bugs": part.bugs, "cause": part.cause}
                for name, part in self.parts.items()
            },
        }
        try:
            _replace(path, json.dumps(state))
        except OSError as error:
            if not self._unwritten:
                log.warning("health file cannot be written", extra={"path": path, "cause": error.strerror})
            self._unwritten = True
            return
        if self._unwritten:
            log.info("health file is written again", extra={"path": path})
        self._unwritten = False


def _replace(path: Path, text: str) -> None:
    fresh = path.with_suffix(".new")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o640)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        fresh.replace(path)
    except OSError:
        # What there is of it takes room that records need.
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise
