"""An outbox as a power cut leaves it, ways to harm it, and what must be true of whatever opens again."""

import random
import shutil
from dataclasses import dataclass
from pathlib import Path

from edge_agent.outbox import OutboxLimits
from tests.outbox.making import EDGE, Box, chain_of
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


def make_sample(sound: Path, folder: Path) -> Sample:
    """Five lanes, some of it acknowledged, some trimmed, some of it only in the log."""
    box = Box(sound / DATABASE, limits=LIMITS)
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
    """It started again, says what it lost, keeps what verifies, and its lanes go on."""
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
