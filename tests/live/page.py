"""The live page of a campus of tests: boxes deliver, readers take, and the hub's ticks come when a test says so."""

import asyncio
import json
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from aggregator.alarms import AlarmReader
from aggregator.live import LiveHub
from aggregator.live.hub import GAP
from aggregator.live.shapes import News
from aggregator.readers import Doors, Reader, Registry
from aggregator.storage import Database
from tests.admission.box import Box
from tests.readers.conftest import Rig
from wire.records import Event

FACE = "gate-1/face-1"
GRANTED = "AccessControl/AccessGranted/Credential"
DENIED = "AccessControl/Denied/Credential"
DOOR_ALARM = "Door/State/DoorAlarm"
OPENS = "facesluice-mqtt"


class Page:
    """gate-1, its doors, and whoever watches them."""

    def __init__(self, views: Database) -> None:
        self.rig = Rig(views)
        self.clock, self.ledger = self.rig.clock, self.rig.ledger
        self.box = Box(clock=self.clock)
        self.readers: tuple[Reader, ...] = (
            AlarmReader(self.ledger, views),
            Doors(self.ledger, views),
            Registry(self.ledger, views),
        )
        self.edges = ["gate-1"]
        self.hub = self.new_hub()

    def new_hub(self) -> LiveHub:
        """As after a restart."""
        return LiveHub(
            self.rig.views,
            self.ledger,
            self.readers,
            clock=self.clock,
            zone="Asia/Shanghai",
            levels={},
            can_open=lambda profile: profile == OPENS,
            liveness=lambda: self.rig.campus.admission.liveness,
            edges=self._edges,
        )

    async def _edges(self) -> list[str]:
        return self.edges

    def event(self, topic: str, state: str = "", **fields: Any) -> Event:
        return self.box.event(topic, **{"values": {"state": state} if state else {}} | fields)

    def described(self, device: str = FACE, *, name: str = "南门", profile: str = OPENS) -> Event:
        values = {"profile": profile, "display_name": name, "display_name_en": "South gate", "place": "south"}
        return self.box.event("Device/State/Info", device=device, initialized=True, values=values)

    async def told(self, *events: Event) -> None:
        """Records of the box, up to the tables of the readers."""
        await self.rig.deliver(self.box, *events)
        await self.read()

    async def read(self) -> None:
        for reader in self.readers:
            await reader.find_position()
            while await reader.step():
                pass

    async def snapshot(self) -> News:
        return await self.hub.snapshot()

    async def tick(self, seconds: float = 0.2) -> None:
        self.clock.advance(seconds)
        await self.hub._tick()

    @asynccontextmanager
    async def watching(self, after: int | None = None, *, people: bool = True) -> AsyncIterator["Watcher"]:
        # What was read within a tick is not read again.
        self.clock.advance(1)
        watcher = Watcher(self.hub.watch(after, people=people))
        try:
            if after is None:
                # Until it waits for the next frame.
                watcher.waiting = asyncio.ensure_future(anext(watcher.frames))
                for _ in range(1000):
                    await asyncio.sleep(0.001)
                    if self.hub.watchers and not self.hub._lock.locked():
                        break
            yield watcher
        finally:
            await watcher.close()


class Watcher:
    """What one page was told."""

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        self.frames = frames
        self.waiting: asyncio.Future[bytes] | None = None

    async def next(self) -> list[dict[str, Any] | None]:
        """What comes next: news, and None for a gap."""
        chunk, self.waiting = self.waiting or asyncio.ensure_future(anext(self.frames)), None
        async with asyncio.timeout(60):
            text = await chunk
        return [None if f"{part}\n\n".encode() == GAP else news_of(part) for part in text.decode().split("\n\n")[:-1]]

    async def one(self) -> dict[str, Any]:
        """The next news, and nothing else with it."""
        (news,) = await self.next()
        assert news is not None
        return news

    async def close(self) -> None:
        if self.waiting is not None:
            self.waiting.cancel()
            with suppress(asyncio.CancelledError, StopAsyncIteration):
                await self.waiting
        await self.frames.aclose()


def news_of(frame: str) -> dict[str, Any]:
    """What a frame says; its id is the position in it."""
    number, data = frame.split("\n")
    news: dict[str, Any] = json.loads(data.removeprefix("data: "))
    assert number == f"id: {news['position']}"
    return news
