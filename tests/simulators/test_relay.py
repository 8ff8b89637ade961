import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from simulators.relay import Relay


@pytest.fixture
async def relay() -> AsyncIterator[Relay]:
    """A relay before a server that echoes."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while part := await reader.read(65_536):
                writer.write(part)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    wire = await Relay.open(server.sockets[0].getsockname()[1])
    yield wire
    await wire.close()
    server.close()
    await server.wait_closed()


async def dial(relay: Relay) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", relay.port)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


async def test_bytes_go_both_ways_whole(relay: Relay) -> None:
    reader, writer = await dial(relay)
    sent = bytes(range(256)) * 4000
    writer.write(sent)
    async with asyncio.timeout(60):
        assert await reader.readexactly(len(sent)) == sent
    await hang_up(writer)


async def test_a_frozen_wire_tells_nobody_and_loses_nothing(relay: Relay) -> None:
    reader, writer = await dial(relay)
    writer.write(b"one")
    async with asyncio.timeout(60):
        assert await reader.readexactly(3) == b"one"
    relay.freeze()
    writer.write(b"two")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2):
            await reader.read(1)
    relay.mend()
    async with asyncio.timeout(60):
        assert await reader.readexactly(3) == b"two"
    await hang_up(writer)


async def test_a_cut_wire_resets_what_is_open_and_refuses_what_is_new_until_mended(relay: Relay) -> None:
    reader, writer = await dial(relay)
    writer.write(b"one")
    async with asyncio.timeout(60):
        await reader.readexactly(3)
    relay.cut()
    for broken in ((reader, writer), await dial(relay)):
        with pytest.raises((ConnectionResetError, asyncio.IncompleteReadError)):
            async with asyncio.timeout(60):
                await broken[0].readexactly(1)
        await hang_up(broken[1])
    relay.mend()
    reader, writer = await dial(relay)
    writer.write(b"again")
    async with asyncio.timeout(60):
        assert await reader.readexactly(5) == b"again"
    await hang_up(writer)


async def test_a_server_that_is_away_ends_the_connection(relay: Relay) -> None:
    dead = await Relay.open(1)
    reader, writer = await dial(dead)
    async with asyncio.timeout(60):
        assert await reader.read() == b""
    await hang_up(writer)
    await dead.close()
