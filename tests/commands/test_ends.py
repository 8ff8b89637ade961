"""The desk through the API: how a command ends, by the box or by the campus."""

from typing import Any

import pytest

from aggregator.accounts import Role
from aggregator.commands.facts import taken_id
from tests.commands.rig import Box, ask, shown
from wire.records import Event, Outcome


async def test_a_lost_command_is_settled_when_its_lease_is(box: Box) -> None:
    lease = box.beat()
    command_id = (await ask(box)).json()["items"][0]["id"]
    await box.settle()
    assert (await shown(box, command_id))["state"] == "requested"
    await box.settle(settled=(lease,), queued=1)
    assert (await shown(box, command_id))["state"] == "requested"
    for _ in range(3):
        await box.settle(settled=(lease,))
    end = await shown(box, command_id)
    assert (end["state"], end["result"], end["end_reason"]) == ("settled", "unreachable", "never_taken")
    settled = [row for row in await box.rig.ledger.read(0, 1000) if row.topic == "Command/Settled"]
    assert len(settled) == 1


async def test_what_was_taken_is_never_settled_by_the_campus(box: Box) -> None:
    lease = box.beat()
    await ask(box)
    (command,) = box.heard()
    await box.take(command)
    await box.settle(settled=(lease,))
    assert (await shown(box, command.id))["state"] == "taken"


async def test_a_view_that_lags_does_not_settle_what_the_ledger_knows_as_taken(box: Box) -> None:
    lease = box.beat()
    await ask(box)
    await box.read()
    (command,) = box.heard()
    values = {"command_id": command.id}
    await box.rig.deliver(
        Event(
            id=taken_id(command.id),
            device=command.device,
            stamp=box.rig.box.clock.stamp(),
            topic="Command/Taken",
            values=values,
        )
    )
    box.beat(settled=(lease,))
    await box.rig.campus.desk.settle(box.edge, box.heartbeat)
    assert [row for row in await box.rig.ledger.read(0, 1000) if row.topic == "Command/Settled"] == []


@pytest.mark.parametrize(("epoch", "result"), [("e" * 32, "unreachable"), ("f" * 32, "unknown")])
async def test_a_later_session_ends_what_an_earlier_one_did_not_take(box: Box, epoch: str, result: str) -> None:
    box.beat()
    command_id = (await ask(box)).json()["items"][0]["id"]
    box.session, box.epoch = "6" * 32, epoch
    await box.settle(pending=1)
    assert (await shown(box, command_id))["state"] == "requested"
    await box.settle()
    assert (await shown(box, command_id))["result"] == result


async def test_a_lease_whose_settling_was_never_heard_is_over_by_the_clock_of_its_box(box: Box) -> None:
    """The campus was cut off from its broker for longer than a box tells a settled lease again."""
    box.beat()
    command_id = (await ask(box)).json()["items"][0]["id"]
    box.rig.box.clock.advance(10.5)
    await box.settle()
    assert (await shown(box, command_id))["state"] == "requested"
    box.rig.box.clock.advance(60)
    await box.settle(pending=1)
    assert (await shown(box, command_id))["state"] == "requested"
    await box.settle()
    end = await shown(box, command_id)
    assert (end["state"], end["result"]) == ("settled", "unreachable")


async def test_a_heartbeat_of_an_earlier_session_ends_nothing_of_a_later_one(box: Box) -> None:
    """Both are under way in the desk at the same time: the view answers after the later one has begun."""
    desk, view = box.rig.campus.desk, box.rig.campus.commands
    box.beat()
    earlier = box.heartbeat
    asked: list[str] = []
    open_of = view.open_of

    async def slowly(edge: str) -> list[dict[str, Any]]:
        desk.hello(edge)
        box.session = "6" * 32
        box.beat()
        asked.append((await ask(box)).json()["items"][0]["id"])
        await box.read()
        return await open_of(edge)

    view.open_of = slowly
    await desk.settle(box.edge, earlier)
    view.open_of = open_of
    await box.read()
    assert (await shown(box, asked[0]))["state"] == "requested"


async def test_the_first_end_stands_and_another_is_counted(box: Box) -> None:
    lease = box.beat()
    await ask(box)
    (command,) = box.heard()
    await box.settle(settled=(lease,))
    await box.end(command, "succeeded")
    end = await shown(box, command.id)
    assert (end["result"], end["conflicts"]) == ("unreachable", 1)


async def test_another_box_ends_nothing(box: Box) -> None:
    box.beat()
    await ask(box)
    (command,) = box.heard()
    await box.rig.ledger.append_campus(
        [
            Outcome(
                id="c" * 32,
                device="@campus",
                stamp=box.rig.clock.stamp(),
                command_id=command.id,
                result="succeeded",
            )
        ],
        box.rig.clock.stamp(),
    )
    await box.read()
    assert (await shown(box, command.id))["state"] == "requested"


async def test_a_rebuild_of_the_view_comes_out_the_same(box: Box) -> None:
    lease = box.beat()
    await ask(box)
    await ask(box, key="second-key")
    first, _ = box.heard()
    await box.take(first)
    await box.end(first, "unknown")
    await box.settle(settled=(lease,))
    async with await box.rig.ask(Role.WALL) as client:
        before = (await client.get("/api/v1/commands")).json()
        await box.rig.campus.commands.rebuild()
        assert (await client.get("/api/v1/commands")).json() == before
