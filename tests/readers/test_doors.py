"""Doors: what each said last, and how many passed it, however late that came."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from aggregator.readers import Doors, base
from aggregator.readers.base import SQL
from aggregator.readers.doors import KEPT_MINUTES, MINUTE_NS
from aggregator.storage import Database
from tests.admission.box import Box
from tests.alarms.watch import picture
from tests.readers.conftest import Rig
from wire.clock import NS_PER_S
from wire.records import Credential, CredentialKind, DeviceTime, Event

FACE = "gate-1/face-1"
GRANTED = "AccessControl/AccessGranted/Credential"
DENIED = "AccessControl/Denied/CredentialNotFound"
TABLES = ("doors", "door_minutes", "door_horizon")


class Gate:
    """gate-1 and the doors it has."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.box = Box(clock=rig.clock)
        self.reader = Doors(rig.ledger, rig.views)

    def event(self, topic: str, state: str = "", **fields: Any) -> Event:
        return self.box.event(topic, values={"state": state} if state else {}, **fields)

    async def told(self, *events: Event) -> dict[str, Any]:
        """Records; face-1 after them."""
        await self.rig.deliver(self.box, *events)
        return (await self.doors())[FACE]

    async def doors(self) -> dict[str, dict[str, Any]]:
        await self.reader.find_position()
        while await self.reader.step():
            pass
        return {row["device_id"]: row for row in await self._rows("changed_doors", after=-1)}

    async def minutes(self, device: str = FACE) -> dict[int, tuple[int, int]]:
        """Passages by minutes before now."""
        now = self.rig.clock.wall_ns() // MINUTE_NS
        rows = await self._rows("changed_minutes", after=-1, since=0)
        return {now - row["minute"]: (row["granted"], row["denied"]) for row in rows if row["device_id"] == device}

    async def _rows(self, statement: str, **params: int) -> list[dict[str, Any]]:
        async with self.rig.views.read() as connection:
            return [dict(row) for row in await connection.execute_fetchall(SQL[statement], params)]


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[Gate]:
    async with await Database.open(tmp_path / "views.sqlite", "aggregator.readers") as views:
        yield Gate(Rig(views))


async def test_contact_lock_and_alarm_are_what_was_said_last(gate: Gate):
    door = await gate.told(gate.event("Door/State/DoorPhysicalState", "Open"))
    assert (door["contact"], door["lock"], door["alarm"], door["last_ns"]) == ("Open", None, None, None)
    door = await gate.told(
        gate.event("Door/State/LockPhysicalState", "Unlocked"),
        gate.event("Door/State/DoorPhysicalState", "Closed"),
        gate.event("Door/State/DoorAlarm", "DoorForcedOpen"),
        gate.event("Door/State/LockPhysicalState", "Locked"),
    )
    assert (door["contact"], door["lock"], door["alarm"]) == ("Closed", "Locked", "DoorForcedOpen")
    assert door["changed"] == await gate.rig.ledger.head()


async def test_only_doors_are_doors(gate: Gate):
    await gate.told(gate.event(GRANTED))
    await gate.rig.deliver(
        gate.box,
        gate.box.reading(),
        gate.event("Attendance/Punch", device="gate-1/punch-1"),
        gate.event("Payment/Sale", device="gate-1/till-1"),
        gate.event("Device/State/Operating", "UP", device="gate-1/cam-1"),
    )
    assert list(await gate.doors()) == [FACE]


async def test_the_last_passage_says_with_what(gate: Gate):
    card = Credential(kind=CredentialKind.CARD, ref="cd" * 16, tail="9876")
    door = await gate.told(gate.event(GRANTED, credential=card))
    assert (door["last_topic"], door["last_method"], door["last_tail"]) == (GRANTED, "Card", "9876")
    gate.rig.clock.advance(5)
    door = await gate.told(gate.event(DENIED, credential=card), gate.event("Door/RequestToExit"))
    assert (door["last_topic"], door["last_method"], door["last_tail"]) == ("Door/RequestToExit", None, None)
    assert door["last_ns"] == gate.rig.clock.wall_ns()


async def test_an_earlier_passage_that_comes_later_is_not_the_last(gate: Gate):
    early = gate.event("Door/RequestToExit")
    gate.rig.clock.advance(60)
    later = gate.event(GRANTED)
    await gate.told(later)
    door = await gate.told(early)
    assert (door["last_topic"], door["last_ns"]) == (GRANTED, later.stamp.wall_ns)
    assert (await gate.told(gate.event(GRANTED), early))["last_topic"] == GRANTED


async def test_passages_count_in_the_minute_in_which_they_occurred(gate: Gate):
    backlog = []
    for _ in range(5):
        backlog += [gate.event(GRANTED), gate.event(GRANTED), gate.event(DENIED)]
        gate.rig.clock.advance(60)
    await gate.told(*backlog)
    assert await gate.minutes() == dict.fromkeys(range(1, 6), (2, 1))
    await gate.told(gate.event(GRANTED), gate.event("AccessControl/AccessTaken/Credential"))
    await gate.told(gate.event("AccessControl/Request/Credential"), gate.event("Door/RequestToExit"))
    assert (await gate.minutes())[0] == (1, 0)


async def test_a_clock_that_is_ahead_counts_when_its_record_arrives(gate: Gate):
    tomorrow = DeviceTime(raw="tomorrow", wall_ns=gate.rig.clock.wall_ns() + 86_400 * NS_PER_S)
    door = await gate.told(gate.event(GRANTED, device_time=tomorrow))
    assert door["last_ns"] == gate.rig.clock.wall_ns()
    assert await gate.minutes() == {0: (1, 0)}
    gate.rig.clock.advance(60)
    assert (await gate.told(gate.event(GRANTED)))["last_ns"] == gate.rig.clock.wall_ns()


async def test_what_lies_before_the_horizon_is_let_go_and_not_counted_again(gate: Gate):
    old = gate.event(GRANTED)
    await gate.told(gate.event(GRANTED))
    gate.rig.clock.advance(KEPT_MINUTES * 60 + 3600)
    await gate.told(gate.event(GRANTED))
    assert list(await gate.minutes()) == [0]
    await gate.told(old)
    assert list(await gate.minutes()) == [0]


@pytest.mark.parametrize("batch_rows", [1, 2, 7, 500])
async def test_a_rebuild_comes_out_as_what_grew_step_by_step(
    gate: Gate, monkeypatch: pytest.MonkeyPatch, batch_rows: int
):
    states = ("Open", "Closed", "Unknown")
    for turn in range(40):
        late = gate.event(GRANTED, device=f"gate-1/face-{turn % 3}")
        gate.rig.clock.advance(5 if turn % 7 else 7 * 3600)
        await gate.rig.deliver(
            gate.box,
            gate.event("Door/State/DoorPhysicalState", states[turn % 3]),
            gate.event(GRANTED if turn % 2 else DENIED, device=f"gate-1/face-{turn % 4}"),
            late,
        )
        await gate.doors()
    grown = await picture(gate.rig.views, TABLES)
    assert len(grown["door_minutes"]) > 20
    monkeypatch.setattr(base, "BATCH_ROWS", batch_rows)
    await Doors(gate.rig.ledger, gate.rig.views).rebuild()
    assert await picture(gate.rig.views, TABLES) == grown


async def test_an_erased_record_is_passed_over(gate: Gate):
    await gate.told(gate.event(GRANTED))
    await gate.rig.ledger.blank([row.position for row in await gate.rig.ledger.read(0, 100)])
    await gate.reader.rebuild()
    assert await gate.doors() == {}
    assert gate.reader.health.faults == 0
