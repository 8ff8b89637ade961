"""libmodbus, a server in C, is read and written by our channel; mbpoll, a client in C, reads and drives our simulators.
Both over TCP and on a serial line. Nothing of ours is on the other side of the wire.
"""

import asyncio
import os
import random
import subprocess
import time
import tty
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest

from edge_agent.channels.modbus_link import Refused, dialler
from edge_agent.codecs.kinds.modbus import Write
from edge_agent.transports.modbus_rtu import ModbusRtuTransport
from edge_agent.transports.modbus_tcp import ModbusTcpTransport
from simulators.modbus_units import ClimateSensor, DoorBoard, EnergyMeter
from simulators.modbus_wire import Line, RtuLine, TcpServer
from tests.channels.modbus_rig import Registers, Rig
from tests.support.peers import find_program, missing
from tests.support.waiting import until
from wire.system_clock import SystemClock

pytestmark = pytest.mark.peer

SOURCE = Path(__file__).with_name("modbus_server.c")
PATIENCE_MS = 10_000


# --- libmodbus ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The server, compiled."""
    compiler, config = find_program("gcc", "gcc libc6-dev"), find_program("pkg-config", "pkg-config")
    flags = subprocess.run([config, "--cflags", "--libs", "libmodbus"], capture_output=True, text=True, check=False)
    if flags.returncode:
        missing("libmodbus", "libmodbus-dev")
    program = tmp_path_factory.mktemp("libmodbus") / "modbus_server"
    argv = [compiler, "-O1", "-Wall", "-Wextra", "-Werror", str(SOURCE), "-o", str(program), *flags.stdout.split()]
    built = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return str(program)


@contextmanager
def running(*argv: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The server, and the first line it prints."""
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


async def last_line(process: subprocess.Popen[str]) -> str:
    """What it says when its client has gone, which is when our loop has closed the connection."""
    assert process.stdout is not None
    return (await asyncio.to_thread(process.stdout.readline)).strip()


class NullModem:
    """Two pseudo-terminals, each hearing what is written to the other: a serial line with a plug at both ends."""

    def __init__(self) -> None:
        self._masters: list[int] = []
        self._slaves: list[int] = []
        self.paths: list[str] = []
        for _ in range(2):
            master, slave = os.openpty()
            tty.setraw(slave)
            os.set_blocking(master, False)
            self._masters.append(master)
            # Held open, so that a line whose end is not plugged in yet is no broken one.
            self._slaves.append(slave)
            self.paths.append(os.ttyname(slave))
        loop = asyncio.get_running_loop()
        for here, there in (self._masters, self._masters[::-1]):
            loop.add_reader(here, lambda here=here, there=there: os.write(there, os.read(here, 4096)))

    def close(self) -> None:
        for master in self._masters:
            asyncio.get_running_loop().remove_reader(master)
        for one in (*self._masters, *self._slaves):
            os.close(one)


async def test_our_link_speaks_with_libmodbus_over_tcp(server: str) -> None:
    with running(server, "climate", "tcp") as (process, port):
        link = await dialler(tcp(int(port)))()
        assert await link.read(1, "input_registers", 1, 2) == [0x00FD, 0x0223]
        assert await link.read(1, "discrete_inputs", 0, 10) == [1, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        bits = await link.read(1, "discrete_inputs", 0, 2000)
        assert [index for index, bit in enumerate(bits) if bit] == [0, 9, 1999]
        assert (await link.read(1, "holding_registers", 0, 125))[:2] == [0x4366, 0x3333]
        await link.write(1, Write("holding_registers", 5, (7,)))
        await link.write(1, Write("holding_registers", 6, (8, 9)))
        assert await link.read(1, "holding_registers", 5, 3) == [7, 8, 9]
        await link.write(1, Write("coils", 0, (0xFF00,)))
        with pytest.raises(Refused) as refused:
            await link.read(1, "holding_registers", 127, 2)
        assert refused.value.code == 2
        link.close()
        assert await last_line(process) == "coils 1 0"


async def test_our_link_speaks_with_libmodbus_on_a_serial_line(server: str) -> None:
    line = NullModem()
    ours, theirs = line.paths
    try:
        with running(server, "climate", "rtu", theirs) as (_, first):
            assert first == "ready"
            link = await dialler(ModbusRtuTransport(kind="modbus-rtu", port=ours, reply_within_ms=2000))()
            assert await link.read(1, "input_registers", 1, 2) == [0x00FD, 0x0223]
            assert (await link.read(1, "holding_registers", 0, 125))[:2] == [0x4366, 0x3333]
            await link.write(1, Write("coils", 1, (0xFF00,)))
            assert await link.read(1, "coils", 0, 3) == [0, 1, 0]
            with pytest.raises(Refused):
                await link.write(1, Write("holding_registers", 127, (1, 2)))
            link.close()
    finally:
        line.close()


@pytest.mark.parametrize(
    ("device", "profile", "told"),
    [
        ("climate", "xy-md02", {"temperature": 25.3, "humidity": 54.7}),
        ("meter", "sdm-meter", {"voltage": 230.2, "frequency": 50.0, "import_energy": 0.0}),
        ("door", "waveshare-relay-di", {}),
    ],
)
async def test_our_channel_asks_a_device_that_libmodbus_plays(
    server: str, device: str, profile: str, told: dict[str, float]
) -> None:
    with running(server, device, "tcp") as (_, port):
        rig = Rig({1: (profile, Registers())}, dial=dialler(tcp(int(port))), clock=SystemClock(assume_synced=True))
        task = rig.start()
        await until(lambda: all(rig.values(name) for name in told) and rig.intake.topics("Device/State/Operating"))
        assert {name: rig.values(name)[0] for name in told} == told
        if not told:
            await until(lambda: rig.intake.topics("Door/State"))
            assert rig.intake.topics("Door/State/DoorPhysicalState") == ["Closed"]
            assert rig.intake.topics("Door/State/DoorTamper") == ["NotInTamper"]
            assert rig.intake.topics("Door/State/LockPhysicalState") == ["Locked"]
        task.cancel()
        await asyncio.wait([task])


def tcp(port: int) -> ModbusTcpTransport:
    return ModbusTcpTransport(kind="modbus-tcp", host="127.0.0.1", port=port, reply_within_ms=PATIENCE_MS)


# --- mbpoll -------------------------------------------------------------------------------------------


@asynccontextmanager
async def wired(kind: str, line: Line, folder: Path) -> AsyncIterator[tuple[list[str], str]]:
    """Our simulators on a wire: mbpoll's options for it, and what it opens."""
    server, rtu = TcpServer(line), RtuLine(line, folder / "bus")
    try:
        if kind == "tcp":
            await server.open()
            yield ["-m", "tcp", "-p", str(server.port)], "127.0.0.1"
        else:
            rtu.open()
            yield ["-m", "rtu", "-b", "9600", "-P", "none"], str(rtu.path)
    finally:
        rtu.close()
        await server.close()


async def polled(wire: tuple[list[str], str], *options: str, write: Sequence[str] = ()) -> str:
    """What mbpoll prints of one poll. Its addresses as they go over the wire."""
    line, opened = wire
    argv = [find_program("mbpoll", "mbpoll"), "-0", "-1", "-q", "-o", "10", *line, *options, opened, *write]
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await process.communicate()
    return out.decode()


def rows(shown: str) -> dict[int, float]:
    """Its rows: `[1]:  253`."""
    pairs = [row.removeprefix("[").split("]:") for row in shown.splitlines() if row.startswith("[")]
    return {int(number): float(value.split()[0]) for number, value in pairs}


@pytest.mark.parametrize("kind", ["tcp", "rtu"])
async def test_mbpoll_reads_and_drives_our_simulators(kind: str, tmp_path: Path) -> None:
    chance = random.Random(1)
    door = DoorBoard(time.monotonic)
    door.open = True
    line = Line({1: door, 2: ClimateSensor(chance), 3: EnergyMeter(chance)})
    async with wired(kind, line, tmp_path) as wire:
        assert rows(await polled(wire, "-a", "1", "-t", "1", "-r", "0", "-c", "3")) == {0: 0, 1: 0, 2: 0}

        climate = rows(await polled(wire, "-a", "2", "-t", "3", "-r", "1", "-c", "2"))
        assert 150 < climate[1] < 300
        assert 400 < climate[2] < 600

        # Floats with the high word first; one is read from each place that the meter's document names.
        assert rows(await polled(wire, "-a", "3", "-t", "3:float", "-B", "-r", "70", "-c", "1")) == {70: 50.0}
        volts = rows(await polled(wire, "-a", "3", "-t", "3:float", "-B", "-r", "0", "-c", "1"))
        assert 220 < volts[0] < 240

        assert "Written 1 references" in await polled(wire, "-a", "1", "-t", "0", "-r", "0", write=["1"])
        assert (door.released, door.strikes) == (True, 1)
        assert rows(await polled(wire, "-a", "1", "-t", "0", "-r", "0", "-c", "2")) == {0: 1, 1: 0}

        assert "Illegal data address" in await polled(wire, "-a", "2", "-t", "3", "-r", "9", "-c", "1")
        assert "Illegal function" in await polled(wire, "-a", "3", "-t", "4", "-r", "0", "-c", "1")
