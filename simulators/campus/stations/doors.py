"""Doors of workshops: esp-rfid boards on the campus broker, built by the school's own pupils.

People hold cards to them, known ones and others, press the button on their way out, walk through and close the door
behind them; now and then somebody forces one. The office opens them, too.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import Any, Final

from aggregator.broker import BrokerUser, terminal_user
from device_profiles.protocols.esprfid import TOPICS
from simulators.campus.naming import named
from simulators.campus.operator import Order
from simulators.campus.stations import Known, Life, Place, Station
from simulators.chance import seeded
from simulators.esprfid import ADMIN, DISABLED, BoardConfig, DoorBoard, User
from simulators.mqtt_device import DeviceRunner
from simulators.people import Person

PROFILE: Final = "esprfid-door"
PLACES: Final = ("workshop", "store")
# A box that was killed knows of a door again once it has heard of it.
HEARTBEAT_S: Final = 3.0
HAPPENS_EVERY_S: Final = (1.0, 3.0)
WALKS_S: Final = 0.2
_EXPIRED_S: Final = 1_600_000_000.0


class DoorStation(Station):
    """See the module."""

    name = "doors"

    def __init__(self) -> None:
        self._place: Place | None = None
        self._boards: list[tuple[DoorBoard, DeviceRunner]] = []

    async def open(self, place: Place) -> None:
        """See Station: nothing is bound, the broker is the campus'."""
        self._place = place

    def channels(self) -> Sequence[Mapping[str, Any]]:
        """See Station."""
        return [
            {
                "name": "doors",
                "protocol": "esprfid",
                "transport": {"kind": "mqtt"},
                "devices": [
                    {
                        "name": hostname,
                        "profile": PROFILE,
                        "address": {"hostname": hostname, "ip": ip},
                        **named("door", place),
                    }
                    for hostname, ip, place in _doors()
                ],
            }
        ]

    def known(self) -> Mapping[str, Known]:
        """See Station."""
        return {hostname: Known(device=hostname) for hostname, _, _ in _doors()}

    def accounts(self, password_hash: Mapping[str, str]) -> Sequence[BrokerUser]:
        """See Station: as `campus-aggregator terminal add --protocol esprfid` makes them."""
        return [
            terminal_user(account, TOPICS, TOPICS.prefix, password_hash[account]) for account in self.account_names()
        ]

    def account_names(self) -> Sequence[str]:
        """See Station."""
        return [hostname for hostname, _, _ in _doors()]

    def topic_prefixes(self) -> Sequence[str]:
        """See Station."""
        return [TOPICS.prefix]

    def orders(self) -> Sequence[Order]:
        """See Station."""
        assert self._place is not None  # noqa: S101  opened before anything is asked
        return [Order((f"{self._place.edge}/{hostname}",), "AccessDoor") for hostname, _, _ in _doors()]

    async def run(self, life: Life) -> None:
        """See Station."""
        assert self._place is not None  # noqa: S101  opened before it runs
        for index, (hostname, ip, _) in enumerate(_doors()):
            config = BoardConfig(
                hostname=hostname, ip=ip, prefix=TOPICS.prefix, users=_users(life.people), heartbeat_s=HEARTBEAT_S
            )
            board = DoorBoard(config, witness=life.witness)
            chance = seeded(self._place.seed, "door board", index)
            self._boards.append(
                (board, DeviceRunner(board, life.broker[hostname], clock=life.clock, chance=chance.random))
            )
        async with asyncio.TaskGroup() as group:
            for _, runner in self._boards:
                group.create_task(runner.run())

    async def produce(self, life: Life) -> None:
        """See Station."""
        assert self._place is not None  # noqa: S101  opened before it runs
        async with asyncio.TaskGroup() as group:
            for index, (board, runner) in enumerate(self._boards):
                group.create_task(self._use(life, seeded(self._place.seed, "door", index), board, runner))

    async def _use(self, life: Life, chance: Random, board: DoorBoard, runner: DeviceRunner) -> None:
        while True:
            await asyncio.sleep(chance.uniform(*HAPPENS_EVERY_S))
            match chance.randrange(10):
                case 0:
                    board.swipe("08ffffff", runner.now())
                case 1:
                    board.ring(runner.now())
                case 2:
                    board.press(runner.now())
                case 3:
                    board.pull(runner.now())
                case _:
                    board.swipe(_uid(chance.choice(life.people)), runner.now())
            runner.nudge()
            await asyncio.sleep(WALKS_S)
            if board.released(runner.now()):
                board.pull(runner.now())
                runner.nudge()
                await asyncio.sleep(WALKS_S)
            board.shut(runner.now())
            runner.nudge()


def _doors() -> Iterator[tuple[str, str, str]]:
    """Hostname, which is also the name on the box; IP address; place."""
    yield from ((f"{place}-door", f"192.0.2.{number}", place) for number, place in enumerate(PLACES, start=41))


def _uid(person: Person) -> str:
    return f"{int(person.card):08x}"


def _users(people: Sequence[Person]) -> dict[str, User]:
    """Most may enter; a few run the place, a few may not any more."""
    users = {}
    for person in people:
        match person.index % 10:
            case 0:
                users[_uid(person)] = User(person.name, ADMIN)
            case 1:
                users[_uid(person)] = User(person.name, DISABLED)
            case 2:
                users[_uid(person)] = User(person.name, valid_until_s=_EXPIRED_S)
            case _:
                users[_uid(person)] = User(person.name)
    return users


STATION: Final = DoorStation
