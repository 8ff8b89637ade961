"""One line or TCP connection with Modbus units, on pymodbus. What a wrong answer could do is shut out here.

RTU names no request in its answers. One that comes after its time is the answer to the next request for whoever
listens, and a register gets another one's value without any error. So after a time-out the line is closed, left quiet
for as long as the slowest unit may still take, and opened anew, which throws away what came meanwhile. On TCP every
request has a number; answers to another are thrown away by pymodbus. Either way the answer must come from the unit, in
the function and of the length that was asked for.

Nothing is ever sent twice: retries are ours to decide, and a door is not told twice to open.
"""

import asyncio
import logging
import struct
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, Protocol

from pymodbus import FramerType
from pymodbus.client import AsyncModbusSerialClient, AsyncModbusTcpClient
from pymodbus.client.base import ModbusBaseClient
from pymodbus.exceptions import ModbusException
from pymodbus.pdu import ModbusPDU

from edge_agent.codecs.kinds.modbus import Table, Write
from edge_agent.transports.modbus_rtu import ModbusRtuTransport
from edge_agent.transports.modbus_tcp import ModbusTcpTransport

# Its own account of time-outs would be a line for each; ours are two for an outage.
logging.getLogger("pymodbus").setLevel(logging.CRITICAL + 1)

# A gateway says so when its unit did not answer.
_GATEWAY_SILENT: Final = frozenset({0x0A, 0x0B})
_PARITIES: Final = {"none": "N", "even": "E", "odd": "O"}


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


class ModbusLink:
    """Implements Link."""

    def __init__(self, client: ModbusBaseClient, *, quiet_s: float, sleep: Callable[[float], Awaitable[None]]) -> None:
        """quiet_s: how long a late answer may take, 0 where answers name their request."""
        client.register(_Coil)
        # It would hang up on a gateway because of one unit that is dead.
        client.set_max_no_responses(1_000_000)
        self._client = client
        self._quiet_s = quiet_s
        self._sleep = sleep

    async def open(self) -> None:
        """Raises OSError."""
        if not await self._client.connect():
            params = self._client.comm_params
            raise ConnectionError(f"{params.host} cannot be opened" if not params.port else "no connection")

    async def read(self, unit: int, table: Table, address: int, count: int) -> Sequence[int]:
        """See Link."""
        match table:
            case "coils":
                answer = await self._ask(self._client.read_coils(address, count=count, device_id=unit))
            case "discrete_inputs":
                answer = await self._ask(self._client.read_discrete_inputs(address, count=count, device_id=unit))
            case "input_registers":
                answer = await self._ask(self._client.read_input_registers(address, count=count, device_id=unit))
            case "holding_registers":
                answer = await self._ask(self._client.read_holding_registers(address, count=count, device_id=unit))
        if table in {"coils", "discrete_inputs"}:
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
        if write.table == "coils":
            request = _Coil(dev_id=unit, address=write.address, registers=list(write.words))
            answer = await self._ask(self._client.execute(no_response_expected=False, request=request))
            echoed = (answer.address, *answer.registers) == (write.address, *write.words)
        elif len(write.words) == 1:
            answer = await self._ask(self._client.write_register(write.address, write.words[0], device_id=unit))
            echoed = (answer.address, *answer.registers) == (write.address, *write.words)
        else:
            answer = await self._ask(self._client.write_registers(write.address, list(write.words), device_id=unit))
            echoed = (answer.address, answer.count) == (write.address, len(write.words))
        if not echoed:
            raise NoAnswer("answer to something else")

    async def quiet(self) -> None:
        """See Link."""
        if self._quiet_s:
            self._client.close()
            await self._sleep(self._quiet_s)
            await self.open()

    def close(self) -> None:
        """See Link."""
        self._client.close()

    async def _ask(self, asking: Awaitable[ModbusPDU]) -> ModbusPDU:
        try:
            answer = await asking
        except ModbusException as error:
            if not self._client.connected:
                raise ConnectionError("the line ended") from None
            raise NoAnswer(str(error)) from None
        if answer.isError():
            if answer.exception_code in _GATEWAY_SILENT:
                raise NoAnswer("the gateway hears nothing of the unit")
            raise Refused(answer.exception_code)
        return answer


Dial = Callable[[], Awaitable[Link]]


def dialler(transport: ModbusTcpTransport | ModbusRtuTransport) -> Dial:
    """How the channel gets a line."""
    timeout_s = transport.reply_within_ms / 1000

    async def dial() -> Link:
        client: ModbusBaseClient
        if isinstance(transport, ModbusTcpTransport):
            client = AsyncModbusTcpClient(
                transport.host, port=transport.port, timeout=timeout_s, retries=0, reconnect_delay=0
            )
            quiet_s = 0.0
        else:
            client = AsyncModbusSerialClient(
                transport.port,
                framer=FramerType.RTU,
                baudrate=transport.baud_rate,
                parity=_PARITIES[transport.parity],
                stopbits=transport.stop_bits,
                timeout=timeout_s,
                retries=0,
                reconnect_delay=0,
            )
            quiet_s = timeout_s
        link = ModbusLink(client, quiet_s=quiet_s, sleep=asyncio.sleep)
        await link.open()
        return link

    return dial
