"""Carries out a schedule of faults on a running campus. Everything that is broken is whole again when it ends."""

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from simulators.children import Supervisor
from simulators.faults import Fault, Harm
from simulators.mqtt_device import DeviceRunner
from simulators.relay import Relay

log = logging.getLogger(__name__)


class Chaos:
    """The one who breaks things. done: how often each harm has been done."""

    def __init__(
        self,
        schedule: Sequence[Fault],
        children: Supervisor,
        devices: Mapping[str, DeviceRunner],
        lines: Mapping[str, Relay],
    ) -> None:
        self.done: Counter[Harm] = Counter()
        self._schedule = schedule
        self._children = children
        self._devices = devices
        self._lines = lines
        self._mending: dict[str, asyncio.TimerHandle] = {}

    async def run(self) -> None:
        """Play the schedule in real time; returns after the last fault."""
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        try:
            for fault in self._schedule:
                await asyncio.sleep(max(0.0, began_s + fault.at_s - loop.time()))
                self._do(fault)
        finally:
            self.mend()

    def mend(self) -> None:
        """Every line passes again, at once."""
        for timer in self._mending.values():
            timer.cancel()
        self._mending.clear()
        for line in self._lines.values():
            line.mend()

    def _do(self, fault: Fault) -> None:
        match fault.harm:
            case Harm.KILL:
                if not self._children.kill(fault.target):
                    return
            case Harm.POWER_CUT | Harm.NETWORK_CUT:
                self._devices[fault.target].cut(fault.lasts_s, power=fault.harm is Harm.POWER_CUT)
            case Harm.LINE_CUT:
                self._lines[fault.target].cut()
                self._mend_later(fault)
            case Harm.LINE_FREEZE:
                self._lines[fault.target].freeze()
                self._mend_later(fault)
        self.done[fault.harm] += 1
        log.info("fault", extra={"harm": fault.harm, "target": fault.target, "lasts_s": round(fault.lasts_s, 1)})

    def _mend_later(self, fault: Fault) -> None:
        if (timer := self._mending.pop(fault.target, None)) is not None:
            timer.cancel()
        loop = asyncio.get_running_loop()
        self._mending[fault.target] = loop.call_later(fault.lasts_s, self._lines[fault.target].mend)
