"""A real mosquitto on a free loopback port, and its own clients as the devices' side."""

import asyncio
import json
import os
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from wire.mqtt_link import BrokerAddress

START_S = 10.0

CONFIGURATION = """
listener {port} 127.0.0.1
allow_anonymous true
max_inflight_messages 1000
max_queued_messages 10000
persistence false
"""


def program(name: str) -> str:
    """The path of one of mosquitto's programs; without it the test is skipped, or fails where peers are required."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")
    if found is None:
        if os.environ.get("CAMPUS_REQUIRE_PEERS") == "1":
            pytest.fail(f"{name} is not installed")
        pytest.skip(f"{name} is not installed")
    return found


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def mosquitto(folder: Path) -> AsyncIterator[BrokerAddress]:
    """A broker that forgets everything with its process and lets everybody in."""
    port = free_port()
    configuration = folder / "mosquitto.conf"
    configuration.write_text(CONFIGURATION.format(port=port), encoding="ascii")
    process = await asyncio.create_subprocess_exec(
        program("mosquitto"),
        "-c",
        str(configuration),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        await _listening(port)
        yield BrokerAddress(port=port)
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(START_S):
        while True:
            with suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.02)


async def publish(address: BrokerAddress, topic: str, *payloads: dict[str, Any], qos: int = 1) -> None:
    """What a device says, said by mosquitto_pub; returns when the broker has it all."""
    process = await asyncio.create_subprocess_exec(
        program("mosquitto_pub"),
        *("-h", address.host, "-p", str(address.port), "-q", str(qos), "-t", topic, "-l"),
        stdin=asyncio.subprocess.PIPE,
    )
    lines = "".join(json.dumps(payload) + "\n" for payload in payloads)
    await process.communicate(lines.encode())
    assert process.returncode == 0


class Heard:
    """What mosquitto_sub, standing for a device, has heard so far."""

    def __init__(self) -> None:
        self.messages: list[tuple[str, dict[str, Any]]] = []


@asynccontextmanager
async def listening(address: BrokerAddress, *filters: str) -> AsyncIterator[Heard]:
    """Listens as a device does, from when the broker has granted the subscription."""
    arguments = ["-h", address.host, "-p", str(address.port), "-q", "1", "-v", "-d"]
    for one in filters:
        arguments += ["-t", one]
    # Line by line: into a pipe mosquitto_sub would keep the news of its subscription to itself.
    process = await asyncio.create_subprocess_exec(
        *("stdbuf", "-oL", program("mosquitto_sub"), *arguments), stdout=asyncio.subprocess.PIPE, limit=1 << 20
    )
    assert process.stdout is not None
    heard, granted = Heard(), asyncio.Event()

    async def read(stream: asyncio.StreamReader) -> None:
        async for line in stream:
            text = line.decode().strip()
            if text.startswith("Subscribed"):
                granted.set()
            topic, _, payload = text.partition(" ")
            if payload.startswith("{"):
                heard.messages.append((topic, json.loads(payload)))

    reading = asyncio.create_task(read(process.stdout))
    try:
        async with asyncio.timeout(START_S):
            await granted.wait()
        yield heard
    finally:
        process.terminate()
        await process.wait()
        await reading
