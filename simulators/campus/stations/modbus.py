"""What is asked instead of speaking by itself: two managed doors on a serial line, climate and energy behind a gateway.

    bus     Modbus RTU on a pseudo-terminal: a relay board at the laboratory, one at the archive
    rooms   Modbus TCP: sensors and meters of a floor, one of which loses its power for a while

People leave the laboratory by the exit button, and sometimes they leave its door open; the office opens it, too. The
archive has no button and the office no say: whoever opens its door has forced it.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from itertools import cycle
from typing import Any, Final

from simulators.campus.naming import named
from simulators.campus.operator import Order
from simulators.campus.stations import Known, LateWitness, Life, Place, Station
from simulators.chance import seeded
from simulators.device import Moment, Time
from simulators.modbus_units import ClimateSensor, DoorBoard, EnergyMeter
from simulators.modbus_wire import Line, RtuLine, TcpServer, Unit
from wire.clock import NS_PER_S, SystemTime

HOST: Final = "127.0.0.1"
LABORATORY: Final = "laboratory-door"
ARCHIVE: Final = "archive-door"
# Unit numbers on the line.
DOORS: Final[Mapping[str, int]] = {LABORATORY: 1, ARCHIVE: 2}
PLACES: Final[Mapping[str, str]] = {LABORATORY: "laboratory", ARCHIVE: "archive"}
# What the board shows of the door, and as what it stands on the campus.
TOPICS: Final[Mapping[str, str]] = {"contact": "Door/State/DoorPhysicalState", "button": "Door/RequestToExit"}
ROOMS: Final[Mapping[str, str]] = {
    "climate-1": "xy-md02",
    "climate-2": "xy-md02",
    "climate-3": "xy-md02",
    "meter-1": "sdm-meter",
    "meter-2": "sdm-meter",
}
KINDS: Final[Mapping[str, str]] = {"xy-md02": "climate", "sdm-meter": "meter"}
# The units live in a process that has much else to do.
REPLY_WITHIN_MS: Final = 1000
EVERY_S: Final = (0.8, 2.0)
FORCED_EVERY_S: Final = (2.0, 6.0)
WALKS_S: Final = 0.5
# Longer than the office lets a door be open in the demo, see simulators.campus.tuning.
PROPPED_S: Final = 4.5
# A contact that moves quicker than it is asked for is not seen; people are slower than that, within reason.
SEEN_WITHIN_S: Final = 5.0
POWERLESS: Final = "climate-3"
POWERLESS_AFTER_S: Final = 6.0
POWERLESS_FOR_S: Final = 10.0


class ModbusStation(Station):
    """See the module."""

    name = "modbus"

    def __init__(self) -> None:
        self._place: Place | None = None
        self._witness = LateWitness()
        self._boards: dict[str, DoorBoard] = {}
        self._rooms = Line({})
        self._bus: RtuLine | None = None
        self._gateway: TcpServer | None = None

    async def open(self, place: Place) -> None:
        """See Station: line and gateway are there before the box asks."""
        self._place = place
        place.folder.mkdir(mode=0o700)
        self._boards = {name: DoorBoard(_mono_s, partial(self._strike, name)) for name in DOORS}
        self._bus = RtuLine(Line({DOORS[name]: board for name, board in self._boards.items()}), place.folder / "bus")
        self._bus.open()
        chance = seeded(place.seed, "rooms")
        self._rooms = Line({number: _unit(profile, chance) for number, profile in enumerate(ROOMS.values(), start=1)})
        self._gateway = TcpServer(self._rooms)
        await self._gateway.open()

    def channels(self) -> Sequence[Mapping[str, Any]]:
        """See Station."""
        assert self._bus is not None and self._gateway is not None  # noqa: S101, PT018  opened before
        rooms = {name: (number, profile) for number, (name, profile) in enumerate(ROOMS.items(), start=1)}
        return [
            {
                "name": "bus",
                "protocol": "modbus",
                "transport": {"kind": "modbus-rtu", "port": str(self._bus.path), "reply_within_ms": REPLY_WITHIN_MS},
                "devices": [
                    _device(name, "waveshare-relay-di", number, named("door", PLACES[name]))
                    for name, number in DOORS.items()
                ],
            },
            {
                "name": "rooms",
                "protocol": "modbus",
                "transport": {
                    "kind": "modbus-tcp",
                    "host": HOST,
                    "port": self._gateway.port,
                    "reply_within_ms": REPLY_WITHIN_MS,
                },
                "devices": [
                    _device(name, profile, number, _room_names(name, profile))
                    for name, (number, profile) in rooms.items()
                ],
            },
        ]

    def known(self) -> Mapping[str, Known]:
        """See Station. Samples are no records, and nothing of them is in the journal."""
        return {name: Known(device=name, topics=TOPICS) for name in DOORS} | {
            name: Known(device=name) for name in ROOMS
        }

    def orders(self) -> Sequence[Order]:
        """See Station."""
        assert self._place is not None  # noqa: S101  opened before anything is asked
        return [Order((f"{self._place.edge}/{LABORATORY}",), "AccessDoor")]

    async def run(self, life: Life) -> None:
        """See Station: line and gateway serve by themselves."""
        self._witness.told = life.witness
        await asyncio.Event().wait()

    async def produce(self, life: Life) -> None:
        """See Station."""
        assert self._place is not None  # noqa: S101  opened before it runs
        laboratory, archive = (Doorway(name, self._boards[name], life) for name in (LABORATORY, ARCHIVE))
        async with asyncio.TaskGroup() as group:
            group.create_task(_leave(laboratory, seeded(self._place.seed, LABORATORY)))
            group.create_task(_force(archive, seeded(self._place.seed, ARCHIVE)))
            group.create_task(self._lose_power())

    async def close(self) -> None:
        """See Station."""
        if self._bus is not None:
            self._bus.close()
        if self._gateway is not None:
            await self._gateway.close()

    def _strike(self, name: str) -> None:
        self._witness.executed(name, "", _now(SystemTime()))

    async def _lose_power(self) -> None:
        await asyncio.sleep(POWERLESS_AFTER_S)
        self._rooms.dead.add([*ROOMS].index(POWERLESS) + 1)
        await asyncio.sleep(POWERLESS_FOR_S)
        self._rooms.dead.clear()


class Doorway:
    """A door with a board, and what people do at it. What they do is told before the board can show it."""

    def __init__(self, name: str, board: DoorBoard, life: Life) -> None:
        self.board = board
        self._name = name
        self._life = life

    async def press(self) -> None:
        """Somebody presses the button."""
        self._life.witness.said(self._name, "button", "", _now(self._life.clock))
        self.board.pressed = True
        await self._until_seen()
        self.board.pressed = False
        await self._until_seen()

    async def walk(self, *, open_s: float = WALKS_S) -> None:
        """Somebody opens the door, and closes it."""
        for is_open, lasts_s in ((True, open_s), (False, WALKS_S)):
            self._life.witness.said(self._name, "contact", "", _now(self._life.clock))
            self.board.open = is_open
            await asyncio.sleep(lasts_s)
            await self._until_seen()

    async def _until_seen(self) -> None:
        looked = self.board.looked
        with suppress(TimeoutError):
            async with asyncio.timeout(SEEN_WITHIN_S):
                while self.board.looked == looked:  # noqa: ASYNC110  a board tells nobody that it was asked
                    await asyncio.sleep(0.02)


async def _leave(door: Doorway, chance: random.Random) -> None:
    for open_s in cycle((WALKS_S, PROPPED_S, WALKS_S)):
        await asyncio.sleep(chance.uniform(*EVERY_S))
        # Either the office has just let somebody in, or somebody goes out.
        if not door.board.released:
            await door.press()
        await door.walk(open_s=open_s)


async def _force(door: Doorway, chance: random.Random) -> None:
    while True:
        await asyncio.sleep(chance.uniform(*FORCED_EVERY_S))
        await door.walk()


def _device(name: str, profile: str, number: int, names: Mapping[str, str]) -> dict[str, Any]:
    return {"name": name, "profile": profile, "address": {"unit_id": number}, **names}


def _room_names(name: str, profile: str) -> dict[str, str]:
    return named(KINDS[profile], "floor", int(name.partition("-")[2]))


def _unit(profile: str, chance: random.Random) -> Unit:
    return ClimateSensor(chance) if profile == "xy-md02" else EnergyMeter(chance)


def _mono_s() -> float:
    return SystemTime().mono_ns() / NS_PER_S


def _now(time: Time) -> Moment:
    return Moment(time.mono_ns() / NS_PER_S, time.wall_ns() / NS_PER_S)


STATION: Final = ModbusStation
