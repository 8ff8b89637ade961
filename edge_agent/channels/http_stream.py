"""The HTTP stream channel: one device that answers one request for ever, any protocol that has a `StreamCodec`.

    GET, sign in -> read -> parts, decode, states that changed, translate (pure) -> settle: one commit -> read

What one read brought is on disk before the next read, so nothing waits here: while the disk is slow TCP holds the
device back. A device says a state again as long as it lasts; `transitions` lets through only that it begins or ends,
and what the outbox did not take is forgotten there and so reported when it is said again.

A stream that stands still looks like one on which nothing happens. These devices show by a keep-alive that they are
there, so one that was silent for its profile's time is DOWN, and its connection, dead or not, is closed with
a TimeoutError: the supervisor makes another. A device that cannot be reached is told as silent at the latest with the
next attempt, a minute later.
"""

import asyncio
import logging
import os
import ssl
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from aiohttp import ClientError, ClientResponse, ClientSession, ClientTimeout, DummyCookieJar, TCPConnector
from yarl import URL

from edge_agent.channels.base import BoundDevice, Channel, ChannelHealth, ChannelParts
from edge_agent.channels.bugs import Bugs
from edge_agent.channels.http_sign_in import Asked, Credentials, sign_in
from edge_agent.channels.reception import Parcel, Reception
from edge_agent.channels.transitions import Transitions
from edge_agent.codecs import Sign, codec
from edge_agent.codecs.kinds.stream import StreamCodec
from edge_agent.codecs.multipart import Multipart, Part, boundary_of
from edge_agent.message import Discard, Message
from edge_agent.orders import Order, Performed
from edge_agent.settings import ChannelSettings
from edge_agent.supervise import RefusedError
from edge_agent.transports.http_stream import HttpStreamTransport
from wire.clock import NS_PER_S, Stamp

log = logging.getLogger(__name__)

ANSWER_WITHIN_S: Final = 15.0
READ_BYTES: Final = 64 * 1024
TICK_S: Final = 1.0


class Stream(Protocol):
    """An answer that never ends."""

    content_type: str

    async def read(self) -> bytes:
        """The next bytes; empty at the end. Raises OSError."""

    async def close(self) -> None:
        """Hang up."""


OpenStream = Callable[[], Awaitable[Stream]]


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamAddress:
    """What to ask for, and as whom. tls_ca: speak HTTPS, and trust this authority and a certificate for this host."""

    host: str
    port: int
    path: str
    credentials: Credentials
    tls_ca: Path | None = None


class StreamChannel:
    """Implements edge_agent.channels.Channel."""

    def __init__(
        self,
        name: str,
        codec: StreamCodec,
        device: BoundDevice,
        parts: ChannelParts,
        open_stream: OpenStream,
        *,
        tick_s: float = TICK_S,
    ) -> None:
        """tick_s: how often the device's silence is looked at."""
        self.name = name
        self._codec = codec
        self._device = device
        self._parts = parts
        self._open_stream = open_stream
        self._tick_s = tick_s
        self._bugs = Bugs(name, parts.counters)
        self._reception = Reception(name, [device], parts, self._bugs, codec.harmless_keys)
        self._transitions = Transitions()
        self._connected = False
        self._waiting = 0
        self._heard_ns = 0

    async def run(self, up: Callable[[], None]) -> None:
        """One request, until its answer ends. Raises OSError, RefusedError when the device does not let us in."""
        await self._report_time()
        stream = await self._open_stream()
        try:
            boundary = boundary_of(stream.content_type)
            if boundary is None:
                raise ConnectionError("the device answers with something else than an event stream")
            self._connected = True
            self._heard_ns = self._parts.clock.mono_ns()
            await self._converse(stream, Multipart(boundary, self._codec.media_types, self._codec.part_bytes_max), up)
        finally:
            self._connected = False
            await stream.close()

    async def perform(self, order: Order) -> Performed:
        """See Channel: a stream goes one way."""
        del order
        return Performed("rejected", "not_supported")

    def health(self) -> ChannelHealth:
        """See Channel."""
        return self._reception.health(connected=self._connected, waiting=self._waiting)

    # --- in -------------------------------------------------------------------------------------------

    async def _converse(self, stream: Stream, reader: Multipart, up: Callable[[], None]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch())
                while data := await stream.read():
                    if await self._take_all(reader.feed(data)):
                        up()
                watch.cancel()
        except ExceptionGroup as ended:
            raise _first(ended) from None
        raise ConnectionError("the device ended the stream")

    async def _take_all(self, parts: Sequence[Part]) -> bool:
        """Commit what parts say. Whether the device said anything that made sense."""
        received = self._parts.clock.stamp()
        decoded = [(part, self._decode(part)) for part in parts]
        reports = [report for part, content in decoded for report in self._take(part, content)]
        self._waiting = len(reports)
        try:
            async with asyncio.TaskGroup() as group:
                for key, parcel in reports:
                    group.create_task(self._settle(key, parcel, received))
        finally:
            self._waiting = 0
        sense = any(isinstance(content, Message) for _, content in decoded)
        if sense:
            # After the commit: the time that the disk took is no silence of the device.
            self._heard_ns = self._parts.clock.mono_ns()
        return sense

    def _decode(self, part: Part) -> Message | Discard:
        if part.too_large:
            return Discard("too_large")
        try:
            return self._codec.decode(part.media_type, part.body)
        except Exception as error:  # noqa: BLE001  a codec that breaks its promise must not end the stream
            self._bugs.tell(error)
            return Discard("codec_error")

    def _take(self, part: Part, content: Message | Discard) -> list[tuple[str, Parcel]]:
        """What is to be settled, each with the key of its state."""
        self._parts.counters["messages_total"] += 1
        key, report = "", content
        kind = content.kind if isinstance(content, Message) else ""
        is_record = kind in self._codec.records
        if isinstance(content, Message) and is_record and (standing := self._codec.standing(content)) is not None:
            key = standing.key
            changed = self._transitions.heard(content, standing, self._parts.clock.mono_ns())
            is_record = changed is not None
            report = changed or content
        sign = self._codec.signs.get(kind, Sign.ALIVE)
        return [(key, self._reception.take(self._device.address, report, part.body, sign=sign, is_record=is_record))]

    async def _settle(self, key: str, parcel: Parcel, received: Stamp | None) -> None:
        kept = await self._reception.settle(parcel, received)
        if not kept and key:
            self._transitions.forget(key)

    # --- time -----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await self._report_time()
            limit_s = self._parts.tuning(self._device.info.id).silent_after_s
            if limit_s is None:
                liveness = self._device.profile.liveness
                limit_s = liveness.interval_s * liveness.missed
            if not self._waiting and self._parts.clock.mono_ns() - self._heard_ns >= limit_s * NS_PER_S:
                raise TimeoutError(f"silent for {limit_s} s")
            await asyncio.sleep(self._tick_s)

    async def _report_time(self) -> None:
        """What time alone has made: silence, and states that are said no more."""
        for parcel in self._reception.silent():
            await self._reception.settle(parcel)
        for key, message in self._transitions.over(self._parts.clock.mono_ns()):
            parcel = self._reception.take(self._device.address, message, b"", sign=None, is_record=True)
            await self._settle(key, parcel, None)


# --- the request --------------------------------------------------------------------------------------


class _HttpStream:
    """Implements Stream."""

    def __init__(self, session: ClientSession, response: ClientResponse) -> None:
        self.content_type = response.headers.get("Content-Type", "")
        self._session = session
        self._response = response

    async def read(self) -> bytes:
        """See Stream."""
        try:
            return await self._response.content.readany()
        except ClientError as error:
            raise _lost(error) from None

    async def close(self) -> None:
        """See Stream."""
        self._response.close()
        await self._session.close()


def dialler(address: StreamAddress, chance: Callable[[int], bytes]) -> OpenStream:
    """How the channel gets a stream. chance: like os.urandom."""

    async def open_stream() -> Stream:
        try:
            url = URL.build(
                scheme="http" if address.tls_ca is None else "https",
                host=address.host,
                port=address.port,
                path=address.path,
            )
        except ValueError:
            raise ConnectionError("the host's name makes no address") from None
        session = ClientSession(
            connector=TCPConnector(limit=1, force_close=True, ssl=_tls(address.tls_ca)),
            timeout=ClientTimeout(total=None, sock_connect=ANSWER_WITHIN_S),
            cookie_jar=DummyCookieJar(),
            read_bufsize=READ_BYTES,
        )
        response: ClientResponse | None = None
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                response = await _ask(session, url, address.credentials, chance)
        except TimeoutError:
            raise TimeoutError("no answer from the device") from None
        except ClientError as error:
            raise _lost(error) from None
        finally:
            if response is None:
                await session.close()
        return _HttpStream(session, response)

    return open_stream


async def _ask(
    session: ClientSession, url: URL, credentials: Credentials, chance: Callable[[int], bytes]
) -> ClientResponse:
    """The answer that is the stream. Raises RefusedError, ConnectionError, ClientError."""
    response = await session.get(url, allow_redirects=False)
    if response.status == 401:
        challenges = response.headers.getall("WWW-Authenticate", [])
        response.close()
        if not credentials.username:
            raise RefusedError("the device wants a user name and password")
        answer = sign_in(challenges, credentials, Asked("GET", url.raw_path_qs, chance(8).hex()))
        if answer is None:
            raise RefusedError("the device offers no way to sign in that we know")
        if answer.in_clear and url.scheme == "http":
            log.warning("the device takes the password in clear only", extra={"host": url.host})
        response = await session.get(url, headers={"Authorization": answer.header}, allow_redirects=False)
    if response.status == 200:
        return response
    response.close()
    if response.status in {401, 403}:
        raise RefusedError(f"the device refuses our user name, its password or its rights (HTTP {response.status})")
    raise ConnectionError(f"the device answers HTTP {response.status}")


def _tls(authority: Path | None) -> ssl.SSLContext | bool:
    return True if authority is None else ssl.create_default_context(cafile=authority)


def _lost(error: ClientError) -> ConnectionError:
    return ConnectionError(f"{type(error).__name__}: {error}"[:200])


def make(settings: ChannelSettings, devices: Sequence[BoundDevice], parts: ChannelParts, password: str) -> Channel:
    """The channel of one entry of the settings. Raises LookupError when its protocol is no stream."""
    spec = codec(settings.protocol, StreamCodec)
    transport = settings.transport
    if not isinstance(transport, HttpStreamTransport):
        raise TypeError(transport.kind)
    # The address model lets only one in.
    (device,) = devices
    address = StreamAddress(
        host=transport.host,
        port=transport.port,
        path=spec.path,
        credentials=Credentials(transport.username, password),
        tls_ca=transport.tls_ca,
    )
    return StreamChannel(settings.name, spec, device, parts, dialler(address, os.urandom))


def _first(ended: ExceptionGroup[Exception]) -> Exception:
    error: Exception = ended
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
