"""What the simulation found, each told once more without chance. The seed that found it stands with it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from aggregator.admission import Admission
from aggregator.ledger import Ledger
from edge_agent.outbox import Entry, Fate, OutboxLimits, OutboxStore
from tests.admission.box import CAMPUS, Box, ack, welcome
from tests.campus.office import MemoryStore, SqliteStore
from tests.campus.virtual_loop import virtual
from tests.support.clock import seeded
from wire.clock import NS_PER_S
from wire.records import DeviceTime, Event, encode_record
from wire.topics import Lane

STORES = pytest.mark.parametrize("store", [MemoryStore, SqliteStore])


async def desk(ledger: Ledger, box: Box) -> Admission:
    async def enrolled(edge: str):
        return box.enrolled() if edge == box.edge else None

    return Admission(ledger, campus=CAMPUS, clock=box.clock, enrolled=enrolled)


def swipe(box: Box, number: int, second: int, **fields) -> Event:
    """A numbered record that the device dates itself."""
    at = DeviceTime(raw=str(second), zone="UTC", wall_ns=second * NS_PER_S)
    return box.event(record_no=number, device_time=at, **fields)


@STORES
def test_a_hello_that_the_wire_said_twice_does_not_send_the_box_into_a_new_epoch(store: Callable) -> None:
    """Seed 363: the second one arrived when the ledger had already gone on, and looked like a card rolled back."""

    @virtual
    async def run() -> None:
        box = Box()
        admission = await desk(await store(seeded(9)).open(), box)
        hello = box.hello()
        box.put(box.event(), box.event(), box.event())
        assert welcome(await admission.receive(*hello)).verdict == "resume"
        assert ack(await admission.receive(*box.batch(Lane.D, 0))).through == 3
        again = welcome(await admission.receive(*hello))
        assert (again.verdict, again.session, again.lanes[Lane.D].through) == ("resume", box.nonce, 3)
        box.put(box.event())
        assert ack(await admission.receive(*box.batch(Lane.D, 3))).through == 4

    run()


@STORES
def test_a_number_that_another_count_had_used_before_a_rollback_is_filed_beside_it(store: Callable) -> None:
    """Seed 156: the terminal was reset, the card with the memory of that was rolled back, the number came again."""

    @virtual
    async def run() -> None:
        box = Box()
        ledger = await store(seeded(9)).open()
        admission = await desk(ledger, box)
        await admission.receive(*box.hello())
        box.put(swipe(box, 7, 100), swipe(box, 7, 500, source_epoch=1))
        assert ack(await admission.receive(*box.batch(Lane.D, 0))).through == 2
        # What follows comes from the rolled back card, for which the count of second 500 never was.
        later, same_time = swipe(box, 7, 900, source_epoch=1), swipe(box, 7, 500, source_epoch=1, reason="other")
        repeat = swipe(box, 7, 500, source_epoch=0)
        box.put(later, same_time, repeat)
        assert ack(await admission.receive(*box.batch(Lane.D, 2))).through == 5
        rows = [row for row in await ledger.read(0, 100) if row.source_no == 7]
        assert [(row.source_epoch, row.occurred_ns // NS_PER_S) for row in rows] == [(0, 100), (1, 500), (2, 900)]
        assert [entry.seq for entry in await ledger.quarantined(10)] == [4]
        topics = [row.topic for row in await ledger.read(0, 100)]
        assert topics.count("Delivery/Conflict") == 1

    run()


def test_a_reset_terminal_that_sends_its_newest_record_first_keeps_all_of_them() -> None:
    """Seed 11: the newest stood above the highest number and hid the reset; those before it met numbers in use."""
    box = Box()
    store = OutboxStore.open(
        Path("outbox.sqlite"),
        clock=box.clock,
        random=box.random,
        edge=box.edge,
        limits=OutboxLimits(),
        connect=lambda: sqlite3.connect(":memory:", isolation_level=None),
    )

    def fates(*records: Event) -> list[Fate]:
        return [answer.fate for record in records for answer in store.append([Entry(record, encode_record(record))])]

    old = [swipe(box, number, number) for number in (1, 2, 3)]
    anew = [swipe(box, number, 100 + number) for number in (5, 2, 3, 1, 4)]
    assert fates(*old, *anew) == [Fate.STORED] * 8
    assert fates(*anew, *old) == [Fate.REPEAT] * 8
    clash = swipe(box, 2, 102, reason="other")
    assert fates(clash) == [Fate.CONFLICT]
