"""One line or TCP connection with Modbus units, on pymodbus. What a wrong answer could do is shut out here.

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
import logging
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU
from pymodbus.pdu.bit_message import ReadCoilsRequest, ReadDiscreteInputsRequest
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadInputRegistersRequest,
    WriteMultipleRegistersRequest,
    WriteSingleRegisterRequest,
)
from pymodbus.transaction import TransactionManager

from device_profiles.protocols.modbus import BIT_TABLES
from edge_agent.codecs.kinds.modbus import Table, Write
from edge_agent.transports.modbus_rtu import ModbusRtuTransport
from edge_agent.transports.modbus_tcp import ModbusTcpTransport
from wire.sockets import acknowledged, forget, given

# Its own account of time-outs would be a line for each; ours are two for an outage.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)

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


class _Coil(ModbusPDU):
    """Function 5 with any number: boards that hold a coil for a time are told for how long in place of on and off."""

    function_code = 5
    rtu_frame_size = 8

    def encode(self) -> bytes:
        return struct.pack(">HH", self.address, self.registers[0])

    def decode(self, data: bytes) -> None:
        self.address, value = struct.unpack(">HH", data[:4])
        self.registers = [value]


class _Manager(TransactionManager):
    """What nobody can decode is an answer to nothing; pymodbus would raise it into the event loop."""

    def callback_data(self, data: bytes, addr: tuple[str, int] | None = None) -> int:
        try:
            return super().callback_data(data, addr)
        except ModbusException as error:
            if self.comm_params.port:
                # Where the next answer begins in a stream is no longer known.
                self.connection_lost(error)
            return len(data)


class ModbusLink:
    """Implements Link."""

    def __init__(self, client: ModbusBaseClient, *, quiet_s: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        """quiet_s: how long a late answer may take, 0 where answers name their request."""
        manager = client.ctx
        client.ctx = _Manager(manager.comm_params, manager.framer, 0, False, None, None, None)  # noqa: FBT003  its order
        client.register(_Coil)
        # It would hang up on a gateway because of one unit that is dead.
        client.set_max_no_responses(1_000_000)
        self._client = client
        self._quiet_s = quiet_s
        self._sleep = sleep
        self._unanswered = 0

    async def open(self) -> None:
        """Raises OSError."""
        if self._quiet_s:
            await self._sleep(self._quiet_s)
        self._unanswered = 0
        if not await self._client.connect():
            params = self._client.comm_params
            raise ConnectionError(f"{params.host} cannot be opened" if not params.port else "no connection")

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
            single = _Coil if write.table == "coils" else WriteSingleRegisterRequest
            answer = await self._ask(single(dev_id=unit, address=write.address, registers=words))
            echoed = (answer.address, answer.registers) == (write.address, words)
        else:
            answer = await self._ask(WriteMultipleRegistersRequest(dev_id=unit, address=write.address, registers=words))
            echoed = (answer.address, answer.count) == (write.address, len(words))
        if not echoed:
            raise NoAnswer("answer to something else")

    async def quiet(self) -> None:
        """See Link."""
        stuck = self._stuck() is not None
        if self._quiet_s or self._client.ctx.recv_buffer or self._unanswered >= UNANSWERED_MAX or stuck:
            self.close()
            await self.open()

    def close(self) -> None:
        """See Link."""
        if (stuck := self._stuck()) is not None:
            forget(stuck.get_extra_info("socket"))
            stuck.abort()
        self._client.close()

    def _stuck(self) -> asyncio.Transport | None:
        """The TCP connection, when it has not taken all that was asked."""
        tcp = self._client.ctx.transport
        if not self._client.comm_params.port or not isinstance(tcp, asyncio.Transport):
            return None
        sock = tcp.get_extra_info("socket")
        if sock is None:
            return None
        try:
            stuck = tcp.get_write_buffer_size() > 0 or given(sock) > acknowledged(sock)
        except (OSError, ValueError):
            return None
        return tcp if stuck else None

    async def _ask(self, request: ModbusPDU) -> ModbusPDU:
        if not self._client.connected:
            raise ConnectionError("the line ended")
        if self._client.comm_params.port and self._client.ctx.recv_buffer:
            raise ConnectionError("half an answer to nothing")
        self._unanswered += 1
        try:
            answer: ModbusPDU = await self._client.execute(no_response_expected=False, request=request)
        except ModbusException as error:
            if not self._client.connected:
                raise ConnectionError("the line ended") from None
            raise NoAnswer(str(error)) from None
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
    timeout_s = transport.reply_within_ms / 1000
    if isinstance(transport, ModbusTcpTransport):
        client = AsyncModbusTcpClient(
            transport.host, port=transport.port, timeout=timeout_s, retries=0, reconnect_delay=0
        )
        return ModbusLink(client, quiet_s=0.0, sleep=asyncio.sleep)
    line = AsyncModbusSerialClient(
        transport.port,
        framer=FramerType.RTU,
        baudrate=transport.baud_rate,
        parity=_PARITIES[transport.parity],
        stopbits=transport.stop_bits,
        timeout=timeout_s,
        retries=0,
        reconnect_delay=0,
    )
    return ModbusLink(line, quiet_s=timeout_s, sleep=asyncio.sleep)


def dialler(transport: ModbusTcpTransport | ModbusRtuTransport) -> Dial:
    """How the channel gets a line."""

    async def dial() -> Link:
        link = link_of(transport)
        await link.open()
        return link

    return dial
