"""The simulated camera, read byte by byte from its own port."""

import asyncio
import base64
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from simulators.hik_camera import STREAM, HikCamera, HikConfig
from simulators.journal import JournalWriter, read_journal
from tests.support.waiting import until
from wire.clock import SystemTime

GET = f"GET {STREAM} HTTP/1.1\r\nHost: camera\r\n"
BASIC = f"Authorization: Basic {base64.b64encode(b'campus:right').decode()}\r\n"


@asynccontextmanager
async def serving(folder: Path) -> AsyncIterator[HikCamera]:
    config = HikConfig(name="cam-1", password="right", sign_in="basic", repeat_s=0.01, keep_alive_s=0.02)
    with JournalWriter(folder / "journal.jsonl") as journal:
        camera = HikCamera(config, SystemTime(), journal, random.Random(1))
        run = asyncio.create_task(camera.run())
        try:
            await camera.serving.wait()
            yield camera
        finally:
            run.cancel()
            await asyncio.wait([run])


@asynccontextmanager
async def listening(camera: HikCamera, head: str = GET + BASIC) -> AsyncIterator[asyncio.StreamReader]:
    reader, writer = await asyncio.open_connection("127.0.0.1", camera.port)
    try:
        writer.write(f"{head}\r\n".encode())
        yield reader
    finally:
        writer.close()


async def heard(reader: asyncio.StreamReader, text: str) -> bytes:
    async with asyncio.timeout(60):
        return await reader.readuntil(text.encode())


async def test_nobody_listens_without_a_password(tmp_path: Path) -> None:
    async with serving(tmp_path) as camera, listening(camera, GET) as reader:
        said = await heard(reader, "\r\n\r\n")
        assert said.startswith(b"HTTP/1.1 401 ")
        assert b"WWW-Authenticate: Basic " in said
        assert camera.listeners == 0


async def test_a_state_is_said_again_while_it_lasts_and_told_to_the_witness_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as camera:
        camera.begin("shelteralarm")
        async with listening(camera) as reader:
            for _ in range(5):
                await heard(reader, "<eventType>shelteralarm</eventType>\r\n<eventState>active</eventState>")
            camera.end("shelteralarm")
            await heard(reader, "<eventType>shelteralarm</eventType>\r\n<eventState>inactive</eventState>")
        said = [one.kind for one in read_journal(tmp_path / "journal.jsonl").said]
        assert said == ["shelteralarm active", "shelteralarm inactive"]


async def test_what_nobody_hears_is_not_held_to_have_been_said(tmp_path: Path) -> None:
    async with serving(tmp_path) as camera:
        camera.begin("VMD")
        camera.end("VMD")
        async with listening(camera) as reader:
            await heard(reader, "<eventType>videoloss</eventType>\r\n<eventState>inactive</eventState>")
        assert read_journal(tmp_path / "journal.jsonl").said == []


async def test_a_restart_ends_the_streams_and_what_lasted(tmp_path: Path) -> None:
    async with serving(tmp_path) as camera:
        port = camera.port
        camera.begin("diskfull")
        async with listening(camera) as reader:
            await heard(reader, "diskfull")
            camera.switch(on=False)
            async with asyncio.timeout(60):
                await reader.read(-1)
        camera.switch(on=True)
        await camera.serving.wait()
        assert camera.port == port
        async with listening(camera) as reader:
            await until(lambda: camera.listeners == 1)
            assert b"diskfull" not in await heard(reader, "videoloss")
