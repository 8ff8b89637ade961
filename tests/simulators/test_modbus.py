"""The simulated units say on the wire what their makers' documents print."""

import asyncio
import random
from pathlib import Path

from simulators.modbus_units import ClimateSensor, DoorBoard, EnergyMeter
from simulators.modbus_wire import Line, RtuLine, TcpServer, crc16


def board(now: list[float]) -> DoorBoard:
    return DoorBoard(lambda: now[0])


async def ask(line: Line, request: str) -> str | None:
    """A frame with address and checksum, as the documents print it."""
    frame = bytes.fromhex(request)
    assert crc16(frame[:-2]) == frame[-2:]
    answer = await line.answer(frame[0], frame[1:-2])
    if answer is None:
        return None
    body = frame[:1] + answer
    return (body + crc16(body)).hex(" ").upper()


async def test_the_board_answers_as_its_wiki_shows() -> None:
    now = [0.0]
    door = board(now)
    line = Line({1: door})
    assert await ask(line, "01 05 00 00 FF 00 8C 3A") == "01 05 00 00 FF 00 8C 3A"
    assert door.released
    assert await ask(line, "01 05 00 00 55 00 F2 9A") == "01 05 00 00 55 00 F2 9A"
    assert not door.released
    assert (await ask(line, "01 01 00 00 00 08 3D CC") or "").startswith("01 01 01 00")
    assert (await ask(line, "01 02 00 00 00 08 79 CC") or "").startswith("01 02 01 01")
    door.open = door.pressed = True
    assert (await ask(line, "01 02 00 00 00 08 79 CC") or "").startswith("01 02 01 02")


async def test_flash_lets_go_by_itself() -> None:
    now = [0.0]
    struck: list[float] = []
    door = DoorBoard(lambda: now[0], lambda: struck.append(now[0]))
    assert await ask(Line({1: door}), "01 05 02 00 00 07 8D B0") == "01 05 02 00 00 07 8D B0"
    assert door.released
    now[0] = 0.71
    assert not door.released
    assert struck == [0.0]


async def test_sensor_and_meter_answer_their_documents_requests() -> None:
    sensor = ClimateSensor(random.Random(1))
    line = Line({1: sensor, 2: EnergyMeter(random.Random(1))})
    assert (await ask(line, "01 04 00 01 00 02 20 0B") or "").startswith("01 04 04 00 ")
    assert await line.answer(2, bytes.fromhex("0400460002")) == bytes.fromhex("040442480000")


async def test_what_is_not_there_is_refused_and_what_is_dead_says_nothing() -> None:
    line = Line({1: board([0.0])})
    assert await line.answer(1, bytes.fromhex("0100070009")) == bytes.fromhex("8102")
    assert await line.answer(1, bytes.fromhex("2b0e0100")) == bytes.fromhex("ab01")
    assert await line.answer(1, bytes.fromhex("01")) == bytes.fromhex("8103")
    assert await line.answer(2, bytes.fromhex("0100000001")) is None
    line.dead.add(1)
    assert await line.answer(1, bytes.fromhex("0100000001")) is None


async def test_a_server_answers_by_number_and_a_line_passes_over_what_is_broken(tmp_path: Path) -> None:
    line = Line({1: board([0.0])})
    server = TcpServer(line)
    await server.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(bytes.fromhex("000700000006010200000008000900000006010200000008"))
    assert await reader.readexactly(20) == bytes.fromhex("00070000000401020101" + "00090000000401020101")
    writer.close()
    await server.close()
    rtu = RtuLine(line, tmp_path / "bus")
    rtu.open()
    rtu.close()
    assert not rtu.path.exists()
