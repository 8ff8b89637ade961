"""The HTTP push channel: a port of the box to which terminals bring what they have, and fetch what they shall do.

    request -> body (bounded, timed) -> decode, translate (pure) -> settle: one commit for many -> answer

An answer of success makes a terminal forget, so it is given last: only when every row of the request is on disk. If one
is not (a lane is full, the box stops, our own fault), the whole request is answered so that the terminal sends it
again, and what was stored is then known. A row that makes no sense may have been damaged on its way, so it, too, is
asked for again; the third time it stands so in the terminal's memory, lies in quarantine, and is let go, because it
would block everything behind it for ever.

Full has these answers. No place for a connection: closed, the terminal comes again. Too many bytes of bodies in hand, a
body over the codec's limit or not here in time: 503, 413 or 408, the terminal keeps what it has. A body that is not
ours to know (a picture, a template) is read and dropped, and no byte of it is kept.

A serial number that no setting names is answered with 403: it keeps its records until it is entered. What it said lies
in quarantine, and its name is logged once.
"""

import asyncio
import hashlib
import logging
import ssl
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from aiohttp import ClientError, web

from edge_agent.channels.base import BoundDevice, Channel, ChannelHealth, ChannelParts
from edge_agent.channels.bugs import Bugs
from edge_agent.channels.holes import Holes, Report
from edge_agent.channels.http_door import HEAD_WITHIN_S, HttpDoor
from edge_agent.channels.http_orders import PolledOrders
from edge_agent.channels.reception import Parcel, Reception
from edge_agent.codecs import Sign, codec
from edge_agent.codecs.kinds.http_push import Head, HttpAnswer, HttpPushCodec, Pushed, Row, Visit
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.intake import IntakeClosedError
from edge_agent.message import Discard, Message
from edge_agent.orders import UNREACHABLE, Order, Performed
from edge_agent.outbox import Fate
from edge_agent.settings import ChannelSettings
from edge_agent.transports.http_push import HttpPushTransport
from wire.clock import Stamp
from wire.records import Event

log = logging.getLogger(__name__)

BODY_WITHIN_S: Final = 30.0
BODIES_BYTES_MAX: Final = 32 * 1024 * 1024
DROPPED_BYTES_MAX: Final = 16 * 1024 * 1024
# Rows of one request that wait for a commit together; intake's own group is as large.
TOGETHER: Final = 64
ODD_ROWS_MAX: Final = 1024
ODD_TIMES: Final = 3
TICK_S: Final = 1.0

_BAD: Final = HttpAnswer(400, "BAD REQUEST\n")
_BUSY: Final = HttpAnswer(503, "TRY AGAIN\n")
_UNKNOWN: Final = HttpAnswer(403, "UNKNOWN DEVICE\n")
_NOT_FOUND: Final = HttpAnswer(404, "NOT FOUND\n")


class _BodyRefused(Exception):
    """The body is not taken; answer says so."""

    def __init__(self, answer: HttpAnswer) -> None:
        super().__init__(answer.status)
        self.answer = answer


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPushSettings:
    """What the channel itself must know. port: 0 takes any. tls_certificate: speaks HTTPS; its key is in tls_key, or in
    the same file.
    """

    name: str
    host: str
    port: int
    connections_max: int
    tls_certificate: Path | None = None
    tls_key: Path | None = None
    head_within_s: float = HEAD_WITHIN_S
    body_within_s: float = BODY_WITHIN_S


class HttpPushChannel:
    """Implements edge_agent.channels.Channel."""

    def __init__(
        self, settings: HttpPushSettings, codec: HttpPushCodec, devices: Sequence[BoundDevice], parts: ChannelParts
    ) -> None:
        self.name = settings.name
        self.port = 0
        self._settings = settings
        self._codec = codec
        self._parts = parts
        self._bugs = Bugs(settings.name, parts.counters)
        self._reception = Reception(settings.name, devices, parts, self._bugs, codec.harmless_keys)
        self._devices = {device.address: device for device in devices}
        self._orders = PolledOrders(parts.clock.mono_ns)
        self._holes: dict[str, dict[str, Holes]] = {device.address: {} for device in devices}
        self._unsaid: dict[str, list[tuple[str, Report]]] = {}
        self._pulls = 0
        self._odd: OrderedDict[bytes, int] = OrderedDict()
        self._open = False
        self._waiting = 0
        self._bytes = 0

    async def run(self, up: Callable[[], None]) -> None:
        """Listen until cancelled. Raises OSError when the port cannot be had or the certificate cannot be used."""
        await self._report_silence()
        settings = self._settings
        door = HttpDoor(self._handle, connections_max=settings.connections_max, head_within_s=settings.head_within_s)
        tls = _tls(settings.tls_certificate, settings.tls_key)
        listening = await door.open(settings.host, settings.port, tls)
        self.port = listening.port
        self._open = True
        try:
            up()
            turned_away, crowded = 0, False
            while True:
                await asyncio.sleep(TICK_S)
                await self._report_silence()
                if crowded != (door.turned_away > turned_away):
                    crowded = not crowded
                    tell = log.warning if crowded else log.info
                    what = "no place for more connections" if crowded else "there are places for connections again"
                    tell(what, extra={"channel": self.name, "turned_away": door.turned_away})
                turned_away = door.turned_away
        finally:
            self._open = False
            await listening.close()

    async def perform(self, order: Order) -> Performed:
        """See Channel."""
        orders, command_id = self._codec.orders, order.request_id[:16]
        line = None if orders is None else orders.request(command_id, order)
        if line is None:
            return Performed("rejected", "not_supported")
        if not self._open or not self._reception.knows(order.address):
            return UNREACHABLE
        return await self._orders.perform(order, command_id, line)

    def health(self) -> ChannelHealth:
        """See Channel."""
        return self._reception.health(connected=self._open, waiting=self._waiting)

    # --- one request ----------------------------------------------------------------------------------

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        try:
            answer = await self._answer(request)
        except _BodyRefused as refused:
            answer = refused.answer
        except (IntakeClosedError, ConnectionError, ClientError):
            # Nothing was promised; whether the terminal is still there to hear it is its own affair.
            answer = _BUSY
        except web.RequestPayloadError:
            # Not by the rules of HTTP: damaged on its way, or by somebody who is no terminal.
            answer = _BAD
        except Exception as error:  # noqa: BLE001  one request must not stop its neighbours
            self._bugs.tell(error)
            answer = _BUSY
        response = web.Response(status=answer.status, text=answer.body, content_type="text/plain", charset="ascii")
        if answer.status != 200:
            # Of a body that was not read to its end nothing may be taken for the next request.
            response.force_close()
        return response

    async def _answer(self, request: web.BaseRequest) -> HttpAnswer:
        head = Head(request.method, request.path, request.rel_url.raw_query_string)
        body = await self._body(request, keep=self._codec.keeps_body(head))
        try:
            received = self._parts.clock.stamp()
            pushed = self._codec.decode(head, body)
            if pushed is None:
                return _NOT_FOUND
            self._parts.counters["messages_total"] += 1
            if not self._reception.knows(pushed.address):
                await self._stranger(pushed, body, received)
                return _UNKNOWN
            taken = await self._settle_all(pushed, received)
            return self._codec.answer(pushed, self._visit(pushed, taken=taken))
        finally:
            self._bytes -= len(body)

    async def _body(self, request: web.BaseRequest, *, keep: bool) -> bytes:
        """The body, counted among the bytes in hand; empty when it is not to be kept. Raises _BodyRefused."""
        parts: list[bytes] = []
        try:
            async with asyncio.timeout(self._settings.body_within_s):
                await self._read(request, parts if keep else None)
        except BaseException as error:
            self._bytes -= sum(map(len, parts))
            if isinstance(error, TimeoutError):
                raise _BodyRefused(HttpAnswer(408, "TOO SLOW\n")) from None
            raise
        return b"".join(parts)

    async def _read(self, request: web.BaseRequest, parts: list[bytes] | None) -> None:
        """Into parts; without them every byte is dropped as it comes."""
        limit = DROPPED_BYTES_MAX if parts is None else self._codec.body_bytes_max
        seen = 0
        async for chunk in request.content.iter_any():
            seen += len(chunk)
            if seen > limit:
                raise _BodyRefused(HttpAnswer(413, "TOO LARGE\n"))
            if parts is None:
                continue
            if self._bytes + len(chunk) > BODIES_BYTES_MAX:
                raise _BodyRefused(_BUSY)
            self._bytes += len(chunk)
            parts.append(chunk)

    async def _stranger(self, pushed: Pushed, body: bytes, received: Stamp) -> None:
        """One entry for the whole request: how many rows an unknown device has is not ours to count."""
        content = pushed.rows[0].content
        if isinstance(content, Discard):
            content = Message(kind="")
        parcel = self._reception.take(pushed.address, content, body, sign=Sign.ALIVE, is_record=False)
        if body:
            await self._reception.settle(parcel, received)

    async def _settle_all(self, pushed: Pushed, received: Stamp) -> bool:
        """Whether every row is on disk."""
        taken = True
        for begin in range(0, len(pushed.rows), TOGETHER):
            rows = pushed.rows[begin : begin + TOGETHER]
            parcels = [self._take(pushed.address, row) for row in rows]
            self._waiting += len(rows)
            try:
                async with asyncio.TaskGroup() as group:
                    tasks = [
                        group.create_task(self._settle(pushed.address, row, parcel, received))
                        for row, parcel in zip(rows, parcels, strict=True)
                    ]
            except ExceptionGroup as failed:
                raise _first(failed) from None
            finally:
                self._waiting -= len(rows)
            for row, task in zip(rows, tasks, strict=True):
                if task.result():
                    self._noted(pushed.address, row)
                else:
                    taken = False
        for series, highest in pushed.announced.items():
            self._said(pushed.address, series, self._series(pushed.address, series).announced(highest))
        await self._say_holes(pushed.address)
        return taken

    def _take(self, address: str, row: Row) -> Parcel:
        kind = row.content.kind if isinstance(row.content, Message) else ""
        return self._reception.take(
            address,
            row.content,
            row.raw,
            sign=self._codec.signs.get(kind, Sign.ALIVE),
            is_record=kind in self._codec.records,
        )

    async def _settle(self, address: str, row: Row, parcel: Parcel, received: Stamp) -> bool:
        told = await self._reception.settle(parcel, received)
        return self._let_go(address, row, parcel) if isinstance(row.content, Discard) else told

    def _let_go(self, address: str, row: Row, parcel: Parcel) -> bool:
        """Whether a row that makes no sense has come often enough and is in quarantine."""
        digest = hashlib.sha256(address.encode() + b"\0" + row.raw).digest()
        times = self._odd.pop(digest, 0) + 1
        if times >= ODD_TIMES and parcel.keep is not None:
            return True
        self._odd[digest] = times
        while len(self._odd) > ODD_ROWS_MAX:
            self._odd.popitem(last=False)
        return False

    def _visit(self, pushed: Pushed, *, taken: bool) -> Visit:
        address = pushed.address
        holes = self._holes[address]
        return Visit(
            taken=taken,
            wall_ns=self._parts.clock.stamp().wall_ns,
            zone=self._devices[address].info.zone,
            commands=(*self._orders.hand_out(address), *self._pull(address)) if pushed.polls and taken else (),
            standing={name: one.standing for name, one in holes.items() if one.standing is not None},
        )

    # --- what follows from a row ----------------------------------------------------------------------

    def _noted(self, address: str, row: Row) -> None:
        message = row.content
        if not isinstance(message, Message):
            return
        if self._codec.orders is not None and (told := self._codec.orders.answer(message)) is not None:
            self._orders.told(address, told)
        numbering = self._codec.numbering
        if numbering is not None and (numbered := numbering.number(message)) is not None:
            series, number = numbered
            self._said(address, series, self._series(address, series).seen(number))

    def _series(self, address: str, series: str) -> Holes:
        # A closed list of the codec's, so that a device cannot make this grow.
        return self._holes[address].setdefault(series, Holes())

    def _pull(self, address: str) -> tuple[str, ...]:
        """Lines that ask the device for what is missing."""
        numbering = self._codec.numbering
        if numbering is None:
            return ()
        now_ns = self._parts.clock.mono_ns()
        lines = []
        for series, holes in self._holes[address].items():
            for first, last in holes.ask(now_ns):
                self._pulls += 1
                lines.append(numbering.again(f"pull{self._pulls}", series, first, last))
        return tuple(lines)

    def _said(self, address: str, series: str, reports: Sequence[Report]) -> None:
        if reports:
            self._unsaid.setdefault(address, []).extend((series, report) for report in reports)

    async def _say_holes(self, address: str) -> None:
        """Report holes; what is refused is reported with the next request."""
        unsaid = self._unsaid.pop(address, None)
        if not unsaid:
            return
        device = self._devices[address].info.id
        results = await self._parts.intake.accept([_hole_draft(device, series, report) for series, report in unsaid])
        refused = [one for one, result in zip(unsaid, results, strict=True) if result.fate is Fate.REFUSED]
        if refused:
            self._unsaid.setdefault(address, []).extend(refused)

    async def _report_silence(self) -> None:
        for parcel in self._reception.silent():
            await self._reception.settle(parcel)


def make(settings: ChannelSettings, devices: Sequence[BoundDevice], parts: ChannelParts, password: str) -> Channel:
    """The channel of one entry of the settings. Raises LookupError when its protocol does not push over HTTP."""
    del password
    spec = codec(settings.protocol, HttpPushCodec)
    transport = settings.transport
    if not isinstance(transport, HttpPushTransport):
        raise TypeError(transport.kind)
    return HttpPushChannel(
        HttpPushSettings(
            name=settings.name,
            host=transport.host,
            port=transport.port,
            connections_max=transport.connections_max,
            tls_certificate=transport.tls_certificate,
            tls_key=transport.tls_key,
        ),
        spec,
        devices,
        parts,
    )


def _tls(certificate: Path | None, key: Path | None) -> ssl.SSLContext | None:
    if certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def _hole_draft(device: str, series: str, report: Report) -> Draft:
    return Draft(
        Event(
            id=NO_ID,
            stamp=NO_STAMP,
            device=device,
            topic="Device/State/Notice",
            values={
                "notice": "record_hole",
                "state": report.state,
                "series": series,
                "from_no": report.first,
                "to_no": report.last,
            },
        )
    )


def _first(failed: ExceptionGroup[Exception]) -> Exception:
    error: Exception = failed
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
