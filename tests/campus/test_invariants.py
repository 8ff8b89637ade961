"""Each checker is silent about a world in order, and speaks when that world is tampered with."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import msgspec
import pytest

from tests.campus import invariants
from tests.campus.test_scenes import QUIET, live
from tests.campus.truth import Made, Violation
from tests.campus.world import World, run_scene
from wire.topics import Lane


def lost(world: World) -> Iterator[str]:
    return invariants.nothing_lost(world.truth, world.boxes)


def doubled(world: World) -> Iterator[str]:
    return invariants.nothing_doubled(world.truth, world.office)


def invented(world: World) -> Iterator[str]:
    return invariants.only_what_was_accepted(world.truth, world.office)


def disordered(world: World) -> Iterator[str]:
    return invariants.lanes_in_order_of_acceptance(world.truth, world.office)


def unaccounted(world: World) -> Iterator[str]:
    return invariants.what_was_given_up_is_accounted_for(world.truth, world.office, world.boxes[0])


def silent_conflicts(world: World) -> Iterator[str]:
    return invariants.conflicts_raise_an_alarm(world.truth, world.office)


def of_lane(world: World, lane: Lane) -> list[int]:
    return [at for at, row in enumerate(world.office.rows) if row.lane is lane and row.edge == "gate-1"]


def forget_a_record(world: World) -> None:
    del world.truth.in_ledger[next(iter(world.truth.promised))]


def repeat_a_row(world: World) -> None:
    row = world.office.rows[of_lane(world, Lane.D)[0]]
    world.office.rows.append(msgspec.structs.replace(row, position=len(world.office.rows) + 1))


def repeat_a_row_under_another_id(world: World) -> None:
    row = world.office.rows[of_lane(world, Lane.D)[0]]
    other = msgspec.structs.replace(row, position=len(world.office.rows) + 1, event_id="ab" * 16, source_no=None)
    world.office.rows.append(other)


def renumber_a_row(world: World) -> None:
    at = of_lane(world, Lane.D)[3]
    world.office.rows[at] = msgspec.structs.replace(world.office.rows[at], seq=999)


def swap_two_rows(world: World) -> None:
    one, two = of_lane(world, Lane.D)[2:4]
    rows = world.office.rows
    rows[one], rows[two] = rows[two], rows[one]


def lose_a_telemetry_row(world: World) -> None:
    row = world.office.rows.pop(of_lane(world, Lane.S)[-1])
    world.truth.serials.pop(row.event_id, None)


def count_one_dropped_too_many(world: World) -> None:
    depths = world.boxes[0].depths
    depths[Lane.T] = type(depths[Lane.T])(accepted=1, acknowledged=0, queued=0, dropped={"thinned": 1})


def accept_a_clash_in_silence(world: World) -> None:
    serial = len(world.truth.made) + 1
    world.truth.made[serial] = Made(serial, "gate-1/face-1", Lane.D, numbered=True, clash=True)
    world.truth.promised[serial] = 0.0


@pytest.mark.parametrize(
    ("checker", "tamper"),
    [
        (lost, forget_a_record),
        (doubled, repeat_a_row),
        (doubled, repeat_a_row_under_another_id),
        (invented, renumber_a_row),
        (disordered, swap_two_rows),
        (unaccounted, lose_a_telemetry_row),
        (unaccounted, count_one_dropped_too_many),
        (silent_conflicts, accept_a_clash_in_silence),
    ],
    ids=lambda function: function.__name__,
)
def test_a_checker_speaks_only_when_something_is_wrong(
    checker: Callable[[World], Iterator[str]], tamper: Callable[[World], None]
) -> None:
    async def play(world: World) -> None:
        await live(world, 40)
        world.boxes[0]._audit()
        assert list(checker(world)) == []
        tamper(world)
        assert list(checker(world)) != []

    run_scene(QUIET, play)


def test_a_hole_in_a_lane_and_a_changed_body_are_found() -> None:
    async def play(world: World) -> None:
        await live(world, 40)
        ledger = await world.office.store.open()
        broken, lanes = await invariants.lanes_without_unexplained_holes(ledger, world.office, ["gate-1"])
        assert (broken, lanes) == ([], 10)
        (epoch,) = await ledger.epochs("gate-1")
        links = ledger._tables.links["gate-1", epoch.epoch, Lane.D]
        links[3] = links[3]._replace(body=b"{}")
        del ledger._tables.links["gate-1", epoch.epoch, Lane.M][2]
        broken, _ = await invariants.lanes_without_unexplained_holes(ledger, world.office, ["gate-1"])
        assert [sentence.split(": ")[1] for sentence in broken] == [
            "number 2 is missing",
            "the body of number 3 was changed",
        ]

    run_scene(replace(QUIET, terminals=3), play)


@pytest.mark.parametrize(
    ("field", "says"), [("queued", "rows wait"), ("acknowledged", "do not add up"), ("acked", "only ever had")]
)
def test_an_audit_speaks_when_a_counter_lies(field: str, says: str) -> None:
    async def play(world: World) -> None:
        await live(world, 40)
        (box,) = world.boxes
        box._audit()
        book = box.store._core.book.lanes[Lane.D]
        if field == "queued":
            book.queued, book.acknowledged = book.queued + 1, book.acknowledged - 1
        elif field == "acknowledged":
            book.acknowledged += 1
        else:
            world.truth.committed_through[box.edge, box.store.epoch, Lane.D] = book.acked - 1
        with pytest.raises(Violation, match=says):
            box._audit()

    run_scene(QUIET, play)
