"""A part that comes and goes: pauses that neither hammer nor sleep, and two log lines for an outage."""

import asyncio
import logging

import pytest

from tests.campus.virtual_loop import virtual
from wire.outage import Outage

log = logging.getLogger("tests.part")


@virtual
async def test_the_bound_of_the_pause_doubles_to_its_longest_and_falls_back_when_the_part_works() -> None:
    outage = Outage(log, "line", chance=lambda: 1.0)
    assert [outage.began("gone") for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    outage.ended()
    assert outage.began("gone") == 1
    short = Outage(log, "line", chance=lambda: 0.5, longest_s=5)
    assert [short.began("gone") for _ in range(5)] == [0.5, 1, 2, 2.5, 2.5]
    assert short.began("refused", wait_s=30) == 30


@virtual
async def test_an_outage_is_one_line_when_it_begins_and_one_with_its_length(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, log.name)
    outage = Outage(log, "line", chance=lambda: 0.0)
    outage.ended()
    outage.ended()
    for _ in range(3):
        outage.began("unplugged")
        await asyncio.sleep(10)
    outage.began("something else")
    outage.ended()
    outage.ended()
    told = [(record.message, record.part) for record in caplog.records]
    assert told == [("part up", "line"), ("part down", "line"), ("part up", "line")]
    _, down, up = caplog.records
    assert down.cause == "unplugged"
    assert (up.down_for_s, up.attempts) == (30.0, 4)
    assert (outage.count, outage.since_s) == (1, None)
