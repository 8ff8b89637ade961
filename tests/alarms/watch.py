"""A duty desk for tests: boxes and people that say things, and the alarms that come of it."""

from collections.abc import Iterable, Mapping
from typing import Any

from aggregator.alarms import AlarmReader, State
from aggregator.alarms.alarm import Alarm
from aggregator.alarms.facts import transition
from aggregator.ledger import Ledger
from aggregator.storage import Database
from tests.admission.box import Box
from tests.readers.conftest import Rig
from wire.records import Event, Scalar
from wire.topics import CAMPUS_NODE

DOOR_ALARM = "Door/State/DoorAlarm"
CONTACT = "Door/State/DoorPhysicalState"
OPERATING = "Device/State/Operating"
SILENCE = "EdgeNode/State/Silence"
DURESS = "AccessControl/Duress"
DENIED = "AccessControl/Denied/Credential"
TABLES = ("alarms", "alarm_steps", "alarm_denials")


class Watch:
    """gate-1 and whoever watches it."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.box = Box(clock=rig.clock)
        self.reader = AlarmReader(rig.ledger, rig.views)

    def event(self, topic: str, state: Scalar | None = None, /, **fields: Any) -> Event:
        values: dict[str, Scalar] = fields.pop("values", {}) | ({} if state is None else {"state": state})
        return self.box.event(topic, values=values, **fields)

    async def told(self, topic: str, state: Scalar | None = None, /, **fields: Any) -> list[Alarm]:
        """One record; all alarms after it, oldest first."""
        return await self.hear(self.event(topic, state, **fields))

    async def hear(self, *events: Event) -> list[Alarm]:
        await self.rig.deliver(self.box, *events)
        return await self.alarms()

    async def late(self, *events: Event, after_s: float = 120) -> list[Alarm]:
        """Records that lay on the box for a while."""
        self.rig.clock.advance(after_s)
        return await self.hear(*events)

    async def said(self, topic: str, values: Mapping[str, Scalar], number: int) -> list[Alarm]:
        """A fact of the campus itself."""
        fact = Event(
            id=f"{number:032x}", device=CAMPUS_NODE, stamp=self.rig.clock.stamp(), topic=topic, values=dict(values)
        )
        await self.rig.ledger.append_campus([fact], self.rig.clock.stamp())
        return await self.alarms()

    async def step(self, alarm: Alarm, state: State, operator: str = "chen", **said: str) -> Alarm:
        """Somebody takes a step, without a desk that would look first."""
        stamp = self.rig.clock.stamp()
        await self.rig.ledger.append_campus([transition(alarm, state, operator, stamp, **said)], stamp)
        await self.alarms()
        after = await self.reader.alarm(alarm.id)
        assert after is not None
        return after

    async def alarms(self) -> list[Alarm]:
        await caught_up(self.reader)
        return (await self.reader.page(list(State), limit=1000))[::-1]

    async def steps(self, alarm: Alarm) -> list[str]:
        return [step["step"] for step in await self.reader.steps(alarm.id)]


async def caught_up(reader: AlarmReader) -> None:
    await reader.find_position()
    while await reader.step():
        pass


async def picture(views: Database, tables: Iterable[str] = TABLES) -> dict[str, list[tuple[Any, ...]]]:
    """All that stands in some tables."""
    async with views.read() as connection:
        return {
            name: sorted(tuple(row) for row in await connection.execute_fetchall(f"SELECT * FROM {name}"))
            for name in tables
        }


async def position_of(ledger: Ledger, event: Event) -> int:
    row = await ledger.event(event.id)
    assert row is not None
    return row.position
