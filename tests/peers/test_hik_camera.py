"""pyHik, which Home Assistant uses, listens to our simulated camera: sign-in, triggers, stream, states are its own."""

import asyncio
import logging
import random
from pathlib import Path
from typing import Any

import pytest
from pyhik.hikvision import HikCamera as PyHik

from simulators.hik_camera import HikCamera, HikConfig
from simulators.journal import JournalWriter
from tests.support.waiting import until
from wire.clock import SystemTime

pytestmark = pytest.mark.peer


async def test_pyhik_signs_in_and_hears_an_event_begin_and_end(tmp_path: Path) -> None:
    logging.getLogger("pyhik").setLevel(logging.CRITICAL)
    config = HikConfig(name="cam-1", password="right", repeat_s=0.05, keep_alive_s=0.1)
    with JournalWriter(tmp_path / "journal.jsonl") as journal:
        camera = HikCamera(config, SystemTime(), journal, random.Random(1))
        serving = asyncio.create_task(camera.run())
        listener: Any = None
        try:
            await camera.serving.wait()
            # It asks for its pages while it is made, and waits for the answers.
            listener = await asyncio.to_thread(PyHik, "http://127.0.0.1", camera.port, "campus", "right")
            assert listener.get_name == "cam-1"
            assert "Motion" in listener.current_event_states
            listener.start_stream()
            await until(lambda: camera.listeners == 1)
            assert listener.fetch_attributes("Motion", 1)[0] is False
            camera.begin("VMD")
            await until(lambda: listener.fetch_attributes("Motion", 1)[0])
            camera.end("VMD")
            await until(lambda: not listener.fetch_attributes("Motion", 1)[0])
        finally:
            if listener is not None:
                # Its thread looks whether it may end at each line that comes, so the camera must still be there.
                await asyncio.to_thread(listener.disconnect)
                listener.hik_request.close()
            serving.cancel()
            await asyncio.wait([serving])
