"""A small HTTP/1.1 client for the aggregator's API: JSON and server-sent events over asyncio streams.

Every wait has a time-out and every size a limit. One connection per request; the stream keeps its own.
"""

import asyncio
import contextlib
import json
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

REQUEST_TIMEOUT_S: Final = 15.0
# The server sends a comment at least this often; longer silence is a dead connection.
STREAM_SILENCE_S: Final = 60.0
BODY_BYTES_MAX: Final = 64 * 1024 * 1024
_LINE_BYTES_MAX: Final = 8 * 1024 * 1024
_BROKEN: Final = (OSError, EOFError, ValueError, TimeoutError, asyncio.LimitOverrunError)


class ApiError(Exception):
    """The API answered with an error. code: of its problem document."""

    def __init__(self, status: int, code: str) -> None:
        super().__init__(f"HTTP {status}: {code}")
        self.status = status
        self.code = code


class ApiUnreachableError(OSError):
    """Nobody answers, or not in HTTP."""


@dataclass(frozen=True, slots=True)
class ServerSentEvent:
    """One event of a stream. id: as last given, empty if none was."""

    id: str
    event: str
    data: str


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    headers: Mapping[str, str]


class ApiClient:
    """Speaks to one aggregator with one token."""

    def __init__(self, port: int, *, token: str = "", host: str = "127.0.0.1") -> None:
        self.host = host
        self.port = port
        self.token = token

    async def get(self, path: str, **query: str | int) -> Any:  # noqa: ANN401  JSON
        """The JSON of a resource. Raises ApiError, ApiUnreachableError."""
        return await self._call("GET", path + ("?" + urlencode(query) if query else ""))

    async def post(self, path: str, body: Mapping[str, object], headers: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401  JSON
        """The JSON answer. Raises ApiError, ApiUnreachableError."""
        return await self._call("POST", path, json.dumps(body).encode(), headers)

    async def put(self, path: str, body: Mapping[str, object]) -> Any:  # noqa: ANN401  JSON
        """The JSON answer. Raises ApiError, ApiUnreachableError."""
        return await self._call("PUT", path, json.dumps(body).encode())

    async def stream(self, path: str, last_id: str = "") -> AsyncGenerator[ServerSentEvent, None]:
        """Events until the connection ends. last_id: go on after it. Raises ApiError, ApiUnreachableError."""
        headers = {"Accept": "text/event-stream", **({"Last-Event-ID": last_id} if last_id else {})}
        try:
            async with self._exchange("GET", path, headers) as (head, reader):
                if head.status != 200:
                    raise await _error(head, reader)
                async for event in _events(_lines(head, reader), last_id):
                    yield event
        except _BROKEN as error:
            raise ApiUnreachableError(f"{self.host}:{self.port}: {error or type(error).__name__}") from error

    async def _call(self, method: str, path: str, body: bytes = b"", more: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401  JSON
        headers = {"Accept": "application/json", **(more or {})}
        if body:
            headers |= {"Content-Type": "application/json", "Content-Length": str(len(body))}
        try:
            async with (
                asyncio.timeout(REQUEST_TIMEOUT_S),
                self._exchange(method, path, headers, body) as (head, reader),
            ):
                if head.status >= 400:
                    raise await _error(head, reader)
                text = await _body(head, reader)
                return json.loads(text) if text else None
        except _BROKEN as error:
            raise ApiUnreachableError(f"{self.host}:{self.port}: {error or type(error).__name__}") from error

    @contextlib.asynccontextmanager
    async def _exchange(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes = b""
    ) -> AsyncIterator[tuple[_Head, asyncio.StreamReader]]:
        reader, writer = await asyncio.wait_for(
            asyncio.open_connection(self.host, self.port, limit=_LINE_BYTES_MAX), REQUEST_TIMEOUT_S
        )
        try:
            lines = [f"{method} {path} HTTP/1.1", f"Host: {self.host}:{self.port}", "Connection: close"]
            lines += [f"{name}: {value}" for name, value in headers.items()]
            if self.token:
                lines.append(f"Authorization: Bearer {self.token}")
            writer.write("\r\n".join([*lines, "", ""]).encode() + body)
            await writer.drain()
            yield await asyncio.wait_for(_head(reader), REQUEST_TIMEOUT_S), reader
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()


async def _head(reader: asyncio.StreamReader) -> _Head:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    _, status, *_ = first.split(" ", 2)
    pairs = (line.partition(":") for line in lines if line)
    return _Head(int(status), {name.strip().lower(): value.strip() for name, _, value in pairs})


async def _chunks(head: _Head, reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    if head.headers.get("transfer-encoding", "").lower() != "chunked":
        while part := await asyncio.wait_for(reader.read(65_536), STREAM_SILENCE_S):
            yield part
        return
    while True:
        line = await asyncio.wait_for(reader.readline(), STREAM_SILENCE_S)
        size = int(line.partition(b";")[0], 16)
        if size > BODY_BYTES_MAX:
            raise ValueError(f"chunk of {size} bytes")
        chunk = await reader.readexactly(size + 2)
        if size == 0:
            return
        yield chunk[:-2]


async def _body(head: _Head, reader: asyncio.StreamReader) -> bytes:
    if (length := head.headers.get("content-length")) is not None:
        if int(length) > BODY_BYTES_MAX:
            raise ValueError(f"body of {length} bytes")
        return await reader.readexactly(int(length))
    body = bytearray()
    async for part in _chunks(head, reader):
        body += part
        if len(body) > BODY_BYTES_MAX:
            raise ValueError("body too long")
    return bytes(body)


async def _error(head: _Head, reader: asyncio.StreamReader) -> ApiError:
    try:
        code = str(json.loads(await _body(head, reader))["code"])
    except (ValueError, KeyError, TypeError, EOFError):
        code = "unknown"
    return ApiError(head.status, code)


async def _lines(head: _Head, reader: asyncio.StreamReader) -> AsyncIterator[str]:
    rest = b""
    async for part in _chunks(head, reader):
        *whole, rest = (rest + part).split(b"\n")
        if len(rest) > _LINE_BYTES_MAX:
            raise ValueError("line too long")
        for line in whole:
            yield line.rstrip(b"\r").decode()


async def _events(lines: AsyncIterator[str], last_id: str) -> AsyncIterator[ServerSentEvent]:
    """As the HTML standard reads a stream: a blank line ends an event, one without data is no event."""
    kind = ""
    data: list[str] = []
    async for line in lines:
        if not line:
            if data:
                yield ServerSentEvent(last_id, kind or "message", "\n".join(data))
            kind, data = "", []
            continue
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match field:
            case "id":
                last_id = value
            case "event":
                kind = value
            case "data":
                data.append(value)
            case _:
                pass
