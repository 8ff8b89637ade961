"""The demo's HTTP client against a server that answers byte by byte as told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from simulators.campus.http import ApiClient, ApiError, ApiUnreachableError, ServerSentEvent

Serve = Callable[[bytes], Awaitable[ApiClient]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Serves one prepared answer in dribbles of 7 bytes; `requests` collects what was asked."""
    servers: list[asyncio.Server] = []
    writers: list[asyncio.StreamWriter] = []

    async def start(answer: bytes) -> ApiClient:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writers.append(writer)
            client.asked = await reader.readuntil(b"\r\n\r\n")
            for at in range(0, len(answer), 7):
                writer.write(answer[at : at + 7])
                await writer.drain()
            writer.close()

        server = await asyncio.start_server(handle, "127.0.0.1", 0)
        servers.append(server)
        client = ApiClient(server.sockets[0].getsockname()[1], token="t0")
        return client

    yield start
    for server in servers:
        server.close()
        await server.wait_closed()
    for writer in writers:
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def answer(body: bytes, *, status: str = "200 OK", kind: str = "application/json") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def chunked(*parts: bytes) -> bytes:
    body = b"".join(f"{len(part):x}\r\n".encode() + part + b"\r\n" for part in parts)
    return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + body + b"0\r\n\r\n"


async def test_json_with_a_length_and_in_chunks(serve: Serve) -> None:
    assert await (await serve(answer(b'{"items": [1]}'))).get("/api/v1/events") == {"items": [1]}
    assert await (await serve(chunked(b'{"items', b'": [1]}'))).get("/api/v1/events") == {"items": [1]}


async def test_the_token_and_the_query_are_sent(serve: Serve) -> None:
    client = await serve(answer(b"{}"))
    await client.get("/api/v1/events", after="a b", limit=5)
    asked = client.asked.decode()
    assert asked.startswith("GET /api/v1/events?after=a+b&limit=5 HTTP/1.1\r\n")
    assert "Authorization: Bearer t0\r\n" in asked


async def test_a_problem_document_becomes_an_error_with_its_code(serve: Serve) -> None:
    client = await serve(answer(b'{"code": "not_allowed"}', status="403 Forbidden"))
    with pytest.raises(ApiError, match="HTTP 403: not_allowed"):
        await client.get("/api/v1/events")
    client = await serve(answer(b"<html>", status="502 Bad Gateway"))
    with pytest.raises(ApiError, match="HTTP 502: unknown"):
        await client.get("/api/v1/events")


@pytest.mark.parametrize(
    "broken", [b"", b"SSH-2.0-x\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", answer(b"{")]
)
async def test_nonsense_and_half_answers_are_unreachable(serve: Serve, broken: bytes) -> None:
    client = await serve(broken)
    with pytest.raises(ApiUnreachableError):
        await client.get("/")


async def test_nobody_there_is_unreachable() -> None:
    with pytest.raises(ApiUnreachableError):
        await ApiClient(1).get("/")


STREAM = (
    b': hello\n\nid: 7\nevent: events\ndata: {"a":1}\n\n',
    b"id: 9\ndata: one\r\ndata: two\r\n\r\n: ping\n\nretry: 5\n\n",
    b"data: last\n\ndata: unfinished",
)


async def test_a_stream_gives_whole_events_with_their_ids(serve: Serve) -> None:
    client = await serve(chunked(*STREAM))
    events = [event async for event in client.stream("/api/v1/stream", "5")]
    assert events == [
        ServerSentEvent("7", "events", '{"a":1}'),
        ServerSentEvent("9", "message", "one\ntwo"),
        ServerSentEvent("9", "message", "last"),
    ]
    assert b"Last-Event-ID: 5\r\n" in client.asked


async def test_a_refused_stream_is_an_error(serve: Serve) -> None:
    client = await serve(answer(b'{"code": "signed_out"}', status="401 Unauthorized"))
    with pytest.raises(ApiError, match="signed_out"):
        await anext(client.stream("/api/v1/stream"))
