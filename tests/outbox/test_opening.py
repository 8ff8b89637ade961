"""What the outbox insists on before it takes a record, and whom it refuses."""

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from edge_agent.outbox import OutboxBusy, OutboxDamaged, OutboxLimits, OutboxRefused, OutboxStore, opening, survey
from edge_agent.outbox.book import digest
from edge_agent.outbox.connection import required
from tests.outbox.making import EDGE, Box, MemoryDisk
from tests.support.clock import VirtualClock, seeded
from wire.topics import LANES, Lane


def pragma(box: Box, name: str):
    return box.sql().execute(f"PRAGMA {name}").fetchone()[0]


def test_the_settings_that_keep_the_promise_are_in_force(box: Box) -> None:
    assert pragma(box, "journal_mode") == "wal"
    assert pragma(box, "synchronous") == 2
    assert pragma(box, "mmap_size") == 0
    assert pragma(box, "auto_vacuum") == 2
    assert pragma(box, "secure_delete") == 1
    assert pragma(box, "wal_autocheckpoint") == 1000
    assert pragma(box, "journal_size_limit") == 1000 * 4096


_DISOBEDIENT = {
    "journal_mode": "delete",
    "synchronous": 1,
    "mmap_size": 1 << 20,
    "wal_autocheckpoint": 0,
    "journal_size_limit": -1,
    "secure_delete": 0,
    "cell_size_check": 0,
    "trusted_schema": 1,
}


def test_every_required_setting_has_its_disobedient_twin() -> None:
    assert _DISOBEDIENT.keys() == required(OutboxLimits()).keys()


@pytest.mark.parametrize("name", _DISOBEDIENT)
def test_a_setting_that_does_not_take_is_noticed_and_refused(box: Box, monkeypatch, name: str) -> None:
    box.fill(Lane.D, 3)
    box.store.close()

    class Disobedient(sqlite3.Connection):
        def execute(self, sql, *args):
            if sql.startswith(f"PRAGMA {name} ="):
                sql = f"PRAGMA {name} = {_DISOBEDIENT[name]}"
            return super().execute(sql, *args)

    with monkeypatch.context() as patch:
        patch.setattr(opening, "connect", lambda path: sqlite3.connect(path, factory=Disobedient, isolation_level=None))
        with pytest.raises(OutboxRefused, match=f"{name} = .*local disk"):
            box.open()
    box.store = box.open()
    assert box.store.recovery is None
    assert len(box.rows(Lane.D)) == 3


def test_only_the_owner_can_read_the_files(box: Box) -> None:
    old = os.umask(0)
    try:
        box.fill(Lane.D, 1)
        box.reopen()
        box.fill(Lane.D, 1)
    finally:
        os.umask(old)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in box.path.parent.iterdir()}
    assert {"outbox.sqlite", "outbox.sqlite-wal", "outbox.sqlite.lock", "outbox.sqlite.mark"} <= modes.keys()
    assert set(modes.values()) == {0o600}


def test_a_file_that_others_can_read_is_closed_to_them(box: Box) -> None:
    box.store.close()
    box.path.chmod(0o644)
    box.store = box.open()
    assert stat.S_IMODE(box.path.stat().st_mode) == 0o600


def test_a_second_writer_is_refused_while_the_first_lives(box: Box) -> None:
    with pytest.raises(OutboxBusy, match="another process"):
        box.open()
    box.store.close()
    box.store = box.open()


def test_a_refused_opening_lets_the_next_one_in(box: Box) -> None:
    box.store.close()
    with pytest.raises(OutboxRefused):
        OutboxStore.open(box.path, clock=box.clock, random=box.random, edge="gate-2", limits=box.limits)
    box.store = box.open()


def test_the_outbox_of_another_box_is_refused_and_left_alone(box: Box) -> None:
    stored = box.fill(Lane.D, 3)
    box.store.close()
    with pytest.raises(OutboxRefused, match="belongs to edge node 'gate-1', not to 'gate-2'"):
        OutboxStore.open(box.path, clock=box.clock, random=box.random, edge="gate-2", limits=box.limits)
    box.store = box.open()
    assert box.ids(Lane.D) == [entry.record.id for entry in stored]


def make_newer(box: Box) -> None:
    (body,) = box.sql().execute("SELECT body FROM state").fetchone()
    body = body.replace(b'"schema":1', b'"schema":2')
    box.sql().execute("UPDATE state SET body = ?, digest = ?", (body, digest(body)))


def test_a_file_of_a_newer_version_is_refused_and_left_alone(box: Box) -> None:
    make_newer(box)
    box.sql().execute("ALTER TABLE record ADD COLUMN later TEXT")
    box.sql().execute("PRAGMA user_version = 2")
    box.store.close()
    before = box.path.read_bytes()
    with pytest.raises(OutboxRefused, match=r"newer version \(schema 2, this one knows 1\)"):
        box.open()
    assert box.path.read_bytes() == before
    assert not list(box.path.parent.glob("*damaged*"))


def test_a_version_that_only_the_header_claims_is_damage(box: Box) -> None:
    box.fill(Lane.D, 3)
    box.sql().execute("PRAGMA user_version = 2")
    box.store.close()
    box.store = box.open()
    assert "header says schema 2" in box.store.recovery.cause
    assert len(box.rows(Lane.D)) == 3


def test_a_table_that_is_not_ours_is_damage(box: Box) -> None:
    box.fill(Lane.D, 3)
    box.sql().execute("DROP INDEX record_event")
    box.store.close()
    box.store = box.open()
    assert box.store.recovery.cause == "tables are not ours"
    assert box.store.recovery.missing == dict.fromkeys(LANES, 0)
    assert len(box.rows(Lane.D)) == 3


def test_a_folder_without_permission_is_refused(tmp_path: Path, monkeypatch) -> None:
    def denied(path: Path) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(opening, "Lock", denied)
    with pytest.raises(OutboxRefused, match="Permission denied"):
        Box(tmp_path / "closed" / "outbox.sqlite")


def test_a_file_where_the_folder_should_be_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("in the way")
    with pytest.raises(OutboxRefused):
        Box(tmp_path / "data" / "outbox.sqlite")


def test_limits_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="make no sense"):
        OutboxLimits(bytes_max=0)
    with pytest.raises(ValueError, match="make no sense"):
        OutboxLimits(chunk_rows=1)


def test_a_closed_outbox_says_so_and_closing_twice_is_fine(box: Box) -> None:
    box.store.close()
    box.store.close()
    with pytest.raises(Exception, match="closed"):
        box.put(box.entry(Lane.D))
    with pytest.raises(Exception, match="closed"):
        box.store.lane_states()


# --- a database in memory, for simulations


def in_memory(disk: MemoryDisk, seed: int = 3) -> OutboxStore:
    return OutboxStore.open(
        Path("memory"),
        clock=VirtualClock(),
        random=seeded(seed),
        edge=EDGE,
        limits=OutboxLimits(),
        connect=disk.connect,
    )


def test_a_simulation_brings_its_own_disk(box: Box) -> None:
    disk = MemoryDisk()
    store = in_memory(disk)
    stored = [box.entry(Lane.D) for _ in range(5)]
    store.append(stored)
    disk.image = store.snapshot()
    epoch = store.epoch
    store.append([box.entry(Lane.D)])
    store.close()
    store = in_memory(disk, seed=4)  # as after a card was rolled back
    assert store.epoch == epoch
    assert [row.body for row in store.read(Lane.D, 0, 100, 100_000)] == [entry.body for entry in stored]
    assert store.fork("rollback") != epoch
    assert not Path("memory").exists()
    store.close()


def test_damage_to_the_disk_of_a_simulation_is_its_own_affair() -> None:
    disk = MemoryDisk()
    store = in_memory(disk)
    disk.image = store.snapshot().replace(b'"epoch"', b'"epocj"')
    store.close()
    with pytest.raises(OutboxDamaged, match="book"):
        in_memory(disk)


# --- a look from outside


def test_a_look_from_outside_sees_what_the_agent_sees_while_it_runs(box: Box) -> None:
    box.fill(Lane.D, 5)
    box.store.acknowledge({Lane.D: 2})
    box.store.quarantine("gate-1/face-1", "malformed", b"{")
    box.clock.advance(9)
    seen = survey(box.path, box.clock.stamp())
    assert (seen.edge, seen.epoch, seen.states) == (EDGE, box.store.epoch, box.store.lane_states())
    assert seen.depths == box.store.depths()
    assert seen.depths[Lane.D].oldest_age_s == 9
    assert seen.quarantined == box.store.quarantined()
    assert seen.file_bytes > 0
    box.fill(Lane.D, 1)
    assert survey(box.path, box.clock.stamp()).depths[Lane.D].queued == 4
    box.store.close()
    assert survey(box.path, box.clock.stamp()).depths[Lane.D].queued == 4
    box.store = box.open()
    assert box.store.recovery is None


def test_a_look_at_nothing_or_at_damage_says_so(box: Box, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        survey(tmp_path / "none.sqlite", box.clock.stamp())
    (tmp_path / "bad.sqlite").write_bytes(b"x" * 9000)
    with pytest.raises(OutboxDamaged):
        survey(tmp_path / "bad.sqlite", box.clock.stamp())
    assert not list(tmp_path.glob("*damaged*"))
