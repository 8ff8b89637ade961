"""What a recovery brings back from a damaged outbox, what it must not bring back, and that it may be cut short."""

import shutil
from pathlib import Path

import pytest

from edge_agent.outbox import OutboxGone, OutboxLimits
from tests.outbox.damage_rig import DATABASE, DAY_S, LIMITS, LOG, Sample, flip_bit, open_copy, zero_page
from tests.outbox.making import Box
from wire.records import decode_record
from wire.topics import LANES, Lane


def test_a_record_hit_in_the_newest_copy_of_its_page_is_taken_from_an_older_one(tmp_path: Path) -> None:
    box = Box(tmp_path / DATABASE)
    stored = [box.fill(Lane.D, 1)[0] for _ in range(4)]
    assert (tmp_path / LOG).read_bytes().count(stored[0].body) >= 4
    healed = cut_with_a_hit(box, stored[0].body, tmp_path / "cut")
    assert healed.ids(Lane.D) == [entry.record.id for entry in stored]
    assert healed.store.recovery.missing == dict.fromkeys(LANES, 0)
    box.store.close()
    healed.store.close()


def cut_with_a_hit(box: Box, body: bytes, folder: Path) -> Box:
    """The outbox as a power cut leaves it, with a flipped bit in the newest copy of one record, opened."""
    folder.mkdir()
    for name in (DATABASE, LOG):
        shutil.copy(box.path.with_name(name), folder / name)
    log = (folder / LOG).read_bytes()
    flip_bit(folder / LOG, log.rindex(body) + 100, 0)
    return Box(folder / DATABASE, limits=box.limits, seed=77)


def test_older_copies_of_a_page_do_not_bring_back_what_was_forgotten(tmp_path: Path) -> None:
    box = Box(tmp_path / DATABASE)
    stored = box.fill(Lane.D, 8)
    box.store.acknowledge({Lane.D: 4})
    box.settle()
    box.sql().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    box.clock.advance(8 * DAY_S)
    box.settle()
    healed = cut_with_a_hit(box, stored[5].body, tmp_path / "cut")
    assert healed.ids(Lane.D) == [entry.record.id for entry in stored[4:]]
    assert healed.store.recovery.missing == dict.fromkeys(LANES, 0)
    healed.assert_balanced()
    box.store.close()
    healed.store.close()


def test_older_copies_of_a_page_do_not_bring_back_what_was_dropped(tmp_path: Path) -> None:
    limits = OutboxLimits(bytes_max=120_000, in_flight_rows=2, chunk_rows=40)
    box = Box(tmp_path / DATABASE, limits=limits)
    while limits.pressure(box.store._core.used_bytes()) < 85:
        box.fill(Lane.T, 5)
    box.sql().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    assert box.store.maintain().thinned > 0
    kept = box.ids(Lane.T)
    hit = next(row for row in box.rows(Lane.T, after=9) if row.seq == row.through)
    healed = cut_with_a_hit(box, hit.body, tmp_path / "cut")
    assert healed.ids(Lane.T) == kept
    assert healed.store.depths()[Lane.T].dropped == box.store.depths()[Lane.T].dropped
    healed.assert_balanced()
    box.store.close()
    healed.store.close()


def test_a_flipped_bit_in_one_body_costs_that_record_and_no_other(tmp_path: Path) -> None:
    box = Box(tmp_path / DATABASE)
    stored = box.fill(Lane.D, 200)
    box.store.close()
    raw = (tmp_path / DATABASE).read_bytes()
    flip_bit(tmp_path / DATABASE, raw.index(stored[77].record.id.encode()) + 40, 0)
    box.store = box.open()
    assert box.store.recovery.missing[Lane.D] == 1
    assert box.ids(Lane.D) == [entry.record.id for n, entry in enumerate(stored) if n != 77]
    assert box.store.depths()[Lane.D].dropped == {"damaged": 1}
    box.assert_balanced()
    box.store.close()


def test_damage_beyond_what_is_checked_at_start_is_met_by_the_reader_and_healed_by_the_next_start(tmp_path) -> None:
    limits = OutboxLimits(check_rows=10)
    box = Box(tmp_path / DATABASE, limits=limits)
    stored = box.fill(Lane.D, 100)
    box.store.close()
    raw = (tmp_path / DATABASE).read_bytes()
    flip_bit(tmp_path / DATABASE, raw.index(stored[30].record.id.encode()) + 40, 0)
    box.store = box.open()
    assert box.store.recovery is None
    with pytest.raises(OutboxGone, match="not what was written"):
        box.rows(Lane.D)
    with pytest.raises(OutboxGone):
        box.put(box.entry(Lane.D))
    box.reopen()
    assert box.store.recovery.missing[Lane.D] == 1
    assert len(box.rows(Lane.D)) == 99
    box.store.close()


def test_devices_go_on_in_an_epoch_that_nobody_has_used_and_repeats_are_still_known(tmp_path: Path) -> None:
    box = Box(tmp_path / DATABASE)
    box.put(*[box.numbered(number, at_s=number) for number in range(1, 101)])
    box.put(box.numbered(1, at_s=500))  # its count restarted: epoch 1
    box.store.close()
    zero_page(tmp_path / DATABASE, 0)
    box.store = box.open()
    assert box.store.recovery.salvaged[Lane.D] == 101
    repeat, fresh = box.put(box.numbered(50, at_s=50), box.numbered(2, at_s=501))
    assert (repeat.fate, fresh.fate) == ("repeat", "stored")
    record = decode_record(box.rows(Lane.D)[-1].body)
    assert record.source.epoch == box.clock.wall_ns() // 60_000_000_000
    other = box.put(box.numbered(1, device="face-9"))[0]
    assert other.fate == "stored"
    assert decode_record(box.rows(Lane.D)[-1].body).source.epoch == record.source.epoch
    box.store.close()


def test_only_the_newest_three_sets_of_damaged_files_are_kept(tmp_path: Path) -> None:
    box = Box(tmp_path / DATABASE)
    for turn in range(5):
        box.fill(Lane.D, 1)
        box.store.close()
        flip_bit(tmp_path / DATABASE, 5, turn)
        box.store = box.open()
        assert box.store.recovery.set_aside == f"outbox.damaged-{turn + 1}.sqlite"
    sets = sorted(path.name for path in tmp_path.glob("outbox.damaged-*.sqlite"))
    assert sets == [f"outbox.damaged-{n}.sqlite" for n in (3, 4, 5)]
    assert len(box.ids(Lane.D)) == 5
    assert len(box.ids(Lane.S)) == 5
    box.assert_balanced()
    box.store.close()


def test_an_outbox_damaged_in_the_middle_of_a_fork_keeps_its_records(tmp_path: Path, monkeypatch) -> None:
    from edge_agent.outbox import renumber

    box = Box(tmp_path / DATABASE)
    stored = box.fill(Lane.D, 60)
    box.store.acknowledge({Lane.D: 10})
    box.settle()
    box.clock.advance(8 * DAY_S)
    box.settle()
    honest, done = renumber._step, []

    def cut_short(core, lane):
        if len(done) == 4:
            raise KeyboardInterrupt
        done.append(lane)
        return honest(core, lane)

    with monkeypatch.context() as patch:
        patch.setattr(renumber, "STEP_ROWS", 10)
        patch.setattr(renumber, "_step", cut_short)
        with pytest.raises(KeyboardInterrupt):
            box.store.fork("chain")
    box.store.close()
    flip_bit(tmp_path / DATABASE, 5, 1)
    box.store = box.open()
    assert box.store.recovery.missing[Lane.D] == 0
    assert box.ids(Lane.D) == [entry.record.id for entry in stored[10:]]
    depth = box.store.depths()[Lane.D]
    assert (depth.accepted, depth.acknowledged, depth.queued) == (60, 10, 50)
    box.store.close()


class _Killed(BaseException):
    pass


@pytest.mark.parametrize("moves", range(12))
def test_a_recovery_cut_short_anywhere_is_finished_by_the_next_start(
    sample: Sample, tmp_path: Path, monkeypatch, moves: int
) -> None:
    """Killed before each rename and unlink of a recovery in turn."""
    done = []

    def counted(honest):
        def move(self, *args, **kwargs):
            if len(done) == moves:
                raise _Killed
            done.append(self.name)
            return honest(self, *args, **kwargs)

        return move

    def harmed(folder: Path) -> None:
        flip_bit(folder / DATABASE, 5, 1)
        # Set 1 is from an earlier time.
        (folder / "outbox.damaged-1.sqlite").write_bytes(b"old")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "rename", counted(Path.rename))
        patch.setattr(Path, "unlink", counted(Path.unlink))
        killed = False
        try:
            open_copy(sample, tmp_path, harmed).store.close()
        except _Killed:
            killed = True
    box = Box(tmp_path / DATABASE, limits=LIMITS, seed=78)
    assert killed or moves >= 10
    assert {lane: set(sample.waiting[lane]) - set(box.ids(lane)) for lane in LANES} == {lane: set() for lane in LANES}
    assert (tmp_path / "outbox.damaged-2.sqlite").exists()
    assert box.store.epoch != sample.epoch
    box.assert_balanced()
    box.store.close()
