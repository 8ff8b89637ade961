"""The simulated terminals' own HTTP client: whatever comes back, the machine hears an answer or that there was none."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from simulators.device import Moment
from simulators.http_device import Ask, HttpDeviceRunner, Reply
from wire.system_clock import SystemClock

HOST = "127.0.0.1"
BOUND_S = 10.0


class Once:
    """A machine that asks one thing and remembers what became of it."""

    def __init__(self, *asks: Ask) -> None:
        self.asks = list(asks)
        self.heard: list[Reply | None] = []
        self.done = asyncio.Event()

    def next_request(self, _now: Moment) -> Ask | None:
        return self.asks.pop(0) if self.asks else None

    def answered(self, _ask: Ask, reply: Reply, _now: Moment) -> None:
        self._hear(reply)

    def failed(self, _ask: Ask, _now: Moment) -> None:
        self._hear(None)

    def wake_at(self) -> float | None:
        return None

    def _hear(self, reply: Reply | None) -> None:
        self.heard.append(reply)
        if not self.asks:
            self.done.set()


class Server:
    """Answers every request with the same bytes."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer
        self.requests: list[bytes] = []
        self.connections = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.split(b"Content-Length: ")[1].split(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                writer.write(self.answer)
                if b"200" not in self.answer:
                    return
        except asyncio.IncompleteReadError:
            return
        finally:
            writer.close()


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[tuple[Server, int]]:
    server = Server(answer)
    listening = await asyncio.start_server(server.serve, HOST, 0)
    try:
        yield server, listening.sockets[0].getsockname()[1]
    finally:
        listening.close()
        await listening.wait_closed()


async def carried(port: int, *asks: Ask) -> list[Reply | None]:
    machine = Once(*asks)
    running = asyncio.create_task(HttpDeviceRunner(machine, HOST, port, SystemClock(assume_synced=True)).run())
    try:
        await asyncio.wait_for(machine.done.wait(), BOUND_S)
    finally:
        running.cancel()
        await asyncio.wait([running])
    return machine.heard


async def test_requests_go_over_one_connection_as_http() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nOK\n") as (server, port):
        assert await carried(port, Ask("POST", "/a?b=c", "rows", b"body"), Ask("GET", "/d", "poll")) == [
            Reply(200, b"OK\n"),
            Reply(200, b"OK\n"),
        ]
        assert server.connections == 1
        assert server.requests[0].startswith(b"POST /a?b=c HTTP/1.1\r\nHost: 127.0.0.1:")
        assert server.requests[0].endswith(b"\r\n\r\nbody")


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n\r\n",
        b"HTTP/1.1 many OK\r\n\r\n",
        b"HTTP/1.1 503 X\r\nContent-Length: 99\r\n\r\nshort",
        b"HTTP/1.1 503 X\r\nContent-Length: 99999999\r\n\r\n",
        b"HTTP/1.1 503 X\r\n" + b"x" * 100_000,
    ],
)
async def test_an_answer_that_is_none_is_told_as_none(answer: bytes) -> None:
    async with answering(answer) as (_, port):
        assert await carried(port, Ask("GET", "/", "poll")) == [None]


async def test_a_line_that_dies_within_a_request_is_told_and_taken_up_anew() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nOK") as (server, port):
        heard = await carried(port, Ask("POST", "/", "rows", b"x" * 100, cut=30), Ask("GET", "/", "poll"))
        assert heard == [None, Reply(200, b"OK")]
        assert len(server.requests) == 1


async def test_nobody_there_is_told() -> None:
    async with answering(b"") as (_, port):
        pass
    assert await carried(port, Ask("GET", "/", "poll")) == [None]
