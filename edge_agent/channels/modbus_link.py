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
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from pymodbus.framer import FramerBase, FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU

from device_profiles.protocols.modbus import BIT_TABLES
from edge_agent.channels.modbus_wire import Wire
from edge_agent.codecs.kinds.modbus import Table, Write
from edge_agent.transports.modbus_rtu import ModbusRtuTransport
from edge_agent.transports.modbus_tcp import ModbusTcpTransport
from wire.sockets import acknowledged, forget, given

# A gateway says so when its unit did not answer.
_GATEWAY_SILENT: Final = frozenset({0x0A, 0x0B})
_PARITIES: Final = {"none": "N", "even": "E", "odd": "O"}
# Function, address, and how many or which value: Modbus Application Protocol V1.1b3, 6.
_ASK: Final = struct.Struct(">BHH")
_READ: Final[Mapping[Table, int]] = {"coils": 1, "discrete_inputs": 2, "holding_registers": 3, "input_registers": 4}
_WRITE_COIL: Final = 5
_WRITE_REGISTER: Final = 6
_WRITE_REGISTERS: Final = 16
_EXCEPTION: Final = 0x80
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
        data = await self._ask(unit, _ASK.pack(_READ[table], address, count))
        bits = table in BIT_TABLES
        size = -(-count // 8) if bits else 2 * count
        if len(data) != 1 + size or data[0] != size:
            raise NoAnswer("answer of another length")
        if bits:
            return [data[1 + bit // 8] >> bit % 8 & 1 for bit in range(count)]
        return list(struct.unpack_from(f">{count}H", data, 1))

    async def write(self, unit: int, write: Write) -> None:
        """See Link."""
        words = write.words
        if write.table == "coils" or len(words) == 1:
            message = _ASK.pack(_WRITE_COIL if write.table == "coils" else _WRITE_REGISTER, write.address, words[0])
            echo = message[1:]
        else:
            head = _ASK.pack(_WRITE_REGISTERS, write.address, len(words))
            message, echo = head + struct.pack(f">B{len(words)}H", 2 * len(words), *words), head[1:]
        if await self._ask(unit, message) != echo:
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

    async def _ask(self, unit: int, message: bytes) -> bytes:
        """What the unit answers in the function that it was asked in."""
        wire = self._wire
        if wire is None:
            raise ConnectionError("the line is not open")
        if self._numbered and wire.rest:
            raise ConnectionError("half an answer to nothing")
        self._unanswered += 1
        try:
            answer = await wire.ask(unit, message, self._reply_within_s)
        except TimeoutError:
            raise NoAnswer("no answer") from None
        function, data = answer[0], answer[1:]
        if function == message[0]:
            self._unanswered = 0
            return data
        if function != message[0] | _EXCEPTION or len(data) != 1:
            raise NoAnswer("answer to something else")
        if data[0] in _GATEWAY_SILENT:
            raise NoAnswer("the gateway hears nothing of the unit")
        self._unanswered = 0
        raise Refused(data[0])


Dial = Callable[[], Awaitable[Link]]


def link_of(transport: ModbusTcpTransport | ModbusRtuTransport) -> ModbusLink:
    """One that is not open yet."""
    within_s = transport.reply_within_ms / 1000
    decoder = DecodePDU(False)  # noqa: FBT003  its only argument: not as a server
    framer: FramerBase
    if isinstance(transport, ModbusTcpTransport):
        framer, connect, quiet_s = FramerSocket(decoder), _endpoint(transport), 0.0
    else:
        framer, connect, quiet_s = FramerRTU(decoder), _port(transport), within_s
    return ModbusLink(connect, framer, reply_within_s=within_s, quiet_s=quiet_s, sleep=asyncio.sleep)


def _endpoint(transport: ModbusTcpTransport) -> Connect:
    async def connect(wire: Wire) -> None:
        await asyncio.get_running_loop().create_connection(lambda: wire, transport.host, transport.port)

    return connect


def _port(transport: ModbusRtuTransport) -> Connect:
    from pymodbus.transport.serialtransport import create_serial_connection  # noqa: PLC0415  for boxes with such lines

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
