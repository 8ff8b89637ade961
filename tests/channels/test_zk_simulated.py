"""The simulated ZKTeco terminals against the channel, over real sockets: two sides that were written apart."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TypeVar

from simulators.chance import seeded
from simulators.device import DeviceClock, Memory
from simulators.http_device import HttpDeviceRunner
from simulators.iclock_device import IclockConfig, IclockDevice, IclockFaults
from simulators.people import make_people
from simulators.zk_pos import Purse, ZkPos
from simulators.zk_terminal import ZkTerminal
from tests.channels.http_rig import HOST, POS, SERIAL, Rig, attendance, canteen
from tests.simulators.rig import Seen
from wire.system_clock import SystemClock

D = TypeVar("D", bound=IclockDevice)


@asynccontextmanager
async def line(rig: Rig, kind: type[D], serial: str, **faults: float) -> AsyncIterator[tuple[D, HttpDeviceRunner]]:
    """A device on its line to the channel."""
    device = kind(
        IclockConfig(serial=serial, batch=5, waits_max_s=0.02),
        clock=DeviceClock(wrong_by_s=-3600),
        memory=Memory(),
        witness=Seen(),
        chance=seeded("simulated", serial),
        faults=IclockFaults(**faults),
    )
    runner = HttpDeviceRunner(device, HOST, rig.channel.port, SystemClock(assume_synced=True))
    running = asyncio.create_task(runner.run())
    try:
        yield device, runner
    finally:
        running.cancel()
        await asyncio.wait([running])


async def quiet(device: IclockDevice) -> None:
    """Until the device owes nothing."""
    async with asyncio.timeout(60):
        while device.owed():  # noqa: ASYNC110  the device has nobody to tell
            await asyncio.sleep(0.01)


async def test_a_backlog_with_every_fault_of_a_line_is_stored_once() -> None:
    async with attendance() as rig, line(rig, ZkTerminal, SERIAL, deaf=0.2, cut=0.2, garbage=0.2) as (device, runner):
        for number in range(60):
            device.punch(f"2026{number:04d}", number, runner.now(), out=bool(number % 2))
        runner.nudge()
        await quiet(device)
        assert len(rig.intake.events()) == 60
        assert {event.direction for event in rig.intake.events()} == {"in", "out"}


async def test_an_unplugged_terminal_brings_its_backlog_when_it_is_back() -> None:
    async with attendance() as rig, line(rig, ZkTerminal, SERIAL) as (device, runner):
        runner.plug(plugged=False)
        for number in range(12):
            device.punch(f"2026{number:04d}", number, runner.now())
        runner.nudge()
        await asyncio.sleep(0.05)
        assert rig.intake.events() == []
        runner.plug(plugged=True)
        await quiet(device)
        assert len(rig.intake.events()) == 12


async def test_names_photos_and_doors_of_a_terminal() -> None:
    async with attendance() as rig, line(rig, ZkTerminal, SERIAL) as (device, runner):
        device.enrol(make_people(1)[0])
        device.photograph(b"\xff\xd8CANARY")
        device.operation(3, runner.now(), first=54)
        runner.nudge()
        await quiet(device)
        performed = await rig.channel.perform(rig.order("AccessDoor"))
        assert performed.result == "succeeded"
        assert device.unlocked == 1
        assert [event.topic for event in rig.intake.events()] == ["Door/State/DoorAlarm"]
        assert rig.quarantine == []


async def test_what_a_terminal_is_asked_for_again_is_known() -> None:
    async with attendance() as rig, line(rig, ZkTerminal, SERIAL) as (device, runner):
        device.punch("20260001", 1, runner.now())
        runner.nudge()
        await quiet(device)
        span = {"replay_from": "2000-01-01 00:00:00", "replay_to": "2099-01-01 00:00:00"}
        assert (await rig.channel.perform(rig.order("ReplayRecords", **span))).result == "succeeded"
        async with asyncio.timeout(60):
            while not rig.counters["repeats_total"]:  # noqa: ASYNC110  a counter tells nobody
                await asyncio.sleep(0.01)
        assert len(rig.intake.events()) == 1


async def test_sales_that_a_terminal_forgot_are_pulled_out_of_it() -> None:
    async with canteen() as rig, line(rig, ZkPos, POS, deaf=0.1, cut=0.1) as (device, runner):
        purse = Purse("0010732817", 10**6)
        for number in range(40):
            device.forgets = 1.0 if number in {7, 8, 20} else 0.0
            device.sell(purse, 100 + number, runner.now())
        runner.nudge()
        await quiet(device)
        sales = [event for event in rig.intake.records if event.topic == "Payment/Sale"]
        assert sorted(event.source.record_no for event in sales if event.source) == list(range(1, 41))
        assert sorted(rig.holes()) == [("filled", 8, 9), ("filled", 21, 21), ("open", 8, 9), ("open", 21, 21)]
        assert sum(int(event.values["amount_fen"]) for event in sales) == 10**6 - purse.balance_fen
