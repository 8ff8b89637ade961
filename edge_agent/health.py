"""What a box knows of itself: counters with names from a closed list, states of its parts, channels and devices.

The same numbers go up with each heartbeat and into `health.json` beside the outbox, where `campus-edge top` and a
person on the box read them. No person data, no card number, no name of a person ever stands in a counter.
"""

import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from edge_agent.channels.base import ChannelHealth
from edge_agent.supervise import PartHealth, State
from wire.clock import NS_PER_S, ClockState, Stamp
from wire.counters import COUNTERS
from wire.delivery import Heartbeat, LaneDepth
from wire.files import replace_file
from wire.rate import Rate
from wire.topics import Lane

log = logging.getLogger(__name__)

Counters = dict[str, int]


def new_counters() -> Counters:
    """All counters at zero."""
    return dict.fromkeys(COUNTERS, 0)


@dataclass(frozen=True, slots=True)
class Summary:
    """The box in four numbers. rate: records stored a second, over the last minute; queued: not at the campus yet."""

    devices: int
    up: int
    rate: float
    queued: int


class Health:
    """Gathers; written by the parts, read by heartbeat, file and metrics."""

    def __init__(
        self,
        counters: Mapping[str, int],
        gauges: Mapping[str, Callable[[], int | float]],
        channels: Callable[[], Mapping[str, ChannelHealth]] = dict,
    ) -> None:
        """gauges, channels: by name, read when asked."""
        self._counters = counters
        self._gauges = gauges
        self._channels = channels
        self.parts: dict[str, PartHealth] = {}
        self.depths: Mapping[Lane, LaneDepth] = {}
        self._rate = Rate()
        self._unwritten = False

    def observe(self, depths: Mapping[Lane, LaneDepth], now_ns: int) -> None:
        """Every few seconds: the outbox' lanes, and how far the records have counted."""
        self.depths = depths
        self._rate.observe(now_ns, self._counters["events_total"])

    def channels(self) -> Mapping[str, ChannelHealth]:
        """All channels with their devices, now."""
        return self._channels()

    def summary(self) -> Summary:
        """As of the last observation."""
        channels = self._channels().values()
        return Summary(
            devices=sum(len(channel.devices) for channel in channels),
            up=sum(channel.devices_up for channel in channels),
            rate=self._rate.per_s(),
            queued=sum(depth.queued for depth in self.depths.values()),
        )

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
            "rate": round(self.summary().rate, 2),
            "channels": {name: _channel(channel, stamp.mono_ns) for name, channel in self._channels().items()},
        }
        try:
            replace_file(path, json.dumps(state), mode=0o640, durable=False)
        except OSError as error:
            if not self._unwritten:
                log.warning("health file cannot be written", extra={"path": path, "cause": error.strerror})
            self._unwritten = True
            return
        if self._unwritten:
            log.info("health file is written again", extra={"path": path})
        self._unwritten = False


def _channel(channel: ChannelHealth, now_ns: int) -> dict[str, Any]:
    return {
        "connected": channel.connected,
        "waiting": channel.waiting,
        "devices": [
            {
                "id": device.id,
                "state": device.state,
                "heard_s": None if device.heard_ns is None else round((now_ns - device.heard_ns) / NS_PER_S, 1),
                "events": device.events,
                "troubles": device.troubles,
                "answer_ms": None if device.answer_ms is None else round(device.answer_ms, 1),
            }
            for device in channel.devices
        ],
    }
