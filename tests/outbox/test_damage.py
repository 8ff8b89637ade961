"""A damaged outbox always starts again, says what it lost, keeps what verifies, and its lanes go on.

A catalogue of small catastrophes, each at places drawn from a seed, done to the database file or to its log of one and
the same outbox (damage_rig.make_sample), and some at places that chance seldom finds.
"""

import random
from pathlib import Path

import pytest

from edge_agent.outbox import OutboxStore
from tests.outbox.damage_rig import (
    DATABASE,
    LIMITS,
    LOG,
    PAGE,
    Sample,
    assert_healed,
    flip_bit,
    open_copy,
    scribble,
    truncate,
    zero_page,
)
from tests.outbox.making import EDGE, Box
from tests.support.clock import VirtualClock, seeded
from wire.topics import Lane


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
