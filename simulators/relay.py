"""A wire that can be cut: a TCP relay on 127.0.0.1 between somebody and a server.

pass     bytes go both ways; back-pressure goes with them
frozen   nothing moves and nobody is told: a half-open connection, a dead radio link, a full NAT table
cut      every connection is reset and new ones are refused
"""

import asyncio
import contextlib
import socket
import struct
from enum import Enum, auto
from typing import Final, Self

_BYTES: Final = 65_536


class Wire(Enum):
    """The state of the wire."""

    PASS = auto()
    FROZEN = auto()
    CUT = auto()


class Relay:
    """One wire. Make it with `open`; `close` it."""

    def __init__(self, host: str, target_port: int) -> None:
        """Not for callers; see `open`."""
        self.host = host
        self.port = 0
        self.state = Wire.PASS
        self._target_port = target_port
        self._server: asyncio.Server | None = None
        self._thawed = asyncio.Event()
        self._thawed.set()
        self._connections: dict[asyncio.Task[None], tuple[asyncio.StreamWriter, ...]] = {}

    @classmethod
    async def open(cls, target_port: int, *, host: str = "127.0.0.1") -> Self:
        """Listen on a free port and pass on to target_port."""
        relay = cls(host, target_port)
        relay._server = await asyncio.start_server(relay._accept, host, 0)
        relay.port = relay._server.sockets[0].getsockname()[1]
        return relay

    def freeze(self) -> None:
        """Nothing moves until `mend`."""
        self.state = Wire.FROZEN
        self._thawed.clear()

    def cut(self) -> None:
        """Reset everything and refuse until `mend`."""
        self.state = Wire.CUT
        self._thawed.set()
        self._reset_all()

    def mend(self) -> None:
        """Pass again."""
        self.state = Wire.PASS
        self._thawed.set()

    async def close(self) -> None:
        """End all connections and stop listening."""
        if self._server is not None:
            self._server.close()
        self._reset_all()
        await asyncio.gather(*self._connections, return_exceptions=True)
        if self._server is not None:
            await self._server.wait_closed()

    def _reset_all(self) -> None:
        for task, writers in list(self._connections.items()):
            for writer in writers:
                _reset(writer)
            task.cancel()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.state is Wire.CUT:
            _reset(writer)
            return
        task = asyncio.current_task()
        if task is None:
            return
        self._connections[task] = (writer,)
        try:
            with contextlib.suppress(OSError, asyncio.CancelledError):
                await self._thawed.wait()
                far_reader, far_writer = await asyncio.open_connection(self.host, self._target_port)
                self._connections[task] = (writer, far_writer)
                await self._both_ways(reader, writer, far_reader, far_writer)
        finally:
            for one in self._connections.pop(task):
                one.close()

    async def _both_ways(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        far_reader: asyncio.StreamReader,
        far_writer: asyncio.StreamWriter,
    ) -> None:
        ways = {
            asyncio.ensure_future(self._pump(reader, far_writer)),
            asyncio.ensure_future(self._pump(far_reader, writer)),
        }
        try:
            # MQTT has no half-closed connections: when one side ends, both do.
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while part := await reader.read(_BYTES):
            await self._thawed.wait()
            writer.write(part)
            await writer.drain()


def _reset(writer: asyncio.StreamWriter) -> None:
    # With a linger of zero the kernel sends RST, which is what a device sees when a router forgets it.
    sock = writer.get_extra_info("socket")
    if sock is not None:
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
