"""Silence: every one is said once and every end of one is said once, whatever of ours ends in between."""

import asyncio
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

import pytest

from aggregator import silence
from aggregator.admission.sessions import Liveness
from aggregator.readers import Registry
from aggregator.silence import EDGE_SILENT_S, SilenceWatch
from tests.admission.box import Box
from tests.readers.conftest import Rig
from tests.support.waiting import until
from wire.records import Event, Record, decode_record


class Desk:
    """A campus that can be restarted, and what it said of silence."""

    def __init__(self, rig: Rig, box: Box) -> None:
        self.rig = rig
        self.box = box
        self.registry = Registry(rig.ledger, rig.views)
        self.failing: Exception | None = None
        self.lost_answer = False
        self.frozen: list[dict[str, Any]] | None = None
        self.watch = self._watch()

    def _watch(self) -> SilenceWatch:
        return SilenceWatch(clock=self.rig.clock, liveness=self._live, edges=self._edges, append=self._append)

    def restart(self) -> None:
        """All that was only in memory is gone."""
        self.rig.campus.restart()
        self.registry = Registry(self.rig.ledger, self.rig.views)
        self.watch = self._watch()

    def _live(self) -> Mapping[str, Liveness]:
        return self.rig.campus.admission.liveness

    async def _edges(self) -> Sequence[Mapping[str, Any]]:
        if self.frozen is not None:
            return self.frozen
        await self.registry.find_position()
        while await self.registry.step():
            pass
        return await self.registry.edges()

    async def _append(self, records: Sequence[Record]) -> object:
        if self.failing is not None:
            raise self.failing
        positions = await self.rig.ledger.append_campus(records, self.rig.clock.stamp())
        if self.lost_answer:
            raise OSError("killed after the commit")
        return positions

    async def connect(self) -> None:
        await self.rig.campus.admission.receive(*self.box.hello())

    async def look(self, after_s: float = 0) -> None:
        self.rig.clock.advance(after_s)
        await self.watch.look()

    async def said(self) -> list[tuple[str, str]]:
        facts = [
            decode_record(row.body)
            for row in await self.rig.ledger.read(0, 1000)
            if row.topic == "EdgeNode/State/Silence" and row.body is not None
        ]
        assert all(isinstance(fact, Event) for fact in facts)
        return [(str(fact.values["edge"]), str(fact.values["state"])) for fact in facts if isinstance(fact, Event)]


SILENT, HEARD = ("gate-1", "silent"), ("gate-1", "heard")


@pytest.fixture
async def desk(rig: Rig) -> Desk:
    """gate-1 has delivered once and is connected."""
    box = Box()
    await rig.deliver(box, box.event())
    return Desk(rig, box)


async def test_thirty_seconds_are_no_silence_and_more_are(desk: Desk):
    await desk.look(EDGE_SILENT_S)
    assert await desk.said() == []
    await desk.look(1)
    assert await desk.said() == [SILENT]
    assert desk.watch.silent == {"gate-1"}


async def test_a_silence_is_said_once_however_long_it_is(desk: Desk):
    for _ in range(10):
        await desk.look(EDGE_SILENT_S)
    assert await desk.said() == [SILENT]


async def test_its_end_is_said_once(desk: Desk):
    await desk.look(EDGE_SILENT_S + 1)
    await desk.connect()
    for _ in range(3):
        await desk.look(1)
    assert await desk.said() == [SILENT, HEARD]
    assert desk.watch.silent == frozenset()


async def test_a_heartbeat_is_enough_not_to_be_silent(desk: Desk):
    for _ in range(5):
        await desk.look(EDGE_SILENT_S - 1)
        await desk.rig.campus.admission.receive(*desk.box.heartbeat())
    assert await desk.said() == []


async def test_each_of_several_silences_is_said_though_the_box_had_nothing_to_report(desk: Desk):
    for _ in range(3):
        await desk.look(EDGE_SILENT_S + 1)
        await desk.connect()
        await desk.look(1)
    assert await desk.said() == [SILENT, HEARD] * 3


async def test_a_restart_within_a_silence_does_not_say_it_again(desk: Desk):
    await desk.look(EDGE_SILENT_S + 1)
    for _ in range(3):
        desk.restart()
        await desk.look()
        await desk.look(EDGE_SILENT_S + 1)
    assert await desk.said() == [SILENT]
    assert desk.watch.silent == {"gate-1"}


async def test_a_silence_that_began_before_our_start_ends_too(desk: Desk):
    await desk.look(EDGE_SILENT_S + 1)
    desk.restart()
    await desk.connect()
    await desk.look(1)
    await desk.look(1)
    assert await desk.said() == [SILENT, HEARD]


async def test_our_start_alone_is_no_sign_of_life(desk: Desk):
    await desk.look(EDGE_SILENT_S + 1)
    desk.restart()
    await desk.look(1)
    assert await desk.said() == [SILENT]


async def test_a_box_that_did_not_come_back_after_our_start_is_silent_from_then(desk: Desk):
    desk.restart()
    await desk.look(EDGE_SILENT_S)
    assert await desk.said() == []
    await desk.look(1)
    assert await desk.said() == [SILENT]


@pytest.mark.parametrize("committed", [False, True])
async def test_what_could_not_be_said_is_said_later_and_what_was_is_not_said_again(desk: Desk, committed: bool):
    desk.lost_answer = committed
    desk.failing = None if committed else OSError("no space left")
    with pytest.raises(OSError, match=r"killed|space"):
        await desk.look(EDGE_SILENT_S + 1)
    desk.failing, desk.lost_answer = None, False
    await desk.look(1)
    assert await desk.said() == [SILENT]


async def test_a_registry_that_is_behind_makes_nothing_be_said_twice(desk: Desk):
    await desk.look(EDGE_SILENT_S + 1)
    desk.frozen = [dict(row) for row in await desk._edges()]
    assert desk.frozen[0]["silence_id"]
    await desk.connect()
    for _ in range(3):
        await desk.look(1)
    desk.frozen = None
    await desk.look(1)
    assert await desk.said() == [SILENT, HEARD]


async def test_an_outage_of_the_ledger_does_not_end_the_watch(
    desk: Desk, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(silence, "LOOK_EVERY_S", 0.005)
    desk.failing = sqlite3.OperationalError("database is locked")
    desk.rig.clock.advance(EDGE_SILENT_S + 1)
    running = asyncio.create_task(desk.watch.run())
    try:
        await until(lambda: "silence could not be looked at" in caplog.messages)
        await asyncio.sleep(0.05)
        desk.failing = None
        await until(lambda: desk.watch.silent)
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
    assert caplog.messages.count("silence could not be looked at") == 1
    assert await desk.said() == [SILENT]
