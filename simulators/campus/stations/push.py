"""Terminals that push over HTTP to the box: attendance clocks in the corridor, tills in the canteen.

The clocks see people all day. The tills sell around lunch, and a few things between the lessons, so that a short demo
has money in it, too.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from typing import Any, Final

from simulators.campus.naming import named
from simulators.campus.stations import Known, Life, Place, Station
from simulators.chance import seeded
from simulators.children import free_ports
from simulators.device import DeviceClock, Memory
from simulators.http_device import HttpDeviceRunner
from simulators.iclock_device import IclockConfig, IclockFaults
from simulators.people import steady_flow
from simulators.zk_pos import Purse, ZkPos
from simulators.zk_terminal import ZkTerminal

HOST: Final = "127.0.0.1"
CLOCKS: Final = 2
TILLS: Final = 2
MEMORY: Final = 20_000
PUNCHES_PER_MINUTE: Final = 60
SALE_EVERY_S: Final = (0.8, 2.0)
SALE_AT_LUNCH_EVERY_S: Final = (0.05, 0.3)
PRICES_FEN: Final = (150, 300, 450, 800, 1200, 1250, 1600)
# One sale in so many is taken back at once: the wrong key.
TAKEN_BACK_ONE_IN: Final = 25
# A terminal asks for commands so often at most, so that a demo sees them.
POLL_S: Final = 2.0


class PushStation(Station):
    """See the module."""

    name = "push"

    def __init__(self) -> None:
        self._place: Place | None = None
        self._ports = (0, 0)
        self._clocks: list[ZkTerminal] = []
        self._tills: list[ZkPos] = []
        self._runners: dict[str, HttpDeviceRunner] = {}

    async def open(self, place: Place) -> None:
        """See Station."""
        self._place = place
        clocks, tills = free_ports(2)
        self._ports = (clocks, tills)

    def channels(self) -> Sequence[Mapping[str, Any]]:
        """See Station."""
        clocks, tills = self._ports
        return [
            _channel("clocks", "zk-adms-att", clocks, _clock_names(), ("clock", "corridor")),
            _channel("tills", "zk-cm-pos", tills, _till_names(), ("till", "canteen")),
        ]

    def known(self) -> Mapping[str, Known]:
        """See Station."""
        clocks = {serial: Known(device=name, spaces=None) for name, serial in _clock_names()}
        return clocks | {serial: Known(device=name, spaces={"pos": 0}) for name, serial in _till_names()}

    async def run(self, life: Life) -> None:
        """See Station."""
        assert self._place is not None  # noqa: S101  opened before it runs
        seed, zone = self._place.seed, self._place.zone
        for index, (_, serial) in enumerate(_clock_names()):
            clock = ZkTerminal(
                IclockConfig(serial=serial, waits_max_s=POLL_S),
                clock=DeviceClock(zone, wrong_by_s=40.0 * index),
                memory=Memory(MEMORY),
                witness=life.witness,
                chance=seeded(seed, "clock", index),
                faults=IclockFaults(deaf=0.01, cut=0.01),
            )
            self._clocks.append(clock)
            self._runners[serial] = HttpDeviceRunner(clock, HOST, self._ports[0], life.clock)
        for index, (_, serial) in enumerate(_till_names()):
            till = ZkPos(
                IclockConfig(serial=serial, waits_max_s=POLL_S),
                clock=DeviceClock(zone),
                memory=Memory(MEMORY),
                witness=life.witness,
                chance=seeded(seed, "till", index),
            )
            self._tills.append(till)
            self._runners[serial] = HttpDeviceRunner(till, HOST, self._ports[1], life.clock)
        async with asyncio.TaskGroup() as group:
            for runner in self._runners.values():
                group.create_task(runner.run())

    async def produce(self, life: Life) -> None:
        """See Station."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._pass_by(life))
            for index, till in enumerate(self._tills):
                group.create_task(self._sell(life, index, till))

    def owed(self) -> int:
        """See Station."""
        return sum(device.owed() for device in (*self._clocks, *self._tills))

    async def _pass_by(self, life: Life) -> None:
        assert self._place is not None  # noqa: S101  opened before it runs
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        flow = steady_flow(self._place.seed, life.people, CLOCKS, per_minute=PUNCHES_PER_MINUTE)
        for swipe in flow:
            await asyncio.sleep(max(0.0, began_s + swipe.at_s - loop.time()))
            clock = self._clocks[swipe.terminal]
            runner = self._runners[clock.config.serial]
            clock.swipe(swipe, None if swipe.who is None else life.people[swipe.who], runner.now())
            runner.nudge()

    async def _sell(self, life: Life, index: int, till: ZkPos) -> None:
        assert self._place is not None  # noqa: S101  opened before it runs
        chance = seeded(self._place.seed, "sales", index)
        purses = {person.index: Purse(person.card) for person in life.people}
        runner = self._runners[till.config.serial]
        loop = asyncio.get_running_loop()
        began_s = loop.time()
        for number in count(1):
            at_lunch = life.timetable.at_lunch(loop.time() - began_s)
            await asyncio.sleep(chance.uniform(*(SALE_AT_LUNCH_EVERY_S if at_lunch else SALE_EVERY_S)))
            person = chance.choice(life.people)
            amount_fen = chance.choice(PRICES_FEN)
            till.sell(purses[person.index], amount_fen, runner.now(), who=person.index)
            if number % TAKEN_BACK_ONE_IN == 0:
                till.take_back(purses[person.index], amount_fen, runner.now(), who=person.index)
            runner.nudge()


def _clock_names() -> Iterator[tuple[str, str]]:
    yield from ((f"clock-{number}", f"ZK{number:06d}") for number in range(1, CLOCKS + 1))


def _till_names() -> Iterator[tuple[str, str]]:
    yield from ((f"till-{number}", f"CM{number:06d}") for number in range(1, TILLS + 1))


def _channel(
    name: str, profile: str, port: int, devices: Iterator[tuple[str, str]], what: tuple[str, str]
) -> dict[str, Any]:
    """what: kind and place of these devices."""
    return {
        "name": name,
        "protocol": profile,
        "transport": {"kind": "http-push", "host": HOST, "port": port},
        "devices": [
            {"name": device, "profile": profile, "address": {"serial": serial}, **named(*what, number)}
            for number, (device, serial) in enumerate(devices, start=1)
        ],
    }


STATION: Final = PushStation
