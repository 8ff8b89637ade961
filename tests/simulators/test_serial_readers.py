import os
from pathlib import Path

import pytest

from simulators.serial_readers import SerialReader, tag_frame
from tests.simulators.rig import Seen
from wire.clock import SystemTime


def test_a_frame_is_that_of_the_data_sheet() -> None:
    # The example of the sheet: 62 E3 08 6C ED, check 08.
    assert tag_frame(0xE3086CED, 0x62) == b"\x0262E3086CED08\x03"


@pytest.fixture
def reader(tmp_path: Path):
    reader = SerialReader("library-1", "rdm6300", tmp_path / "port", witness=Seen(), clock=SystemTime())
    reader.replug()
    yield reader
    reader.unplug()


def read(path: Path) -> bytes:
    descriptor = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    try:
        return os.read(descriptor, 4096)
    except BlockingIOError:
        return b""
    finally:
        os.close(descriptor)


async def test_a_tag_is_said_again_while_it_is_held_there(reader: SerialReader) -> None:
    await reader.show("0012345678", held_s=0.2)
    data = read(reader.path)
    assert data == tag_frame(12345678) * (len(data) // 14)
    assert len(data) // 14 == 3
    assert reader._witness.of("said") == ["tag"]


async def test_a_pulled_reader_says_nothing_and_has_no_file(reader: SerialReader) -> None:
    reader.unplug()
    assert not reader.path.is_symlink()
    await reader.show("0012345678")
    assert reader._witness.of("said") == []
    reader.replug()
    await reader.show("0000000001", held_s=0)
    assert read(reader.path) == tag_frame(1)


async def test_a_reader_that_nobody_reads_does_not_wait(reader: SerialReader) -> None:
    for _ in range(600):
        reader._write(tag_frame(7))
    assert len(read(reader.path)) <= 4096


async def test_a_scanner_says_a_line(tmp_path: Path) -> None:
    scanner = SerialReader("scanner-1", "qr-line", tmp_path / "port", witness=Seen(), clock=SystemTime())
    scanner.replug()
    await scanner.show("LOAN-000001")
    assert read(scanner.path) == b"LOAN-000001\r\n"
    scanner.unplug()
