"""The unit's side of Modbus: requests in, answers out, over TCP or on a serial line. Written by hand from the protocol
documents, so that nothing of a library that the other side may use is on this side.

    TCP   number(2) 0000 length(2) unit function data          several requests may wait at once
    RTU   unit function data crc(2, low byte first)            a pause ends a frame; broken ones are passed over

A unit is anything that answers `Units.answer`. Faults are the unit's: it says nothing (dead), later, or an exception.

Source: Modbus Application Protocol V1.1b3, Modbus over Serial Line V1.02.
"""

import asyncio
import os
import struct
import tty
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, Protocol

ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3
_BITS_MAX: Final = 2000
_REGISTERS_MAX: Final = 125
_READ_BITS: Final = {1: "coils", 2: "discrete_inputs"}
_READ_REGISTERS: Final = {3: "holding_registers", 4: "input_registers"}
_KNOWN: Final = frozenset({1, 2, 3, 4, 5, 6, 16})
_FRAME_MAX: Final = 256
_PAUSE_S: Final = 0.004


class Fault(Exception):
    """An exception answer. code: as on the wire."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


class Unit(Protocol):
    """What hangs at one address. Raises Fault."""

    def read(self, table: str, address: int, count: int) -> Sequence[int]:
        """Registers, or bits as 0 and 1."""

    def write(self, table: str, address: int, words: Sequence[int]) -> None:
        """Registers; of a coil what stands in the request."""


class Line:
    """The units of one line or behind one gateway. delay_s: before an answer, by unit; dead: units that say nothing."""

    def __init__(self, units: dict[int, Unit]) -> None:
        self.units = units
        self.dead: set[int] = set()
        self.delay_s: dict[int, float] = {}
        self.asked = dict.fromkeys(units, 0)

    async def answer(self, number: int, request: bytes) -> bytes | None:
        """The answer to the function and data of a request; None when nobody says anything."""
        unit = self.units.get(number)
        if unit is None:
            return None
        self.asked[number] += 1
        if number in self.dead:
            return None
        if delay_s := self.delay_s.get(number, 0.0):
            await asyncio.sleep(delay_s)
        function = request[0]
        try:
            return bytes([function]) + _done(unit, function, request[1:])
        except Fault as fault:
            return bytes([function | 0x80, fault.code])
        except (struct.error, IndexError):
            return bytes([function | 0x80, ILLEGAL_VALUE])


def _done(unit: Unit, function: int, data: bytes) -> bytes:
    if function not in _KNOWN:
        raise Fault(ILLEGAL_FUNCTION)
    address, second = struct.unpack_from(">HH", data)
    if function in _READ_BITS:
        _within(second, _BITS_MAX)
        bits = unit.read(_READ_BITS[function], address, second)
        packed = bytearray(-(-second // 8))
        for index, bit in enumerate(bits):
            packed[index // 8] |= bool(bit) << index % 8
        return bytes([len(packed)]) + bytes(packed)
    if function in _READ_REGISTERS:
        _within(second, _REGISTERS_MAX)
        words = unit.read(_READ_REGISTERS[function], address, second)
        return bytes([2 * len(words)]) + b"".join(word.to_bytes(2, "big") for word in words)
    if function == 5:
        unit.write("coils", address, [second])
        return data[:4]
    if function == 6:
        unit.write("holding_registers", address, [second])
        return data[:4]
    words = struct.unpack_from(f">{second}H", data, 5)
    unit.write("holding_registers", address, words)
    return data[:4]


def _within(count: int, limit: int) -> None:
    if not 1 <= count <= limit:
        raise Fault(ILLEGAL_VALUE)


# --- TCP ----------------------------------------------------------------------------------------------


class TcpServer:
    """A Modbus TCP device or gateway on 127.0.0.1."""

    def __init__(self, line: Line, port: int = 0) -> None:
        self._line = line
        self._wanted = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        if self._server is None:
            raise RuntimeError("not open")
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def open(self) -> None:
        """Raises OSError."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._wanted)
        self._wanted = self.port

    async def close(self) -> None:
        """Hang up on everybody."""
        if self._server is not None:
            self._server.close()
            for writer in self._writers:
                writer.transport.abort()
            await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    number, kind, length, unit = struct.unpack(">HHHB", await reader.readexactly(7))
                    if kind != 0 or not 2 <= length <= _FRAME_MAX:
                        break
                    request = await reader.readexactly(length - 1)
                    group.create_task(self._answer(writer, number, unit, request))
        except* (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter, number: int, unit: int, request: bytes) -> None:
        answer = await self._line.answer(unit, request)
        if answer is not None and not writer.is_closing():
            writer.write(struct.pack(">HHHB", number, 0, len(answer) + 1, unit) + answer)


# --- RTU ----------------------------------------------------------------------------------------------


def crc16(data: bytes) -> bytes:
    """Modbus' CRC, low byte first."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0xA001 if crc & 1 else 0)
    return crc.to_bytes(2, "little")


class RtuLine:
    """Units on a pseudo-terminal; path is what the other side opens, and is a link that stays the same."""

    def __init__(self, line: Line, path: Path) -> None:
        self.path = path
        self._line = line
        self._master = -1
        self._slave = -1
        self._buffer = b""
        self._pause: asyncio.TimerHandle | None = None
        self._answers: set[asyncio.Task[None]] = set()

    def open(self) -> None:
        """Raises OSError. Must be called in a loop."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path.unlink(missing_ok=True)
        self.path.symlink_to(os.ttyname(self._slave))
        asyncio.get_running_loop().add_reader(self._master, self._readable)

    def close(self) -> None:
        """Pull the plug."""
        if self._master >= 0:
            asyncio.get_running_loop().remove_reader(self._master)
            if self._pause is not None:
                self._pause.cancel()
            for task in self._answers:
                task.cancel()
            os.close(self._master)
            os.close(self._slave)
            self._master = self._slave = -1
            self.path.unlink(missing_ok=True)

    def _readable(self) -> None:
        with suppress(BlockingIOError):
            self._buffer = (self._buffer + os.read(self._master, 4096))[-_FRAME_MAX:]
        if self._pause is not None:
            self._pause.cancel()
        self._pause = asyncio.get_running_loop().call_later(_PAUSE_S, self._paused)

    def _paused(self) -> None:
        frame, self._buffer = self._buffer, b""
        if len(frame) < 4 or crc16(frame[:-2]) != frame[-2:]:
            return
        task = asyncio.get_running_loop().create_task(self._answer(frame[0], frame[1:-2]))
        self._answers.add(task)
        task.add_done_callback(self._answers.discard)

    async def _answer(self, unit: int, request: bytes) -> None:
        answer = await self._line.answer(unit, request)
        if answer is not None and self._master >= 0:
            body = bytes([unit]) + answer
            with suppress(OSError):
                os.write(self._master, body + crc16(body))
