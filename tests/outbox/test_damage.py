"""A damaged outbox always starts again, says what it lost, keeps what verifies, and its lanes go on.

A catalogue of small catastrophes, each at places drawn from a seed, done to the database file or to its log of one and
the same outbox: five lanes, some of it acknowledged, some trimmed, some of it only in the log.
"""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from edge_agent.outbox import OutboxGone, OutboxLimits, OutboxStore
from tests.outbox.making import EDGE, Box, chain_of
from tests.support.clock import VirtualClock, seeded
from wire.records import Event, decode_record
from wire.topics import LANES, Lane

PAGE = 4096
DAY_S = 86_400
DATABASE, LOG = "outbox.sqlite", "outbox.sqlite-wal"
LIMITS = OutboxLimits(in_flight_rows=3, chunk_rows=20)


@dataclass(frozen=True)
class Sample:
    """An outbox as a power cut leaves it, and what it held. waiting: ids not acknowledged, in order."""

    folder: Path
    epoch: str
    bodies: dict[Lane, list[bytes]]
    waiting: dict[Lane, list[str]]


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> Sample:
    box = Box(tmp_path_factory.mktemp("sound") / DATABASE, limits=LIMITS)
    number = 0
    for turn in range(30):
        numbered = [box.numbered(number + n, at_s=number + n, device=f"face-{n}") for n in range(4)]
        number += 4
        plain = [box.entry(lane, note="x" * box.random(1)[0]) for lane in LANES]
        box.put(*numbered, *plain)
        if turn == 10:
            box.store.acknowledge({Lane.D: 20, Lane.A: 8})
            box.settle()
            box.clock.advance(8 * DAY_S)
            box.settle()
            box.store.acknowledge({Lane.D: 30, Lane.A: 9})
        if turn == 18:
            box.put(box.entry(Lane.D, note="y" * 6000))
            box.sql().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    states = box.store.lane_states()
    folder = tmp_path_factory.mktemp("cut")
    for name in (DATABASE, LOG, f"{DATABASE}.mark"):
        shutil.copy(box.path.with_name(name), folder / name)
    sample = Sample(
        folder,
        box.store.epoch,
        {lane: [row.body for row in box.rows(lane, after=states[lane].first - 1)] for lane in LANES},
        {lane: box.ids(lane, after=states[lane].acked) for lane in LANES},
    )
    box.store.close()
    assert (folder / DATABASE).stat().st_size > 10 * PAGE
    assert (folder / LOG).stat().st_size > 20 * PAGE
    return sample


def open_copy(sample: Sample, folder: Path, harm) -> Box:
    """A copy of the sample that something happened to, opened."""
    for name in (DATABASE, LOG, f"{DATABASE}.mark"):
        shutil.copy(sample.folder / name, folder / name)
    harm(folder)
    return Box(folder / DATABASE, limits=LIMITS, seed=77)


def assert_healed(box: Box, sample: Sample) -> None:
    """What the module's first sentence promises."""
    known = {body for bodies in sample.bodies.values() for body in bodies}
    states = box.store.lane_states()
    found, lost = {}, {}
    for lane in LANES:
        rows = box.rows(lane, after=states[lane].first - 1)
        records = [decode_record(row.body) for row in rows]
        own = [r.id for r in records if isinstance(r, Event) and r.topic == "EdgeNode/State/OutboxDamaged"]
        assert all(row.body in known or record.id in own for row, record in zip(rows, records, strict=True))
        assert [row.seq for row in rows] == list(range(states[lane].first, states[lane].last + 1))
        before = box.store.chain_at(lane, states[lane].first - 1)
        assert chain_of([row.body for row in rows], before).hex() == states[lane].chain
        found[lane] = [record.id for record in records if record.id not in own]
        assert len(set(found[lane])) == len(found[lane])
        there = set(found[lane])
        lost[lane] = [event_id for event_id in sample.waiting[lane] if event_id not in there]
        assert [i for i in sample.waiting[lane] if i in there] == [
            i for i in found[lane] if i in set(sample.waiting[lane])
        ]
    recovery = box.store.recovery
    if recovery is None:
        assert not any(lost.values())
        assert box.store.epoch == sample.epoch
    else:
        assert box.store.epoch != sample.epoch
        assert recovery.salvaged == {lane: len(ids) for lane, ids in found.items()}
        if recovery.missing is not None:
            assert recovery.missing == {lane: len(ids) for lane, ids in lost.items()}
        (told,) = [r for row in box.rows(Lane.S) if (r := decode_record(row.body)).device == EDGE]
        assert told.values["set_aside"] == recovery.set_aside
        assert told.values["missing_known"] is (recovery.missing is not None)
        assert [told.values[f"salvaged_{lane}"] for lane in LANES] == [len(found[lane]) for lane in LANES]
        assert not recovery.set_aside or box.path.with_name(recovery.set_aside).exists()
    box.assert_balanced()
    for lane in LANES:
        (result,) = box.put(entry := box.entry(lane))
        assert box.rows(lane, after=result.seq - 1)[0].body == entry.body
    epoch = box.store.epoch
    box.reopen()
    assert (box.store.epoch, box.store.recovery) == (epoch, None)


def flip_bit(path: Path, at: int, bit: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at] ^= 1 << bit
    path.write_bytes(raw)


def truncate(path: Path, at: int) -> None:
    path.write_bytes(path.read_bytes()[:at])


def zero_page(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    start = at // PAGE * PAGE
    raw[start : start + PAGE] = bytes(len(raw[start : start + PAGE]))
    path.write_bytes(raw)


def scribble(path: Path, at: int) -> None:
    raw = bytearray(path.read_bytes())
    raw[at : at + 64] = random.Random(at).randbytes(len(raw[at : at + 64]))
    path.write_bytes(raw)


def catalogue() -> list[tuple[str, str, int]]:
    """(what, file, seed of the place): 100 of them."""
    kinds = [("flip", 34), ("truncate", 5), ("zero", 5), ("scribble", 6)]
    return [(kind, file, n) for kind, count in kinds for file in (DATABASE, LOG) for n in range(count)]


def harm(path: Path, kind: str, seed: int) -> None:
    chance = random.Random(f"{path.name} {kind} {seed}")
    at = chance.randrange(path.stat().st_size)
    match kind:
        case "flip":
            flip_bit(path, at, chance.randrange(8))
        case "truncate":
            truncate(path, at)
        case "zero":
            zero_page(path, at)
        case "scribble":
            scribble(path, at)


def test_the_catalogue_has_a_hundred_places() -> None:
    assert len(catalogue()) == 100


@pytest.mark.parametrize(("kind", "file", "seed"), catalogue())
def test_a_damaged_outbox_starts_again_and_says_what_it_lost(sample, tmp_path, kind, file, seed) -> None:
    box = open_copy(sample, tmp_path, lambda folder: harm(folder / file, kind, seed))
    assert_healed(box, sample)
    box.store.close()


def test_the_sample_itself_is_sound(sample: Sample, tmp_path: Path) -> None:
    box = open_copy(sample, tmp_path, lambda folder: None)
    assert box.store.recovery is None
    assert_healed(box, sample)
    box.store.close()


# --- places that chance seldom finds


@pytest.mark.parametrize("at", range(100))
def test_a_flipped_bit_in_any_byte_of_the_header_locks_nobody_out(sample: Sample, tmp_path: Path, at: int) -> None:
    # Without a log the header in the file is the one that counts.
    def harmed(folder: Path) -> None:
        checkpoint(folder / DATABASE)
        flip_bit(folder / DATABASE, at, at % 8)

    box = open_copy(sample, tmp_path, harmed)
    assert_healed(box, sample)
    assert box.store.recovery is None or not any((box.store.recovery.missing or {}).values())
    box.store.close()


@pytest.mark.parametrize("at", range(0, 32 + 24, 3))
def test_a_flipped_bit_at_the_start_of_the_log_loses_nothing_unsaid(sample: Sample, tmp_path: Path, at: int) -> None:
    box = open_copy(sample, tmp_path, lambda folder: flip_bit(folder / LOG, at, at % 8))
    assert_healed(box, sample)
    box.store.close()


def checkpoint(path: Path) -> None:
    """Bring everything from the log into the database and remove the log, as a clean end does."""
    clock = VirtualClock()
    OutboxStore.open(path, clock=clock, random=seeded(9), edge=EDGE, limits=LIMITS).close()
    assert not path.with_name(LOG).exists()


def remove(*names: str):
    def harmed(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return harmed


def test_a_lost_log_is_noticed_by_the_mark(sample: Sample, tmp_path: Path) -> None:
    box = open_copy(sample, tmp_path, remove(LOG))
    assert "commits are missing" in box.store.recovery.cause
    assert sum(box.store.recovery.missing.values()) > 30
    assert_healed(box, sample)
    box.store.close()


def test_a_lost_database_leaves_what_its_log_still_holds(sample: Sample, tmp_path: Path) -> None:
    box = open_copy(sample, tmp_path, remove(DATABASE))
    assert sum(box.store.recovery.salvaged.values()) > 30
    assert_healed(box, sample)
    box.store.close()


def test_with_all_files_lost_but_the_mark_the_loss_is_said(sample: Sample, tmp_path: Path) -> None:
    box = open_copy(sample, tmp_path, remove(DATABASE, LOG))
    assert box.store.recovery.missing is None
    assert box.store.previous_epoch == sample.epoch
    assert_healed(box, sample)
    box.store.close()


def test_a_lost_or_torn_mark_is_no_damage(sample: Sample, tmp_path: Path) -> None:
    for number, harmed in enumerate(
        [remove(f"{DATABASE}.mark"), lambda folder: truncate(folder / f"{DATABASE}.mark", 20)]
    ):
        folder = tmp_path / str(number)
        folder.mkdir()
        box = open_copy(sample, folder, harmed)
        assert box.store.recovery is None
        assert_healed(box, sample)
        box.store.close()


@pytest.mark.parametrize("content", [b"", b"\0" * 20_000, b"not a database " * 2000, b"SQLite format 3\0"])
def test_a_file_that_is_something_else_is_set_aside_whole(tmp_path: Path, content: bytes) -> None:
    (tmp_path / DATABASE).write_bytes(content)
    box = Box(tmp_path / DATABASE)
    assert box.store.recovery.missing is None
    assert (tmp_path / box.store.recovery.set_aside).read_bytes() == content
    assert len(box.rows(Lane.S)) == 1
    box.store.close()


@pytest.mark.parametrize("marked", [True, False])
@pytest.mark.parametrize("frame", range(0, 200, 9))
def test_a_flipped_bit_in_the_log_costs_no_commit_behind_it(sample, tmp_path, frame: int, marked: bool) -> None:
    """SQLite alone would take the log for one that ends there."""

    def harmed(folder: Path) -> None:
        flip_bit(folder / LOG, 32 + frame * (24 + PAGE) + 24 + 3500, 3)
        if not marked:
            (folder / f"{DATABASE}.mark").unlink()

    box = open_copy(sample, tmp_path, harmed)
    assert box.store.recovery.cause == "the write-ahead log does not verify"
    assert sum(box.store.recovery.missing.values()) <= 1
    assert_healed(box, sample)
    box.store.close()


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
