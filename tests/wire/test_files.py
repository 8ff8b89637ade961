"""Files that are there whole or not at all."""

import os
import stat
from pathlib import Path

import pytest

from wire.files import create_file, replace_file


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    return monkeypatch


def test_a_file_that_is_there_is_not_made_again(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "campus.key"
    create_file(path, "secret")
    with pytest.raises(FileExistsError):
        create_file(path, "another")
    assert contents(path.parent) == {"campus.key": b"secret"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_file_that_is_there_gives_way_to_its_next_content(tmp_path: Path) -> None:
    path = tmp_path / "health.json"
    replace_file(path, "one", mode=0o640, durable=False)
    replace_file(path, b"two", mode=0o640)
    assert contents(tmp_path) == {"health.json": b"two"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_a_full_disk_leaves_what_was_there_and_nothing_half_written(tmp_path: Path, full_disk) -> None:
    path = tmp_path / "campus.key"
    with pytest.raises(OSError, match="No space"):
        create_file(path, "secret")
    assert contents(tmp_path) == {}
    path.write_text("before")
    with pytest.raises(OSError, match="No space"):
        replace_file(path, "after")
    assert contents(tmp_path) == {"campus.key": b"before"}


@pytest.mark.parametrize("write", [create_file, replace_file])
def test_what_a_kill_left_beside_it_is_in_nobodys_way(tmp_path: Path, write) -> None:
    path = tmp_path / "edge.key"
    (tmp_path / "edge.key.new").write_text("half of a ke")
    (tmp_path / "edge.key.new").chmod(0o644)
    write(path, "whole")
    assert contents(tmp_path) == {"edge.key": b"whole"}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_place_that_cannot_be_taken_is_told_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "edge.key" / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="edge"):
        replace_file(tmp_path / "edge.key", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["edge.key"]
