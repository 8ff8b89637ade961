"""The link on real wires: a socket, a pseudo-terminal."""

import asyncio
import random
import socket
import struct
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from edge_agent.channels.modbus_link import Link, NoAnswer, Refused, dialler
from edge_agent.codecs.kinds.modbus import Write
from edge_agent.transports.modbus_rtu import ModbusRtuTransport
from edge_agent.transports.modbus_tcp import ModbusTcpTransport
from simulators.modbus_units import ClimateSensor, DoorBoard
from simulators.modbus_wire import Line, RtuLine, TcpServer
from tests.channels.modbus_asking import both, read, read_for_ever
from tests.channels.modbus_rig import Kind, Numbered


@asynccontextmanager
async def opened(kind: Kind, line: Line, folder: Path, *, reply_within_ms: int = 10_000) -> AsyncIterator[Link]:
    server, rtu = TcpServer(line), RtuLine(line, folder / "bus")
    transport: ModbusTcpTransport | ModbusRtuTransport
    if kind == "tcp":
        await server.open()
        transport = ModbusTcpTransport(
            kind="modbus-tcp", host="127.0.0.1", port=server.port, reply_within_ms=reply_within_ms
        )
    else:
        rtu.open()
        transport = ModbusRtuTransport(kind="modbus-rtu", port=str(rtu.path), reply_within_ms=reply_within_ms)
    link = await dialler(transport)()
    try:
        yield link
    finally:
        link.close()
        rtu.close()
        await server.close()


@both
async def test_late_answers_on_a_real_wire(kind: Kind, tmp_path: Path) -> None:
    line = Line({1: Numbered()})
    async with opened(kind, line, tmp_path, reply_within_ms=100) as link:
        seen = 0
        for address in range(10, 400):
            line.delay_s = {1: 0.13} if address % 3 == 0 else {}
            words = await read(link, address)
            assert words in (None, [address])
            seen += words is not None
            if seen == 6:
                return
    raise AssertionError("nothing was ever in time")


@both
async def test_reads_writes_and_refusals(kind: Kind, tmp_path: Path) -> None:
    door = DoorBoard(time.monotonic)
    line = Line({1: door, 2: ClimateSensor(random.Random(1))})
    async with opened(kind, line, tmp_path, reply_within_ms=2000) as link:
        assert await link.read(1, "discrete_inputs", 0, 3) == [1, 0, 0]
        await link.write(1, Write("coils", 0x0200, (300,)))
        assert await link.read(1, "coils", 0, 8) == [1, 0, 0, 0, 0, 0, 0, 0]
        assert door.strikes == 1
        with pytest.raises(Refused) as refused:
            await link.read(2, "input_registers", 2, 2)
        assert refused.value.code == 2
        with pytest.raises(Refused):
            await link.write(2, Write("holding_registers", 5, (1, 2)))


@both
async def test_a_write_that_is_not_answered_is_sent_once(kind: Kind, tmp_path: Path) -> None:
    line = Line({1: DoorBoard(time.monotonic)})
    line.dead.add(1)
    async with opened(kind, line, tmp_path, reply_within_ms=100) as link:
        with pytest.raises(NoAnswer):
            await link.write(1, Write("coils", 0x0200, (50,)))
        await link.quiet()
        assert line.asked == {1: 1}


async def test_a_door_that_a_tcp_line_at_a_standstill_holds_back_is_not_opened_when_the_line_is_back() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    # Small, so that little fills what the kernels hold between us.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    port = listener.getsockname()[1]
    link = await dialler(ModbusTcpTransport(kind="modbus-tcp", host="127.0.0.1", port=port, reply_within_ms=100))()
    board, _ = listener.accept()
    transport = link._wire.made.result()  # type: ignore[attr-defined]  of ours
    while not transport.get_write_buffer_size():
        transport.write(bytes(100_000))
        await asyncio.sleep(0)
    with pytest.raises(NoAnswer):
        await link.write(1, Write("coils", 0x0200, (50,)))
    await link.quiet()
    link.close()
    heard = b""
    with board, listener, suppress(ConnectionResetError):
        board.settimeout(20)
        while data := board.recv(1 << 16):
            heard += data
    assert struct.pack(">BHH", 5, 0x0200, 50) not in heard


async def test_a_line_that_takes_everything_is_kept(tmp_path: Path) -> None:
    line = Line({1: DoorBoard(time.monotonic)})
    line.dead.add(1)
    async with opened("tcp", line, tmp_path, reply_within_ms=300) as link:
        before = link._wire.made.result()  # type: ignore[attr-defined]  of ours
        with pytest.raises(NoAnswer):
            await link.write(1, Write("coils", 0x0200, (50,)))
        await link.quiet()
        assert link._wire.made.result() is before  # type: ignore[attr-defined]  # what lies below


async def test_a_line_that_is_gone_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot be opened"):
        await dialler(ModbusRtuTransport(kind="modbus-rtu", port=str(tmp_path / "none"), reply_within_ms=20))()
    server = TcpServer(Line({1: Numbered()}))
    await server.open()
    link = await dialler(ModbusTcpTransport(kind="modbus-tcp", host="127.0.0.1", port=server.port))()
    await server.close()
    with pytest.raises(OSError, match="the line ended"):
        await read_for_ever(link)
    link.close()


async def test_a_line_whose_adapter_is_pulled_is_an_os_error(tmp_path: Path) -> None:
    rtu = RtuLine(Line({1: Numbered()}), tmp_path / "bus")
    rtu.open()
    link = await dialler(ModbusRtuTransport(kind="modbus-rtu", port=str(rtu.path), reply_within_ms=100))()
    rtu.close()
    # Seen while it is asked, or when it is opened anew after it did not answer.
    with pytest.raises(OSError, match=r"the line ended|cannot be opened"):
        await read_for_ever(link)
    link.close()
