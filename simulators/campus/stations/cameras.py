"""Two cameras: they see motion, are covered, run out of disk; and one of them stands still for a while, which is an
alarm of its own.
"""

import asyncio
from collections.abc import Mapping, Sequence
from itertools import cycle
from typing import Any, Final

from simulators.campus.naming import named
from simulators.campus.stations import Known, LateWitness, Life, Place, Station
from simulators.chance import seeded
from simulators.hik_camera import HikCamera, HikConfig
from wire.clock import SystemTime

HOST: Final = "127.0.0.1"
CAMERAS: Final = ("camera-1", "camera-2")
PASSWORD: Final = "not a real one"  # noqa: S105  of cameras that do not exist
EVERY_S: Final = (0.5, 1.5)
LASTS_S: Final = (0.5, 1.5)
KINDS: Final = ("VMD", "shelteralarm", "VMD", "diskfull")
STALLS_AFTER_S: Final = 3.0
# Longer than a camera may be silent in the demo, see simulators.campus.tuning.
STALLED_S: Final = 12.0
KEEP_ALIVE_S: Final = 2.0


class CameraStation(Station):
    """See the module."""

    name = "cameras"

    def __init__(self) -> None:
        self._place: Place | None = None
        self._witness = LateWitness()
        self._cameras: list[HikCamera] = []
        self._serving: list[asyncio.Task[None]] = []

    async def open(self, place: Place) -> None:
        """See Station: a camera is up before somebody asks it."""
        self._place = place
        place.folder.mkdir(mode=0o700)
        password = place.folder / "camera.password"
        password.write_text(PASSWORD, encoding="utf-8")
        password.chmod(0o600)
        for name in CAMERAS:
            config = HikConfig(name=name, password=PASSWORD, zone=place.zone, keep_alive_s=KEEP_ALIVE_S)
            camera = HikCamera(config, SystemTime(), self._witness, seeded(place.seed, "camera", name))
            self._cameras.append(camera)
            self._serving.append(asyncio.create_task(camera.run(), name=name))
            await camera.serving.wait()

    def channels(self) -> Sequence[Mapping[str, Any]]:
        """See Station."""
        assert self._place is not None  # noqa: S101  opened before
        login = {"username": "campus", "password_file": str(self._place.folder / "camera.password")}
        return [
            {
                "name": name,
                "protocol": "hik-camera",
                "transport": {"kind": "http-stream", "host": HOST, "port": port, **login},
                "devices": [{"name": name, "profile": "hik-camera", "address": {}, **named("camera", "hall", number)}],
            }
            for number, (name, port) in enumerate(
                ((camera.config.name, camera.port) for camera in self._cameras), start=1
            )
        ]

    def known(self) -> Mapping[str, Known]:
        """See Station."""
        return {name: Known(device=name) for name in CAMERAS}

    async def run(self, life: Life) -> None:
        """See Station."""
        self._witness.told = life.witness
        await asyncio.gather(*self._serving)

    async def produce(self, life: Life) -> None:
        """See Station."""
        del life
        async with asyncio.TaskGroup() as group:
            for camera in self._cameras:
                group.create_task(self._watch(camera, stalls=camera is self._cameras[-1]))

    async def close(self) -> None:
        """See Station."""
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    async def _watch(self, camera: HikCamera, *, stalls: bool) -> None:
        assert self._place is not None  # noqa: S101  opened before
        chance = seeded(self._place.seed, "seen", camera.config.name)
        stalls_at_s = asyncio.get_running_loop().time() + STALLS_AFTER_S
        for kind in cycle(KINDS):
            await asyncio.sleep(chance.uniform(*EVERY_S))
            camera.begin(kind)
            await asyncio.sleep(chance.uniform(*LASTS_S))
            camera.end(kind)
            if stalls and asyncio.get_running_loop().time() >= stalls_at_s:
                stalls = False
                camera.stall(stalled=True)
                await asyncio.sleep(STALLED_S)
                camera.stall(stalled=False)


STATION: Final = CameraStation
