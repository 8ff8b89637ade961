import asyncio
from pathlib import Path

import pytest

from edge_agent.downlink.desk import WORKING_MAX
from edge_agent.orders import Performed
from edge_agent.outbox import outcome_id, taken_id
from tests.downlink.rig import DEVICE, EDGE, box, quiet
from tests.support.clock import VirtualClock
from wire import codec
from wire.commands import LEASE_VALID_S, Command
from wire.errors import Malformed
from wire.records import Event
from wire.topics import Down, down_topic


async def test_a_command_is_taken_carried_out_and_ended(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        rig.answer = Performed("succeeded", values={"door": 1})
        command = rig.command(rig.lease(), group="9" * 32)
        await rig.send(command)
        (outcome,) = await rig.ended()
        (order,) = rig.orders
        assert (order.request_id, order.address, order.name) == (command.id, "1026701", "AccessDoor")
        assert [(one.resource, one.value) for one in order.operations] == [("door", 1)]
        assert (outcome.id, outcome.command_id, outcome.group_id) == (outcome_id(command.id), command.id, "9" * 32)
        assert (outcome.device, outcome.result, outcome.values) == (DEVICE, "succeeded", {"door": 1})
        assert outcome.executed is not None
        taken = (await rig.records())[0]
        assert isinstance(taken, Event)
        assert (taken.id, taken.topic) == (taken_id(command.id), "Command/Taken")


@pytest.mark.parametrize("result", ["rejected", "unreachable", "unknown"])
async def test_the_end_is_what_the_channel_says(tmp_path: Path, result: str) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        rig.answer = Performed(result, "because")
        await rig.send(rig.command(rig.lease()))
        (outcome,) = await rig.ended()
        assert (outcome.result, outcome.reason) == (result, "because")
        assert (outcome.executed is not None) == (result == "unknown")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"device": f"{EDGE}/no-such"}, "unknown_device"),
        ({"device": "gate-2/face-1"}, "unknown_device"),
        ({"name": "OpenSesame"}, "unknown_command"),
        ({"arguments": {"door": 1}}, "unknown_argument"),
        ({"name": "SetClock"}, "missing_argument"),
        ({"name": "SetClock", "arguments": {"clock": 5}}, "wrong_type"),
    ],
)
async def test_what_cannot_be_done_is_refused_and_nothing_is_sent(
    tmp_path: Path, change: dict[str, object], reason: str
) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        await rig.send(rig.command(rig.lease(), **change))
        (outcome,) = await rig.ended()
        assert (outcome.result, outcome.reason) == ("rejected", reason)
        assert outcome.device in {DEVICE, EDGE}
        assert rig.orders == []


async def test_a_late_command_is_not_carried_out(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        lease = rig.lease()
        rig.clock.advance(LEASE_VALID_S)
        await rig.send(rig.command(lease))
        (outcome,) = await rig.ended()
        assert (outcome.result, outcome.reason, rig.orders) == ("expired", "expired_lease", [])


async def test_a_lease_that_runs_out_while_the_disk_is_slow_gives_no_right(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        append = rig.outbox.append

        async def slow(entries: object) -> object:
            rig.clock.advance(LEASE_VALID_S)
            return await append(entries)

        rig.outbox.append = slow
        await rig.send(rig.command(rig.lease()))
        (outcome,) = await rig.ended()
        assert (outcome.result, rig.orders) == ("expired", [])


async def test_a_session_that_ends_while_the_disk_is_slow_takes_the_right_away(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        append = rig.outbox.append

        async def slow(entries: object) -> object:
            rig.desk.disconnected()
            return await append(entries)

        rig.outbox.append = slow
        await rig.send(rig.command(rig.lease()))
        (outcome,) = await rig.ended()
        assert (outcome.result, rig.orders) == ("expired", [])


async def test_the_same_frame_again_acts_once_and_ends_once(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        command = rig.command(rig.lease())
        for _ in range(3):
            await rig.send(command)
        await rig.ended()
        assert len(rig.orders) == 1
        assert len(await rig.outcomes()) == 1
        assert rig.counters["commands_dropped_total"] == 2


async def test_the_same_command_under_another_use_acts_once_and_ends_once(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        lease = rig.lease()
        one = rig.command(lease, 0)
        other = Command(
            **{name: getattr(one, name) for name in one.__struct_fields__ if name != "lease"},
            lease=rig.command(lease, 1).lease,
        )
        await rig.send(one)
        await rig.ended()
        await rig.send(other)
        await quiet()
        assert len(rig.orders) == 1
        assert len(await rig.outcomes()) == 1


async def test_two_commands_under_one_use_only_the_first_acts(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        lease = rig.lease()
        await rig.send(rig.command(lease, 5))
        await rig.send(rig.command(lease, 5))
        outcomes = await rig.ended(2)
        assert sorted((one.result, one.reason) for one in outcomes) == [("rejected", "used_lease"), ("succeeded", "")]


async def test_a_command_of_an_earlier_session_is_dropped_without_a_word(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        lease = rig.lease()
        rig.session = "b" * 32
        rig.beat()
        await rig.send(rig.command(lease))
        await quiet()
        assert (rig.orders, await rig.records(), rig.counters["commands_dropped_total"]) == ([], [], 1)


@pytest.mark.parametrize("topic", [down_topic("demo-school", "gate-2", Down.COMMAND), "x"])
async def test_a_command_signed_for_another_box_is_none_of_ours(tmp_path: Path, topic: str) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        with pytest.raises(Malformed):
            await rig.send(rig.command(rig.lease()), topic=topic)
        await quiet()
        assert (rig.orders, await rig.records(), rig.counters["commands_forged_total"]) == ([], [], 1)


async def test_a_frame_that_is_no_command_is_malformed(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        with pytest.raises(Malformed):
            await rig.desk.take(codec.encode_heartbeat(rig.beat()))


async def test_what_is_under_way_is_told_and_its_lease_is_settled_only_after_its_end(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        rig.hold = asyncio.Event()
        lease = rig.lease()
        await rig.send(rig.command(lease))
        await quiet()
        rig.clock.advance(LEASE_VALID_S)
        beat = rig.beat()
        assert (beat.commands_pending, beat.settled_leases) == (1, ())
        rig.hold.set()
        await rig.ended()
        beat = rig.beat()
        assert beat.commands_pending == 0
        assert lease.id in beat.settled_leases
        await rig.send(rig.command(lease, 7))
        await quiet()
        assert len(await rig.outcomes()) == 1


async def test_one_too_many_at_once_is_refused(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        rig.hold = asyncio.Event()
        lease = rig.lease()
        for use in range(WORKING_MAX):
            await rig.send(rig.command(lease, use))
        await quiet()
        await rig.send(rig.command(rig.lease(), 0))
        (outcome,) = await rig.ended()
        assert (outcome.result, outcome.reason) == ("rejected", "busy")
        rig.hold.set()
        assert len(await rig.ended(WORKING_MAX + 1)) == WORKING_MAX + 1


async def test_a_channel_that_breaks_leaves_an_unknown_end(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:

        async def broken(_order: object) -> Performed:
            raise RuntimeError("card 0012345678")

        object.__setattr__(rig.desk._targets[DEVICE], "perform", broken)
        await rig.send(rig.command(rig.lease()))
        (outcome,) = await rig.ended()
        assert (outcome.result, outcome.reason) == ("unknown", "box_error")


async def test_a_kill_while_the_device_acts_ends_as_unknown_and_is_never_tried_again(tmp_path: Path) -> None:
    clock = VirtualClock()
    async with box(tmp_path / "o.sqlite", clock) as rig:
        rig.hold = asyncio.Event()
        command = rig.command(rig.lease(), group="8" * 32)
        await rig.send(command)
        await quiet()
        assert len(rig.orders) == 1
    for _ in range(2):
        async with box(tmp_path / "o.sqlite", clock) as rig:
            (outcome,) = await rig.ended()
            assert (outcome.command_id, outcome.group_id) == (command.id, "8" * 32)
            assert (outcome.result, outcome.reason, outcome.device) == ("unknown", "restarted", DEVICE)
            assert rig.orders == []


async def test_a_command_that_has_ended_is_left_alone_after_a_restart(tmp_path: Path) -> None:
    async with box(tmp_path / "o.sqlite") as rig:
        await rig.send(rig.command(rig.lease()))
        await rig.ended()
    async with box(tmp_path / "o.sqlite") as rig:
        assert await rig.outbox.interrupted() == []
        (outcome,) = await rig.ended()
        assert outcome.result == "succeeded"
