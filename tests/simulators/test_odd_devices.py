"""Devices that count anew, jump in time, repeat their past or lose power, on a whole campus of real processes."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest

from simulators.broker import Flavour
from simulators.campus.layout import Ports, device_facts, plan_campus, read_devices
from simulators.campus.ledger_client import all_stored
from simulators.campus.processes import RunningCampus
from simulators.children import free_ports
from simulators.compare import Comparison, compare
from simulators.journal import JournalWriter, read_journal
from simulators.people import Shown, Swipe, Verdict, make_people
from simulators.school import School, make_terminals
from tests.support.waiting import until
from wire.clock import SystemTime

pytestmark = pytest.mark.processes

PEOPLE = make_people(2)


class Stage:
    def __init__(self, campus: RunningCampus, writer: JournalWriter) -> None:
        layout = campus.layout
        self.campus, self.writer = campus, writer
        self.facts = device_facts(layout, read_devices(layout))
        slots = {slot.serial: slot for slot in layout.slots()}
        terminals = make_terminals([slot.config() for slot in slots.values()], 2, writer, characters={})
        self.school = School(
            terminals, lambda t: layout.address(slots[t.client_id]), PEOPLE, iter(()), seed=2, clock=SystemTime()
        )
        self.first = terminals[0]

    def swipe(self, count: int) -> None:
        """The same few people at the first terminal, so that after a reset records differ in little but their time."""
        for number in range(count):
            self.school.play(Swipe(0.0, 0, PEOPLE[number % 3].index, Verdict.ALLOWED, Shown.FACE, "in"))
        self.school.play(Swipe(0.0, 0, None, Verdict.STRANGER, Shown.FACE, "in"))

    async def delivered(self) -> None:
        await until(lambda: self.school.owed() == 0, 60)
        await until(lambda: self.campus.queued() == 0, 60)

    async def result(self) -> Comparison:
        await self.delivered()
        return compare(read_journal(self.writer.path), await all_stored(self.campus.client), self.facts)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    devices, uplink, api = free_ports(3)
    folder = tmp_path / "campus"
    folder.mkdir()
    campus = RunningCampus(
        plan_campus(folder, Flavour.IOTCORE, Ports(devices=devices, uplink=uplink, api=api), terminals=2)
    )
    try:
        await campus.start()
        with JournalWriter(folder / "journal.jsonl") as writer:
            stage = Stage(campus, writer)
            links = asyncio.create_task(stage.school.run_links())
            try:
                yield stage
            finally:
                links.cancel()
                with suppress(asyncio.CancelledError):
                    await links
    finally:
        await campus.close()


async def test_a_factory_reset_begins_a_new_count_and_every_record_stands_once(stage: Stage) -> None:
    runner = stage.school.runners[stage.first.client_id]
    for _ in range(2):
        stage.swipe(6)
        await stage.delivered()
        runner.cut(2.0, power=True)
        stage.first.wipe(runner.now())
        await until(lambda: stage.first.powered)
    stage.swipe(6)
    result = await stage.result()
    assert (result.total.produced, result.total.stored) == (21, 21)
    assert result.exact, result
    assert stage.first.memory.run == 2


async def test_a_clock_that_jumps_back_and_forth_loses_and_doubles_nothing(stage: Stage) -> None:
    for jump_s in (0.0, -7200.0, 90_000.0, -90_000.0):
        stage.first.clock.wrong_by_s += jump_s
        stage.swipe(4)
        await stage.delivered()
    result = await stage.result()
    assert result.total.stored == 20
    assert result.exact, result


async def test_a_past_that_is_sent_again_on_demand_is_known_already(stage: Stage) -> None:
    stage.swipe(8)
    await stage.delivered()
    runner = stage.school.runners[stage.first.client_id]
    published = runner.counters.published
    span = {"TimeS": "2020-01-01 00:00:00", "TimeE": "2099-01-01 00:00:00"}
    command = {"messageId": "r-1", "operator": "ManualPushRecords", "info": span}
    stage.first.received(json.dumps(command).encode(), runner.now())
    runner.nudge()
    await until(lambda: runner.counters.published >= published + 10)
    result = await stage.result()
    assert result.total.stored == 9
    assert result.exact, result


async def test_what_was_recorded_while_the_campus_was_dead_arrives_once_and_in_order(stage: Stage) -> None:
    for name in ("gate-1", "aggregator", "broker"):
        stage.campus.children.kill(name)
    stage.swipe(10)
    result = await stage.result()
    assert result.total.stored == 11
    assert result.exact, result
    answer = await stage.campus.client.get("/api/v1/events", device="gate-1/face-01", order="asc", limit=1000)
    numbers = [
        item["source"]["record_no"]
        for item in answer["items"]
        if item["topic"] == "AccessControl/AccessGranted/Credential"
    ]
    assert numbers == sorted(numbers)
