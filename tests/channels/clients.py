"""mosquitto's own clients, standing for devices."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.support.mosquitto import find_program
from wire.mqtt_link import BrokerAddress

GRANTED_WITHIN_S = 45.0


def _way_in(address: BrokerAddress) -> list[str]:
    user = ["-u", address.username, "-P", address.password] if address.username else []
    return ["-h", address.host, "-p", str(address.port), *user]


async def publish(address: BrokerAddress, topic: str, *payloads: dict[str, Any], qos: int = 1) -> None:
    """What a device says, said by mosquitto_pub; returns when the broker has it all."""
    process = await asyncio.create_subprocess_exec(
        find_program("mosquitto_pub"),
        *_way_in(address),
        *("-q", str(qos), "-t", topic, "-l"),
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
    arguments = [*_way_in(address), "-q", "1", "-v", "-d"]
    for one in filters:
        arguments += ["-t", one]
    # Line by line: into a pipe mosquitto_sub would keep the news of its subscription to itself.
    process = await asyncio.create_subprocess_exec(
        *("stdbuf", "-oL", find_program("mosquitto_sub"), *arguments), stdout=asyncio.subprocess.PIPE, limit=1 << 20
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
        async with asyncio.timeout(GRANTED_WITHIN_S):
            await granted.wait()
        yield heard
    finally:
        process.terminate()
        await process.wait()
        await reading
