"""A simulated device that is an HTTP client: carries out what the device's state machine wants to ask, one at a time.

The machine says what it wants to ask now (`next_request`), is told the answer (`answered`) or that there was none
(`failed`), and says when it wants to be asked again (`wake_at`). Here stand the socket, the waiting, and the faults of
a line: a line that is cut in the middle of a request, an answer that is lost. The client is written here by hand, as
small as a terminal's own, so that nothing of the other side's library is on this side.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from simulators.device import Moment, Time

ANSWER_WITHIN_S: Final = 15.0
_HEAD_BYTES_MAX: Final = 16 * 1024
_BODY_BYTES_MAX: Final = 1024 * 1024
_NS_PER_S: Final = 1_000_000_000


class Ask(NamedTuple):
    """One request. target: path and query; purpose: the machine's own word for it; cut: bytes of the request after
    which the device's line goes dead.
    """

    method: str
    target: str
    purpose: str
    body: bytes = b""
    cut: int | None = None


class Reply(NamedTuple):
    """What came back."""

    status: int
    body: bytes


class HttpMachine(Protocol):
    """The device's side, without socket and clock."""

    def next_request(self, now: Moment) -> Ask | None:
        """What the device wants to ask now."""

    def answered(self, ask: Ask, reply: Reply, now: Moment) -> None:
        """The other side has answered."""

    def failed(self, ask: Ask, now: Moment) -> None:
        """There was no answer."""

    def wake_at(self) -> float | None:
        """Monotonic second at which there may be something to ask; None: not until something happens."""


@dataclass(slots=True)
class _Line:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


class HttpDeviceRunner:
    """One device on one line. Tell it when something has happened to the machine with `nudge`."""

    def __init__(self, machine: HttpMachine, host: str, port: int, time: Time) -> None:
        self.machine = machine
        self.plugged = True
        self._host = host
        self._port = port
        self._time = time
        self._nudged = asyncio.Event()
        self._line: _Line | None = None

    def now(self) -> Moment:
        """This moment."""
        return Moment(self._time.mono_ns() / _NS_PER_S, self._time.wall_ns() / _NS_PER_S)

    def nudge(self) -> None:
        """Something has happened to the machine."""
        self._nudged.set()

    def plug(self, *, plugged: bool) -> None:
        """The network cable."""
        self.plugged = plugged
        if not plugged:
            self._hang_up()
        self.nudge()

    async def run(self) -> None:
        """Ask and hear; ends only by cancellation."""
        try:
            while True:
                ask = self.machine.next_request(self.now()) if self.plugged else None
                if ask is None:
                    await self._rest()
                else:
                    await self._carry(ask)
        finally:
            self._hang_up()

    async def _rest(self) -> None:
        wake_s = self.machine.wake_at() if self.plugged else None
        wait_s = None if wake_s is None else max(0.0, wake_s - self.now().mono_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                await self._nudged.wait()
        self._nudged.clear()

    async def _carry(self, ask: Ask) -> None:
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S):
                reply = await self._exchange(ask)
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            # TimeoutError is an OSError, too.
            self._hang_up()
            self.machine.failed(ask, self.now())
        else:
            self.machine.answered(ask, reply, self.now())

    async def _exchange(self, ask: Ask) -> Reply:
        if self._line is None:
            reader, writer = await asyncio.open_connection(self._host, self._port, limit=_HEAD_BYTES_MAX)
            self._line = _Line(reader, writer)
        line = self._line
        head = f"{ask.method} {ask.target} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n"
        head += f"User-Agent: iClock Proxy/1.09\r\nContent-Type: text/plain\r\nContent-Length: {len(ask.body)}\r\n\r\n"
        request = head.encode() + ask.body
        line.writer.write(request[: ask.cut])
        await line.writer.drain()
        if ask.cut is not None:
            raise ConnectionError("the line is dead")
        return await self._read(line)

    async def _read(self, line: _Line) -> Reply:
        head = (await line.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        status = int(head[0].split()[1])
        headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in head[1:])}
        length = int(headers.get("content-length", "0"))
        if not 0 <= length <= _BODY_BYTES_MAX:
            raise ValueError("an answer of that length")
        body = await line.reader.readexactly(length)
        if headers.get("connection", "").lower() == "close":
            self._hang_up()
        return Reply(status, body)

    def _hang_up(self) -> None:
        if self._line is not None:
            self._line.writer.close()
            self._line = None
