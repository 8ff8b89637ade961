"""Ten thousand commands while everything breaks: none late, none twice, each with exactly one end."""

from unittest import mock

import pytest

from aggregator.commands import CommandDesk
from edge_agent.downlink import LeaseBook, desk
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from tests.campus import world as worlds
from tests.campus.commands import CommandStorm
from tests.campus.scenario import COMMON, FaultStorm
from tests.campus.world import Outcome, Plan, run_world
from wire.commands import Command, LeaseUse
from wire.delivery import Heartbeat
from wire.records import Event

COMMANDS = 10_000
STEPS_MAX = 30_000_000


def stormy(seed: int, *, storm_s: float, every_s: float, sqlite: bool = False) -> Outcome:
    plan = Plan("commands", boxes=3, terminals=1, record_s=20.0, poll_s=30.0, storm_s=storm_s, sqlite=sqlite)
    with mock.patch.object(worlds, "STEPS_MAX", STEPS_MAX):
        return run_world(seed, plan, CommandStorm(FaultStorm(COMMON), every_s=every_s))


@pytest.mark.parametrize("seed", range(6))
def test_each_command_ends_once_and_no_door_opens_late_or_twice(seed: int) -> None:
    outcome = stormy(seed, storm_s=200, every_s=0.4, sqlite=seed % 3 == 2)
    assert not outcome.broken, str(outcome)
    assert outcome.facts["opened"] > 20


def test_ten_thousand_commands() -> None:
    outcome = stormy(7, storm_s=1100, every_s=0.1)
    assert not outcome.broken, str(outcome)
    facts = outcome.facts
    assert facts["asked"] >= COMMANDS
    assert facts["box_starts"] > 20
    for kind in ("refused", "opened", "end_succeeded", "end_unreachable", "end_unknown"):
        assert facts[kind] > 0, kind
    print(facts)  # noqa: T201  for whoever runs it with -s


# --- a checker that never complains proves nothing ------------------------------------------------------


def test_a_box_that_does_not_look_at_its_leases_is_found() -> None:
    def obey(_book: LeaseBook, _use: LeaseUse, _command_id: str, _now_ns: int) -> None:
        return None

    def for_ever(_book: LeaseBook, _use: LeaseUse) -> int:
        return 2**62

    with mock.patch.object(LeaseBook, "take", obey), mock.patch.object(LeaseBook, "deadline_ns", for_ever):
        outcomes = [stormy(seed, storm_s=300, every_s=0.3) for seed in range(4)]
    assert any("after it was asked for" in told or "the door opened" in told for one in outcomes for told in one.broken)


def test_a_box_that_acts_on_a_command_it_has_had_is_found() -> None:
    def obey(_book: LeaseBook, _use: LeaseUse, _command_id: str, _now_ns: int) -> None:
        return None

    with (
        mock.patch.object(LeaseBook, "take", obey),
        mock.patch.object(desk, "_taken", anonymous),
    ):
        outcome = stormy(1, storm_s=200, every_s=0.3)
    assert any("was carried out 2 times" in told for told in outcome.broken)


def anonymous(command: Command) -> Draft:
    """The record that a command was taken, without the name by which it would be known again."""
    values = {"command_id": command.id}
    return Draft(Event(id=NO_ID, stamp=NO_STAMP, device=command.device, topic="Command/Taken", values=values))


def test_a_campus_that_settles_too_early_is_found() -> None:
    async def at_once(self: CommandDesk, edge: str, heartbeat: Heartbeat) -> None:
        for row in await self._view.open_of(edge):
            await self._conclude(row, "unreachable")

    with mock.patch.object(CommandDesk, "settle", at_once):
        outcome = stormy(2, storm_s=200, every_s=0.3)
    assert any("ends" in told or "the door opened" in told for told in outcome.broken)
