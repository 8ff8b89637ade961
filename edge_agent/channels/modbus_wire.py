"""One opening of a line, below the meaning of questions and answers: frames and messages by pymodbus, one at a time.

pymodbus' own client does the same with a lock, a task's worth of time-out and a log line for each request, its answers
unpacked one register at a time; a box with hundreds of units would spend most of its time there. Two more reasons to
ask by ourselves: a line that ends is told to whoever waits for an answer at once, and a task that is told to end while
an answer arrives does end (`asyncio.wait_for` of Python 3.11 forgets it).
"""

import asyncio
import logging
import struct
from typing import Final

from pymodbus.exceptions import ModbusException
from pymodbus.framer import FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU, ModbusPDU

# Its own account of what goes wrong would be a line for each answer; ours are two for an outage.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)

_NUMBERS: Final = 0xFFFF


class _Plain(ModbusPDU):
    """pymodbus makes a text of every answer, for a log that is off: here a short one."""

    def __str__(self) -> str:
        return type(self).__name__


class _Registers(_Plain):
    """Registers that were read, unpacked together."""

    rtu_byte_count_pos = 2

    def decode(self, data: bytes) -> None:
        """Raises struct.error, which pymodbus takes for an answer that nobody can decode."""
        self.registers = list(struct.unpack_from(f">{data[0] // 2}H", data, 1))


class _HoldingRegisters(_Registers):
    function_code = 3


class _InputRegisters(_Registers):
    function_code = 4


class Coil(_Plain):
    """Function 5 with any number: boards that hold a coil for a time are told for how long in place of on and off."""

    function_code = 5
    rtu_frame_size = 8

    def encode(self) -> bytes:
        """To ask."""
        return struct.pack(">HH", self.address, self.registers[0])

    def decode(self, data: bytes) -> None:
        """What was answered."""
        self.address, value = struct.unpack(">HH", data[:4])
        self.registers = [value]


def framer(kind: type[FramerSocket | FramerRTU]) -> FramerBase:
    """FramerSocket: in a stream, with answers that say which question they belong to; FramerRTU: on a serial line."""
    decoder = DecodePDU(False)  # noqa: FBT003  its only argument: not as a server
    for message in (_HoldingRegisters, _InputRegisters, Coil):
        decoder.register(message)
    return kind(decoder)


class Wire(asyncio.Protocol):
    """One opening of a line, from connect to its end."""

    def __init__(self, framer: FramerBase) -> None:
        self._framer = framer
        self._numbered = isinstance(framer, FramerSocket)
        self._number = 0
        self._asked = (0, 0)
        self._answer: asyncio.Future[ModbusPDU] | None = None
        self.made: asyncio.Future[asyncio.Transport] = asyncio.get_running_loop().create_future()
        self.ended = False
        # The beginning of something whose end has not come.
        self.rest = b""

    async def ask(self, request: ModbusPDU, within_s: float) -> ModbusPDU:
        """Send, and wait for what a unit says to it. Raises TimeoutError, ConnectionError when the line has ended."""
        if self.ended:
            raise ConnectionError("the line ended")
        if self._numbered:
            self._number = self._number % _NUMBERS + 1
        request.transaction_id = self._number
        self._asked = (request.dev_id, request.transaction_id)
        self.rest = b""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[ModbusPDU] = loop.create_future()
        self._answer = answer
        self.made.result().write(self._framer.buildFrame(request))
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
        if len(data) > self._framer.MAX_SIZE:
            self.rest = b""
            return
        try:
            used, message = self._framer.handleFrame(data, *self._asked)
        except ModbusException:
            # What nobody can decode is an answer to nothing, and in a stream nobody knows where the next one begins.
            self.rest = b""
            if self._numbered:
                self.connection_lost(None)
                self.close()
            return
        self.rest = data[used:]
        if message is not None and self._answer is not None and not self._answer.done():
            self._answer.set_result(message)

    def connection_lost(self, exc: Exception | None) -> None:
        """It ended, or was closed by us."""
        del exc
        self.ended = True
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionError("the line ended"))


def _too_late(answer: "asyncio.Future[ModbusPDU]") -> None:
    if not answer.done():
        answer.set_exception(TimeoutError("no answer"))
