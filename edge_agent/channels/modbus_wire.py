"""One opening of a line, below the meaning of questions and answers: pymodbus' frames, one question at a time.

pymodbus' own client does the same with objects, a lock and a task's worth of time-out for each request; a box with
hundreds of units would spend most of its time there. Two more reasons to ask by ourselves: whoever waits for an answer
is told at once when the line ends, and a task that is told to end in the moment of an answer does end
(`asyncio.wait_for` of Python 3.11 forgets it).
"""

import asyncio
import logging
from typing import Final

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerBase, FramerSocket

# Its own account of what goes wrong would be a line for each answer; ours are two for an outage.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)

_NUMBERS: Final = 0xFFFF


class Wire(asyncio.Protocol):
    """See the module."""

    def __init__(self, framer: FramerBase) -> None:
        self._framer = framer
        self._numbered = isinstance(framer, FramerSocket)
        self._asked = (0, 0)
        self._answer: asyncio.Future[bytes] | None = None
        self.made: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
        self.ended = False
        # The beginning of something whose end has not come.
        self.rest = b""

    async def ask(self, unit: int, message: bytes, within_s: float) -> bytes:
        """Send, and wait for what the unit says to it: function and data, in a frame of its own that names the unit
        and, in a stream, the question. Raises TimeoutError, ConnectionError when the line has ended.
        """
        if self.ended:
            raise ConnectionError("the line ended")
        number = self._asked[1] % _NUMBERS + 1 if self._numbered else 0
        self._asked = (unit, number)
        self.rest = b""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        self._answer = answer
        self.made.result().write(self._framer.encode(message, unit, number))
        too_late = loop.call_later(within_s, _too_late, answer)
        try:
            return await answer
        finally:
            too_late.cancel()
            self._answer = None

    def close(self) -> None:
        """Also when it has ended."""
        self.ended = True
        self.rest = b""
        if self.made.done():
            self.made.result().close()

    # --- asyncio.Protocol -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        if isinstance(transport, asyncio.Transport):
            self.made.set_result(transport)

    def data_received(self, data: bytes) -> None:
        """What comes in time and belongs to the question is its answer; everything else is thrown away."""
        data = self.rest + data
        self.rest = b""
        if len(data) > self._framer.MAX_SIZE:
            return
        while data:
            try:
                used, unit, number, message = self._framer.decode(data)
            except ModbusException:
                return
            if not used:
                break
            data = data[used:]
            if (unit, number) == self._asked and message and self._answer is not None and not self._answer.done():
                self._answer.set_result(message)
        self.rest = data

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended, or was closed by us."""
        del exc
        self.ended = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the line ended"))


def _too_late(answer: "asyncio.Future[bytes]") -> None:
    if not answer.done():
        answer.set_exception(TimeoutError("no answer"))
