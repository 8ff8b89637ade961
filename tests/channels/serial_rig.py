"""A serial channel over a pseudo-terminal: a test holds the other end, and pulls the plug."""

import asyncio
import os
import tty
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from device_profiles.catalogue import load_catalogue
from device_profiles.model import DeviceProfile
from device_profiles.protocols import ONLY_ONE
from edge_agent.channels.base import BoundDevice, ChannelParts
from edge_agent.channels.serial import OpenPort, SerialChannel, SerialPort
from edge_agent.codecs import codec
from edge_agent.codecs.kinds.serial import SerialCodec
from edge_agent.health import new_counters
from edge_agent.supervise import Supervisor
from edge_agent.translate import DeviceInfo
from edge_agent.transports.serial import SerialTransport
from tests.channels.rig import MemoryIntake
from tests.support.clock import VirtualClock
from tests.support.waiting import until
from wire.identity import Pseudonymiser


class Plug:
    """A serial adapter with a device file of its own, which goes when the plug is pulled."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "reader"
        self._device_end = -1

    def plug(self) -> None:
        self._device_end, box_end = os.openpty()
        tty.setraw(box_end)
        self.path.symlink_to(os.ttyname(box_end))
        os.close(box_end)

    def pull(self) -> None:
        self.path.unlink()
        os.close(self._device_end)
        self._device_end = -1

    def say(self, data: bytes) -> None:
        assert os.write(self._device_end, data) == len(data)

    def clean(self) -> None:
        if self._device_end >= 0:
            self.pull()


class Rig:
    """One channel of one reader."""

    def __init__(self, protocol: str, folder: Path, open_port: OpenPort | None = None) -> None:
        self.clock = VirtualClock()
        self.intake = MemoryIntake()
        self.quarantine: list[tuple[str, str, bytes]] = []
        self.counters = new_counters()
        self.profile: DeviceProfile = load_catalogue(()).profiles[protocol]
        self.plug = Plug(folder)
        self.transport = SerialTransport(kind="serial", port=str(self.plug.path))
        parts = ChannelParts(
            edge="gate-1",
            intake=self.intake,
            quarantine=self._quarantine,
            pseudonymiser=Pseudonymiser(bytes(32)),
            clock=self.clock,
            counters=self.counters,
        )
        device = BoundDevice(ONLY_ONE, DeviceInfo("gate-1/reader-1", "Asia/Shanghai"), self.profile)
        self.parts, self.device = parts, device
        self.channel = SerialChannel(
            "reader",
            codec(protocol, SerialCodec),
            device,
            parts,
            open_port or (lambda: SerialPort(self.transport)),
            tick_s=0.01,
        )
        self.supervisor = Supervisor("reader", lambda one: self.channel.run(one.up), chance=lambda: 0.0)

    async def _quarantine(self, device: str, reason: str, raw: bytes, harmless: frozenset[str]) -> None:
        await asyncio.sleep(0)
        self.quarantine.append((device, reason, raw))

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator["Rig"]:
        """Under the real supervisor, with no pause between two attempts."""
        run = asyncio.create_task(self.supervisor.run())
        try:
            yield self
        finally:
            run.cancel()
            await asyncio.wait([run])
            self.plug.clean()

    async def connected(self) -> None:
        await until(lambda: self.channel.health().connected and self.supervisor.health.state == "up")

    def refs(self) -> list[str | None]:
        return [event.credential.ref for event in self.intake.events() if event.credential is not None]
