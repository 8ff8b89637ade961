"""One line or TCP connection with Modbus units. What a wrong answer could do is shut out here.

RTU names no request in its answers. One that comes after its time is the answer to the next request for whoever
listens, and a register gets another one's value without any error. So after a time-out the line is closed, left quiet
for as long as the slowest unit may still take, and opened anew, which throws away what came meanwhile; the same before
it is opened for the first time, because whoever had it before us may have died in the middle of a question. On TCP
every request has a number, and an answer with another one is thrown away, also one with none, which pymodbus would
take. A connection that holds half an answer when it should hold nothing is given up. Either way the answer must come
from the unit, in the function and of the length that was asked for.

Nothing is ever sent twice: retries are ours to decide, and a door is not told twice to open. A TCP connection on which
nobody has answered for a while is opened anew, as the other end may have restarted without a word. What a TCP line at a
standstill has not taken is thrown away with its connection, so that it does not arrive when the line is back.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from pymodbus.framer import FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)
from pymodbus.transport.serialtransport import create_serial_connection

from device_profiles.protocols.modbus import BIT_TABLES
from edge_agent.channels.modbus_wire import Coil, Wire, framer
from edge_agent.codecs.kinds.modbus import Table, Write
from edge_agent.transports.modbus_rtu import ModbusRtuTransport
from edge_agent.transports.modbus_tcp import ModbusTcpTransport
from wire.sockets import acknowledged, forget, given

# A gateway says so when its unit did not answer.
_GATEWAY_SILENT: Final = frozenset({0x0A, 0x0B})
_PARITIES: Final = {"none": "N", "even": "E", "odd": "O"}
_READ: Final[Mapping[Table, type[ModbusPDU]]] = {
    "coils": ReadCoilsRequest,
    "discrete_inputs": ReadDiscreteInputsRequest,
    "input_registers": ReadInputRegistersRequest,
    "holding_registers": ReadHoldingRegistersRequest,
}
# Requests in a row without an answer from anybody, after which a TCP connection is opened anew.
UNANSWERED_MAX: Final = 4


class NoAnswer(Exception):
    """The unit did not answer in time, or said something that was no answer to what it was asked."""


class Refused(Exception):
    """The unit answered with an exception. code: 1 function, 2 address, 3 value, 4 failure, 6 busy."""

    def __init__(self, code: int) -> None:
        super().__init__(f"exception {code}")
        self.code = code


class Link(Protocol):
    """An open line. Everything raises NoAnswer, Refused, or OSError when the line itself is gone."""

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        """Registers, or bits as 0 and 1: exactly count."""

    async def write(self, unit: int, write: Write) -> None:
        """Sends once; returns when the unit has said that it did it."""

    async def quiet(self) -> None:
        """After NoAnswer: make sure that the late answer harms nobody."""

    def close(self) -> None:
        """Give it back."""


Connect = Callable[[Wire], Awaitable[None]]


class ModbusLink:
    """Implements Link."""

    def __init__(
        self,
        connect: Connect,
        framer: FramerBase,
        *,
        reply_within_s: float,
        quiet_s: float,
        sleep: Callable[[float], Awaitable[None]],
    ) -> None:
        """connect: opens the line for a wire, within reply_within_s too; raises OSError. quiet_s: how long a late
        answer may take, 0 where answers name their request.
        """
        self._connect = connect
        self._framer = framer
        self._numbered = isinstance(framer, FramerSocket)
        self._reply_within_s = reply_within_s
        self._quiet_s = quiet_s
        self._sleep = sleep
        self._unanswered = 0
        self._wire: Wire | None = None

    async def open(self) -> None:
        """Raises OSError."""
        if self._quiet_s:
            await self._sleep(self._quiet_s)
        self._unanswered = 0
        wire = Wire(self._framer)
        async with asyncio.timeout(self._reply_within_s):
            await self._connect(wire)
        await wire.made
        self._wire = wire

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        """See Link."""
        answer = await self._ask(_READ[table](dev_id=unit, address=address, count=count))
        if table in BIT_TABLES:
            # The last byte is filled up with zeroes.
            bits = [int(bit) for bit in answer.bits]
            if len(bits) != -(-count // 8) * 8:
                raise NoAnswer("answer of another length")
            return bits[:count]
        if len(answer.registers) != count:
            raise NoAnswer("answer of another length")
        return answer.registers

    async def write(self, unit: int, write: Write) -> None:
        """See Link."""
        words = list(write.words)
        if write.table == "coils" or len(words) == 1:
            single = Coil if write.table == "coils" else WriteSingleRegisterRequest
            answer = await self._ask(single(dev_id=unit, address=write.address, registers=words))
            echoed = (answer.address, answer.registers) == (write.address, words)
        else:
            answer = await self._ask(WriteMultipleRegistersRequest(dev_id=unit, address=write.address, registers=words))
            echoed = (answer.address, answer.count) == (write.address, len(words))
        if not echoed:
            raise NoAnswer("answer to something else")

    async def quiet(self) -> None:
        """See Link."""
        rest = self._wire is not None and self._wire.rest
        if self._quiet_s or rest or self._unanswered >= UNANSWERED_MAX or self._stuck() is not None:
            self.close()
            await self.open()

    def close(self) -> None:
        """See Link."""
        if (stuck := self._stuck()) is not None:
            forget(stuck.get_extra_info("socket"))
            stuck.abort()
        if self._wire is not None:
            self._wire.close()

    def _stuck(self) -> asyncio.Transport | None:
        """The TCP connection, when it has not taken all that was asked."""
        if self._wire is None or self._wire.ended or not self._numbered:
            return None
        tcp = self._wire.made.result()
        sock = tcp.get_extra_info("socket")
        if sock is None:
            return None
        try:
            stuck = tcp.get_write_buffer_size() > 0 or given(sock) > acknowledged(sock)
        except (OSError, ValueError):
            return None
        return tcp if stuck else None

    async def _ask(self, request: ModbusPDU) -> ModbusPDU:
        wire = self._wire
        if wire is None:
            raise ConnectionError("the line is not open")
        if self._numbered and wire.rest:
            raise ConnectionError("half an answer to nothing")
        self._unanswered += 1
        try:
            answer = await wire.ask(request, self._reply_within_s)
        except TimeoutError:
            raise NoAnswer("no answer") from None
        if answer.transaction_id != request.transaction_id or answer.function_code & 0x7F != request.function_code:
            raise NoAnswer("answer to something else")
        if answer.isError():
            if answer.exception_code in _GATEWAY_SILENT:
                raise NoAnswer("the gateway hears nothing of the unit")
            self._unanswered = 0
            raise Refused(answer.exception_code)
        self._unanswered = 0
        return answer


Dial = Callable[[], Awaitable[Link]]


def link_of(transport: ModbusTcpTransport | ModbusRtuTransport) -> ModbusLink:
    """One that is not open yet."""
    within_s = transport.reply_within_ms / 1000
    if isinstance(transport, ModbusTcpTransport):
        framed, connect, quiet_s = framer(FramerSocket), _endpoint(transport), 0.0
    else:
        framed, connect, quiet_s = framer(FramerRTU), _port(transport), within_s
    return ModbusLink(connect, framed, reply_within_s=within_s, quiet_s=quiet_s, sleep=asyncio.sleep)


def _endpoint(transport: ModbusTcpTransport) -> Connect:
    async def connect(wire: Wire) -> None:
        await asyncio.get_running_loop().create_connection(lambda: wire, transport.host, transport.port)

    return connect


def _port(transport: ModbusRtuTransport) -> Connect:
    async def connect(wire: Wire) -> None:
        try:
            await create_serial_connection(
                asyncio.get_running_loop(),
                lambda: wire,
                transport.port,
                baudrate=transport.baud_rate,
                bytesize=8,
                parity=_PARITIES[transport.parity],
                stopbits=transport.stop_bits,
            )
        except OSError:
            raise ConnectionError(f"{transport.port} cannot be opened") from None

    return connect


def dialler(transport: ModbusTcpTransport | ModbusRtuTransport) -> Dial:
    """How the channel gets a line."""

    async def dial() -> Link:
        link = link_of(transport)
        await link.open()
        return link

    return dial
