"""The listening side of HTTP: so many places, and no place for ever.

aiohttp parses and answers; it has no limit on connections and lets a client take all day over the head of a request.
Here a connection has HEAD_WITHIN_S from its beginning, and from each answer on, to say the next head whole; a
connection beyond the limit is closed at once, and its terminal tries again. The time for a body is the handler's to
keep, between `busy` and `idle`. An answer that a client's line has not taken within TAKEN_WITHIN_S is thrown away with
its connection: it may hold a command, and must not arrive when the line is back.
"""

import asyncio
import logging
import ssl
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from wire.sockets import give_up_after

HEAD_WITHIN_S: Final = 30.0
HANDSHAKE_WITHIN_S: Final = 10.0
TAKEN_WITHIN_S: Final = 10.0
# Bytes after an answer that nobody wants, of a body that was refused.
_LINGER_S: Final = 2.0

# aiohttp tells of a request that it cannot parse with the bytes in it, which may be a person's.
_quiet = logging.getLogger(f"{__name__}.aiohttp")
_quiet.propagate = False
_quiet.addHandler(logging.NullHandler())


class Place(asyncio.Protocol):
    """One connection: aiohttp's protocol with a clock beside it."""

    def __init__(self, door: "HttpDoor", inner: asyncio.Protocol) -> None:
        self._door = door
        self._inner = inner
        self._transport: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        if not isinstance(transport, asyncio.Transport):
            raise TypeError(type(transport).__name__)
        self._transport = transport
        self._inner.connection_made(transport)
        if self._door.enter(transport, self):
            self.idle()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self.busy()
        if self._transport is not None:
            self._door.leave(self._transport)
        self._inner.connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self._inner.data_received(data)

    def eof_received(self) -> bool | None:
        """See asyncio.Protocol."""
        return self._inner.eof_received()

    def pause_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self._inner.pause_writing()

    def resume_writing(self) -> None:
        """See asyncio.BaseProtocol."""
        self._inner.resume_writing()

    def busy(self) -> None:
        """A head is here whole; the handler has it."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def idle(self) -> None:
        """The next head may come."""
        self.busy()
        if self._transport is not None:
            self._timer = asyncio.get_running_loop().call_later(self._door.head_within_s, self._transport.abort)


class HttpDoor:
    """A listening socket and the connections that came in through it."""

    def __init__(
        self,
        handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        *,
        connections_max: int,
        head_within_s: float,
    ) -> None:
        """handle: must read the body it wants within a time of its own."""
        self._handle = handle
        self._connections_max = connections_max
        self._places: dict[asyncio.Transport, Place] = {}
        self.head_within_s = head_within_s
        self.turned_away = 0

    async def open(self, host: str, port: int, tls: ssl.SSLContext | None) -> "OpenDoor":
        """Listen. Raises OSError."""
        inner = web.Server(
            self._handled,
            access_log=None,
            logger=_quiet,
            keepalive_timeout=self.head_within_s,
            lingering_time=_LINGER_S,
        )
        loop = asyncio.get_running_loop()
        server = await loop.create_server(
            lambda: Place(self, inner()),
            host,
            port,
            ssl=tls,
            # A connection takes its place only after the handshake.
            ssl_handshake_timeout=None if tls is None else HANDSHAKE_WITHIN_S,
        )
        for sock in server.sockets:
            give_up_after(sock, TAKEN_WITHIN_S)
        return OpenDoor(server, inner, self._places)

    def enter(self, transport: asyncio.Transport, place: Place) -> bool:
        """Whether there is a place for one more."""
        if len(self._places) >= self._connections_max:
            self.turned_away += 1
            return False
        self._places[transport] = place
        return True

    def leave(self, transport: asyncio.Transport) -> None:
        """A connection is gone."""
        self._places.pop(transport, None)

    async def _handled(self, request: web.BaseRequest) -> web.StreamResponse:
        place = self._places.get(request.transport) if isinstance(request.transport, asyncio.Transport) else None
        if place is None:
            return await self._handle(request)
        place.busy()
        try:
            return await self._handle(request)
        finally:
            if request.transport is not None:
                place.idle()


class OpenDoor:
    """Until closed."""

    def __init__(self, server: asyncio.Server, inner: web.Server, places: dict[asyncio.Transport, Place]) -> None:
        self._server = server
        self._inner = inner
        self._places = places

    @property
    def port(self) -> int:
        """The port that was given, where any was asked for."""
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def close(self) -> None:
        """Nobody comes in any more; whoever is in is shown out."""
        self._server.close()
        await self._inner.shutdown(timeout=1.0)
        for transport in list(self._places):
            transport.abort()
        self._places.clear()
