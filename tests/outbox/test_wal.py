"""The write-ahead log read without SQLite: what is an ordinary end, and what is a hole."""

import shutil
from pathlib import Path

import pytest

from edge_agent.outbox import wal
from tests.outbox.making import Box
from wire.topics import Lane

FRAME = 24 + 4096


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The log of ten commits, without its database."""
    box = Box(tmp_path / "live" / "outbox.sqlite")
    for _ in range(10):
        box.fill(Lane.D, 5)
    copy = tmp_path / "log"
    shutil.copy(box.path.with_name("outbox.sqlite-wal"), copy)
    box.store.close()
    return copy


def change(path: Path, at: int, to: bytes) -> None:
    raw = bytearray(path.read_bytes())
    raw[at : at + len(to)] = to
    path.write_bytes(raw)


def test_a_sound_log_verifies_frame_by_frame(log: Path) -> None:
    scan = wal.scan(log)
    assert not scan.broken
    assert all(frame.sound for frame in scan.frames)
    assert sum(frame.commit for frame in scan.frames) == 10
    assert len(scan.frames) == (log.stat().st_size - 32) // FRAME


def test_no_log_an_empty_one_and_a_header_alone_are_in_order(tmp_path: Path, log: Path) -> None:
    assert wal.scan(tmp_path / "none") == wal.WalScan([], broken=False)
    for size in (0, 20, 32, 32 + 100):
        log.write_bytes(log.read_bytes()[:size])
        assert wal.scan(log) == wal.WalScan([], broken=False)


def test_a_bit_in_the_middle_breaks_the_log_though_sqlite_takes_it_for_its_end(log: Path) -> None:
    frames = wal.scan(log).frames
    change(log, frames[4].offset + 1000, b"\xff")
    scan = wal.scan(log)
    assert scan.broken
    assert [frame.sound for frame in scan.frames] == [n != 4 for n in range(len(frames))]


def test_a_last_commit_that_does_not_verify_is_broken_too(log: Path) -> None:
    last = wal.scan(log).frames[-1]
    change(log, last.offset + 1000, b"\xff")
    assert wal.scan(log).broken


def test_a_damaged_header_breaks_the_log_and_its_frames_are_still_found(log: Path) -> None:
    count = len(wal.scan(log).frames)
    change(log, 17, b"\xff\xff")
    scan = wal.scan(log)
    assert scan.broken
    assert len(scan.frames) == count


def test_a_log_cut_behind_a_commit_cannot_be_told_from_a_shorter_one(log: Path) -> None:
    """Which is why there is a mark."""
    frames = wal.scan(log).frames
    cut = [n for n, frame in enumerate(frames) if frame.commit][4]
    log.write_bytes(log.read_bytes()[: frames[cut].offset + 4096])
    assert wal.scan(log) == wal.WalScan(frames[: cut + 1], broken=False)


def test_a_transaction_that_never_committed_is_no_damage(tmp_path: Path) -> None:
    """A kill within a transaction too large for the cache leaves frames without a commit."""
    box = Box(tmp_path / "outbox.sqlite")
    stored = box.fill(Lane.D, 20)
    connection = box.sql()
    connection.execute("PRAGMA cache_size = 5")
    connection.execute("BEGIN IMMEDIATE")
    for number in range(1000, 1200):
        connection.execute("INSERT INTO device (id, body, digest) VALUES (?, ?, '')", (number, bytes(500)))
    for path in tmp_path.glob("outbox.sqlite*"):
        (tmp_path / "killed").mkdir(exist_ok=True)
        shutil.copy(path, tmp_path / "killed" / path.name)
    connection.execute("ROLLBACK")
    box.store.close()
    log = tmp_path / "killed" / "outbox.sqlite-wal"
    assert (log.stat().st_size - 32) // FRAME > len(wal.scan(log).frames) + 5
    assert not wal.scan(log).broken
    killed = Box(tmp_path / "killed" / "outbox.sqlite")
    assert killed.store.recovery is None
    assert killed.ids(Lane.D) == [entry.record.id for entry in stored]
    killed.store.close()


def test_what_an_earlier_round_left_behind_the_end_is_no_damage(tmp_path: Path) -> None:
    box = Box(tmp_path / "outbox.sqlite")
    box.fill(Lane.D, 200)
    box.sql().execute("PRAGMA wal_checkpoint(RESTART)").fetchall()
    box.fill(Lane.D, 1)
    log = box.path.with_name("outbox.sqlite-wal")
    scan = wal.scan(log)
    assert not scan.broken
    assert sum(frame.commit for frame in scan.frames) == 1
    assert (log.stat().st_size - 32) // FRAME > len(scan.frames) + 5
    box.store.close()


def test_sqlite_and_the_scan_agree_on_the_pages_of_a_log(tmp_path: Path) -> None:
    box = Box(tmp_path / "outbox.sqlite")
    for _ in range(5):
        box.fill(Lane.D, 30)
    scan = wal.scan(box.path.with_name("outbox.sqlite-wal"))
    checked = box.sql().execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
    assert checked == (0, len(scan.frames), len(scan.frames))
    raw, log = box.path.read_bytes(), box.path.with_name("outbox.sqlite-wal").read_bytes()
    newest = {frame.page: frame.offset for frame in scan.frames}
    for page, offset in newest.items():
        assert raw[(page - 1) * 4096 : page * 4096] == log[offset : offset + 4096]
    box.store.close()
