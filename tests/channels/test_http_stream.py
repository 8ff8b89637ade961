"""The stream channel against the simulated camera, on loopback, under the real supervisor."""

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from device_profiles.catalogue import load_catalogue
from device_profiles.protocols import ONLY_ONE
from edge_agent.channels.base import BoundDevice, ChannelParts
from edge_agent.channels.http_sign_in import Credentials
from edge_agent.channels.http_stream import StreamAddress, StreamChannel, dialler
from edge_agent.codecs.hik_camera import SPEC
from edge_agent.health import new_counters
from edge_agent.supervise import RefusedError, Supervisor
from edge_agent.translate import DeviceInfo
from simulators.hik_camera import HikCamera, HikConfig
from simulators.journal import JournalWriter, read_journal
from tests.channels.rig import MemoryIntake
from tests.support.clock import VirtualClock, seeded
from tests.support.waiting import until
from wire.clock import SystemTime
from wire.identity import Pseudonymiser


class Rig:
    """One camera that keeps alive and repeats fast, and a channel whose clock stands until the test moves it."""

    def __init__(self, folder: Path, *, password: str = "right") -> None:
        self.clock = VirtualClock()
        self.intake = MemoryIntake()
        self.quarantine: list[str] = []
        self.counters = new_counters()
        self.profile = load_catalogue(()).profiles["hik-camera"]
        self.journal = JournalWriter(folder / "journal.jsonl")
        config = HikConfig(name="cam-1", password="right", repeat_s=0.01, keep_alive_s=0.02)
        self.camera = HikCamera(config, SystemTime(), self.journal, random.Random(1))
        self.parts = ChannelParts(
            edge="gate-1",
            intake=self.intake,
            quarantine=self._quarantine,
            pseudonymiser=Pseudonymiser(bytes(32)),
            clock=self.clock,
            counters=self.counters,
        )
        self._password = password

    async def _quarantine(self, device: str, reason: str, raw: bytes, harmless: frozenset[str]) -> None:
        await asyncio.sleep(0)
        self.quarantine.append(reason)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[StreamChannel]:
        """The camera serves; the channel is not running yet."""
        camera = asyncio.create_task(self.camera.run())
        try:
            await self.camera.serving.wait()
            address = StreamAddress(
                host="127.0.0.1",
                port=self.camera.port,
                path=SPEC.path,
                credentials=Credentials("campus", self._password),
            )
            device = BoundDevice(ONLY_ONE, DeviceInfo("gate-1/cam-1", "Asia/Shanghai"), self.profile)
            yield StreamChannel("cam", SPEC, device, self.parts, dialler(address, seeded(1)), tick_s=0.01)
        finally:
            camera.cancel()
            await asyncio.wait([camera])
            self.journal.close()

    @asynccontextmanager
    async def supervised(self) -> AsyncIterator[Supervisor]:
        """Camera and channel, with no pause between two attempts."""
        async with self.serving() as channel:
            supervisor = Supervisor("cam", lambda one: channel.run(one.up), chance=lambda: 0.0)
            run = asyncio.create_task(supervisor.run())
            try:
                await until(lambda: supervisor.health.state == "up")
                yield supervisor
            finally:
                run.cancel()
                await asyncio.wait([run])

    def states(self, topic: str) -> list[tuple[str, bool]]:
        """State, and whether it is only said again, of every event with a topic."""
        return [(str(e.values["state"]), e.initialized) for e in self.intake.records if e.topic == topic]


async def test_a_lasting_state_is_one_alarm_and_one_end(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    async with rig.supervised():
        rig.camera.begin("shelteralarm")
        await until(lambda: rig.states("Camera/Tamper"))
        before = rig.counters["messages_total"]
        await until(lambda: rig.counters["messages_total"] > before + 10)
        rig.camera.end("shelteralarm")
        await until(lambda: len(rig.states("Camera/Tamper")) == 2)
        assert rig.states("Camera/Tamper") == [("Active", False), ("Inactive", False)]
        said = read_journal(rig.journal.path).said
        assert [one.kind for one in said] == ["shelteralarm active", "shelteralarm inactive"]
        events = [event for event in rig.intake.records if event.topic == "Camera/Tamper"]
        assert [event.device_time and event.device_time.raw for event in events] == [one.device_time for one in said]


async def test_a_camera_that_stands_still_is_an_alarm_and_its_word_ends_it(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    async with rig.supervised() as supervisor:
        await until(lambda: rig.states("Camera/SignalLoss"))
        rig.intake.records.clear()
        rig.camera.stall(stalled=True)
        rig.clock.advance(rig.profile.liveness.interval_s * rig.profile.liveness.missed)
        await until(lambda: ("Active", False) in rig.states("Camera/SignalLoss"))
        await until(lambda: supervisor.health.restarts > 0)
        rig.camera.stall(stalled=False)
        await until(lambda: ("Inactive", False) in rig.states("Camera/SignalLoss"))
        assert rig.states("Camera/SignalLoss").count(("Active", False)) == 1
        assert supervisor.health.bugs == 0


async def test_a_camera_that_restarts_is_found_again(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    async with rig.supervised() as supervisor:
        rig.camera.switch(on=False)
        await until(lambda: supervisor.health.state == "down")
        rig.camera.switch(on=True)
        await until(lambda: supervisor.health.state == "up")
        rig.camera.begin("diskfull")
        await until(lambda: rig.states("Camera/StorageFailure") == [("Active", False)])
        assert supervisor.health.bugs == 0


async def test_a_wrong_password_is_a_refusal(tmp_path: Path) -> None:
    rig = Rig(tmp_path, password="wrong")
    async with rig.serving() as channel:
        with pytest.raises(RefusedError):
            await channel.run(lambda: None)
        assert not channel.health().connected


async def test_pictures_garbage_and_wrong_lengths_cost_no_event(tmp_path: Path) -> None:
    rig = Rig(tmp_path)
    async with rig.supervised():
        rig.camera.picture()
        rig.camera.garbage()
        rig.camera.wrong_length(-40)
        rig.camera.begin("nicbroken")
        await until(lambda: rig.states("Camera/NetworkFailure") == [("Active", False)])
