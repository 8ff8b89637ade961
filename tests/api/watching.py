"""A reader of `/api/v1/stream`, straight on the application: httpx would wait for an end that never comes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from fastapi import FastAPI

WITHIN_S = 20


@dataclass
class Message:
    """One server-sent event. name: empty for an ordinary one. comment: what stood after a colon."""

    id: str = ""
    name: str = ""
    data: Any = None
    comment: str = ""

    @property
    def positions(self) -> list[int]:
        return [item["position"] for item in self.data["items"]]


@dataclass
class Watching:
    """status and headers of the answer; `next` and `until` read what comes."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    _chunks: asyncio.Queue[bytes | None] = field(default_factory=asyncio.Queue)
    _rest: bytes = b""

    async def next(self) -> Message | None:
        """The next event; None at the end of the stream."""
        async with asyncio.timeout(WITHIN_S):
            while b"\n\n" not in self._rest:
                chunk = await self._chunks.get()
                if chunk is None:
                    assert not self._rest, "the stream ended within a frame"
                    return None
                self._rest += chunk
        text, _, self._rest = self._rest.partition(b"\n\n")
        message = Message()
        for line in text.decode().splitlines():
            name, _, value = line.partition(": ")
            match name:
                case "id":
                    message.id = value
                case "event":
                    message.name = value
                case "data":
                    message.data = json.loads(value)
                case "":
                    message.comment = value
        return message

    async def until(self, position: int) -> list[Message]:
        """All events up to the one that reaches a position."""
        messages: list[Message] = []
        while not messages or not messages[-1].id or int(messages[-1].id) < position:
            message = await self.next()
            assert message is not None, "the stream ended"
            messages.append(message)
        return messages

    async def positions(self, until: int) -> list[int]:
        """The positions of all items up to a position."""
        return [position for message in await self.until(until) if message.id for position in message.positions]

    async def to_end(self) -> list[Message]:
        """What still comes before the stream ends."""
        messages: list[Message] = []
        while (message := await self.next()) is not None:
            messages.append(message)
        return messages


@asynccontextmanager
async def watching(
    app: FastAPI, token: str = "", query: str = "", *, path: str = "/api/v1/stream", **headers: str
) -> AsyncIterator[Watching]:
    """Open a stream; leaving hangs up."""
    watch, begun, gone = Watching(), asyncio.Event(), asyncio.Event()
    asked = False
    said = {"Host": "campus.test"} | ({"Authorization": f"Bearer {token}"} if token else {}) | headers
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in said.items()],
        "client": ("127.0.0.1", 50000),
        "server": ("campus.test", 80),
    }

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            watch.status = message["status"]
            watch.headers = {name.decode(): value.decode() for name, value in message["headers"]}
            begun.set()
        elif message.get("body"):
            watch._chunks.put_nowait(message["body"])

    async def serve() -> None:
        try:
            await app(scope, receive, send)
        finally:
            watch._chunks.put_nowait(None)
            begun.set()

    serving = asyncio.create_task(serve())
    try:
        async with asyncio.timeout(WITHIN_S):
            await begun.wait()
        yield watch
    finally:
        gone.set()
        async with asyncio.timeout(WITHIN_S):
            await serving
