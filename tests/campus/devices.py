"""Terminals that keep a record until they are told "got it", and the wire to their box.

A terminal numbers its records, has a clock of whole seconds, sends what it keeps again after a while, sometimes twice,
sometimes everything at once after an outage; a reset makes it count from one again. A faulty one gives a number to two
different records.
"""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING
from zlib import crc32

import msgspec

from edge_agent.draft import NO_ID, NO_STAMP, Draft
from tests.campus.chance import Chance
from tests.campus.clocks import WALL_START_S
from tests.campus.truth import Truth
from wire.clock import NS_PER_S, utc_text
from wire.identity import SourceKey, content_no, derived_id
from wire.records import Credential, CredentialKind, DeviceTime, Event
from wire.topics import Lane, lane_of

if TYPE_CHECKING:
    from tests.campus.box import Box

RESETS = 0.01
DOOR = ("AccessControl/AccessGranted/Credential", "AccessControl/Denied/Credential", "Attendance/Punch")
ALARM = ("Door/State/DoorAlarm", "AccessControl/WrongTries")
MONEY = ("Payment/Sale", "Payment/Refund")
STATE = ("Biometric/Enrolled", "Credential/State/Enabled")


class Wire:
    """Between one terminal and the box it belongs to: delay, loss, doubles."""

    def __init__(self, box: "Box", chance: Chance) -> None:
        self.box = box
        self.loss = 0.03
        self._chance = chance

    def up(self, terminal: "Terminal", draft: Draft, serial: int) -> None:
        box = self.box
        self._carry(lambda: box.hear(terminal, draft, serial))

    def down(self, deliver: Callable[[], None]) -> None:
        self._carry(deliver)

    def _carry(self, deliver: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(2 if self._chance.happens(self.loss) else 1):
            if not self._chance.happens(self.loss):
                loop.call_later(self._chance.uniform(0.002, 0.08), deliver)


class Terminal:
    """One device. `run` until cancelled; `producing` off stops new records, not the sending of old ones."""

    def __init__(self, name: str, wire: Wire, chance: Chance, truth: Truth, *, mean_s: float, money: bool) -> None:
        """mean_s: mean time between records."""
        self.name = name
        self.wire = wire
        self.producing = True
        self._edge = wire.box.edge
        self._chance = chance
        self._truth = truth
        self._mean_s = mean_s
        self._money = money
        self._window = 1 if chance.happens(0.5) else 4
        # Every third counts nothing: its records are numbered by their content, in no order.
        self._counts = crc32(name.encode()) % 3 > 0
        self._number = 0
        self._last: tuple[Event, int] | None = None
        self._offset_s = chance.randrange(-3600, 3600)
        self._kept: dict[int, Draft] = {}
        self._sent_s: dict[int, float] = {}
        self._news = asyncio.Event()

    @property
    def keeps(self) -> int:
        """Records it has not been told to forget."""
        return len(self._kept)

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(self._produce())
            group.create_task(self._send())

    async def _produce(self) -> None:
        while True:
            await asyncio.sleep(self._chance.pause_s(self._mean_s))
            if not self.producing:
                continue
            if self._chance.happens(RESETS):
                await self._reset()
            # Before its first record was accepted, nobody could say which of two with one number is right.
            taken = self._last is not None and self._last[1] not in self._kept
            self._keep(self._clashing() if taken and self._chance.happens(0.003) else self._new())

    async def _reset(self) -> None:
        """Counts from one again; what it kept is wiped. Nobody promised anything about that."""
        self._truth.trace.say(self.name, "reset")
        self._kept.clear()
        self._sent_s.clear()
        self._number, self._last = 0, None
        await asyncio.sleep(5)

    def _new(self) -> tuple[Event, int]:
        kinds = ALARM if self._chance.happens(0.08) else STATE if self._chance.happens(0.08) else DOOR
        topic = self._chance.choice(MONEY if self._money else kinds)
        serial = self._make(lane_of(topic), clash=False)
        self._number += 1
        wall_s = WALL_START_S + int(asyncio.get_running_loop().time()) + self._offset_s
        wall_ns = wall_s * NS_PER_S
        values = {"serial": serial}
        if self._chance.happens(0.01):
            values |= {f"note_{n}": "x" * 250 for n in range(31)}
        return Event(
            id=NO_ID,
            stamp=NO_STAMP,
            device=f"{self._edge}/{self.name}",
            topic=topic,
            credential=Credential(kind=CredentialKind.FACE, ref=derived_id("person", serial % 40)),
            device_time=DeviceTime(raw=utc_text(wall_ns)[:19], zone="UTC", wall_ns=wall_ns),
            source=SourceKey(record_no=self._number if self._counts else content_no(derived_id(self.name, serial))),
            values=values,
        ), serial

    def _clashing(self) -> tuple[Event, int]:
        """The number of the record before, with other content."""
        assert self._last is not None
        before, _ = self._last
        serial = self._make(lane_of(before.topic), clash=True)
        return _with(before, values={"serial": serial}), serial

    def _make(self, lane: Lane, *, clash: bool) -> int:
        maker = f"{self._edge}/{self.name}"
        return self._truth.make(maker, lane, numbered=True, stop_and_wait=self._window == 1, clash=clash)

    def _keep(self, made: tuple[Event, int]) -> None:
        self._last = made
        self._kept[made[1]] = Draft(made[0])
        self._news.set()

    async def _send(self) -> None:
        loop = asyncio.get_running_loop()
        patience_s = self._chance.uniform(2, 8)
        while True:
            for serial, draft in list(self._kept.items())[: self._window]:
                sent_s = self._sent_s.get(serial)
                if sent_s is not None and loop.time() - sent_s < patience_s:
                    continue
                again = Draft(_with(draft.record, replayed=True)) if sent_s is not None else draft
                self._sent_s[serial] = loop.time()
                self.wire.up(self, again, serial)
            self._news.clear()
            try:
                async with asyncio.timeout(patience_s / 2 if self._kept else None):
                    await self._news.wait()
            except TimeoutError:
                pass

    def told(self, serial: int) -> None:
        """ "Got it"."""
        if self._kept.pop(serial, None) is not None:
            self._sent_s.pop(serial, None)
            self._truth.promise(serial, asyncio.get_running_loop().time())
            self._news.set()


def _with(record: object, **changes: object) -> Event:
    assert isinstance(record, Event)
    return msgspec.structs.replace(record, **changes)
