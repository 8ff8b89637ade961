"""Terminals that push over HTTP: we open the port that they push to, and wait for their call.

Only where no agent runs: it has the port. A terminal is let in and told to go on where it was; whatever it brings is
shown and answered so that it brings it again, to the agent. It is handed no command.
"""

import asyncio
import errno
import ssl
from typing import Final

from aiohttp import web

from edge_agent.channels.http_door import HEAD_WITHIN_S, HttpDoor
from edge_agent.codecs import codec
from edge_agent.codecs.kinds.http_push import Head, HttpPushCodec, Pushed, Visit
from edge_agent.message import Discard
from edge_agent.probe import Held, Limits, Report, Target
from edge_agent.transports.http_push import HttpPushTransport
from wire.clock import Clock

CONNECTIONS_MAX: Final = 32
BODY_WITHIN_S: Final = 30.0


async def probe(target: Target, report: Report, limits: Limits, clock: Clock) -> None:
    """See edge_agent.probe."""
    transport = target.transport
    if not isinstance(transport, HttpPushTransport):
        raise TypeError(transport.kind)
    waiting = _Waiting(codec(target.protocol, HttpPushCodec), target, report, limits.count, clock)
    door = HttpDoor(waiting.answer, connections_max=CONNECTIONS_MAX, head_within_s=HEAD_WITHIN_S)
    tls = None
    if transport.tls_certificate is not None:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(transport.tls_certificate, transport.tls_key)
    try:
        listening = await door.open(transport.host, transport.port, tls)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise Held(f"{transport.host}:{transport.port}") from None
        raise
    try:
        async with asyncio.timeout(limits.for_s):
            await waiting.enough.wait()
    except TimeoutError:
        return
    finally:
        await listening.close()


class _Waiting:
    def __init__(self, spec: HttpPushCodec, target: Target, report: Report, count: int, clock: Clock) -> None:
        self.enough = asyncio.Event()
        self._spec = spec
        self._target = target
        self._report = report
        self._left = count
        self._clock = clock

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request of a terminal."""
        head = Head(request.method, request.path, request.rel_url.raw_query_string)
        body = await self._body(request) if self._spec.keeps_body(head) else b""
        pushed = None if body is None else self._spec.decode(head, body)
        if pushed is None:
            return web.Response(status=404)
        holds_record = self._show(pushed, body or b"")
        visit = Visit(taken=not holds_record, wall_ns=self._clock.wall_ns(), zone=self._target.zone)
        answer = self._spec.answer(pushed, visit)
        return web.Response(status=answer.status, text=answer.body, content_type="text/plain", charset="ascii")

    def _show(self, pushed: Pushed, body: bytes) -> bool:
        """Whether the terminal brings anything that it must keep."""
        device = self._target.device_of(pushed.address)
        holds_record = False
        for content, raw in pushed.rows:
            holds_record |= isinstance(content, Discard) or content.kind in self._spec.records
            if device is not None and self._left > 0:
                self._report.content(self._spec, device, content, raw or body)
                # That it is there, and asks whether there is anything to do, is heard each few seconds.
                self._left -= isinstance(content, Discard) or bool(content.kind in self._spec.records or body)
        if self._left <= 0:
            self.enough.set()
        return holds_record

    async def _body(self, request: web.BaseRequest) -> bytes | None:
        parts: list[bytes] = []
        size = 0
        async with asyncio.timeout(BODY_WITHIN_S):
            async for chunk in request.content.iter_any():
                size += len(chunk)
                if size > self._spec.body_bytes_max:
                    return None
                parts.append(chunk)
        return b"".join(parts)
