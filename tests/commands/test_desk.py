"""The desk through the API: what is asked for, sent and shown."""

import asyncio
from typing import Any

import pytest

from aggregator.accounts import Role
from tests.api.watching import watching
from tests.commands.rig import DEVICE_NAMES, Box, ask, shown
from wire.topics import Down


async def test_a_command_goes_to_the_box_under_its_lease_and_its_end_is_shown(box: Box) -> None:
    lease = box.beat()
    answer = await ask(box)
    assert answer.status_code == 202
    (item,) = answer.json()["items"]
    (command,) = box.heard()
    assert (command.id, command.device, command.name) == (item["id"], item["device"], "AccessDoor")
    assert (command.lease.lease, command.lease.use, command.reason) == (lease, 0, "visitor")
    await box.read()
    assert (await shown(box, command.id))["state"] == "requested"
    await box.take(command)
    assert (await shown(box, command.id))["state"] == "taken"
    await box.end(command)
    end = await shown(box, command.id)
    assert (end["state"], end["result"], end["conflicts"]) == ("settled", "succeeded", 0)
    entries = await box.rig.office.audit(2**63 - 1, 10)
    assert ("command.AccessDoor", "sent") in {(entry["action"], entry["result"]) for entry in entries}


async def test_what_was_asked_is_in_the_ledger_before_anything_is_sent(box: Box) -> None:
    box.beat()
    at_sending: list[bool] = []
    send = box.rig.campus.desk._send

    async def look(edge: str, leaf: Down, frame: bytes) -> None:
        rows = await box.rig.ledger.read(0, 1000)
        at_sending.append(any(row.topic == "Command/Requested" for row in rows))
        await send(edge, leaf, frame)

    box.rig.campus.desk._send = look
    await ask(box)
    assert at_sending == [True]


async def test_each_use_of_a_lease_is_given_out_once(box: Box) -> None:
    box.beat()
    for number in range(64):
        assert (await ask(box, key=f"key-number-{number}")).status_code == 202
    assert (await ask(box, key="one-too-many")).json()["code"] == "box_unreachable"
    assert sorted(command.lease.use for command in box.heard()) == list(range(64))


@pytest.mark.parametrize("silent_s", [4, 60])
async def test_a_box_that_is_not_heard_of_is_refused_at_once_and_nothing_is_written(box: Box, silent_s: int) -> None:
    box.beat()
    box.rig.clock.advance(silent_s)
    head = await box.rig.ledger.head()
    answer = await ask(box)
    assert (answer.status_code, answer.json()["code"]) == (503, "box_unreachable")
    rows = await box.rig.ledger.read(head, 100)
    assert {row.topic for row in rows} == {"Audit/Entry"}
    assert box.heard() == []
    box.beat()
    assert (await ask(box)).status_code == 202


async def test_a_new_session_voids_the_leases_before(box: Box) -> None:
    box.beat()
    box.rig.campus.desk.hello(box.edge)
    assert (await ask(box)).status_code == 503


async def test_the_same_key_does_nothing_twice(box: Box) -> None:
    box.beat()
    one, two = await ask(box), await ask(box)
    assert one.json() == two.json()
    assert len(box.heard()) == 1
    other = await ask(box, reason="another")
    assert (other.status_code, other.json()["code"]) == (409, "key_used")


async def test_a_kill_before_the_sending_is_carried_on_with_the_same_key(box: Box) -> None:
    box.beat()
    append = box.rig.ledger.append_campus

    async def killed(*_args: Any) -> Any:
        raise KeyboardInterrupt

    box.rig.campus.desk._ledger.append_campus = killed
    with pytest.raises(KeyboardInterrupt):
        await ask(box)
    box.rig.campus.desk._ledger.append_campus = append
    assert box.heard() == []
    answer = await ask(box)
    (command,) = box.heard()
    assert command.id == answer.json()["items"][0]["id"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"devices": ["gate-9/none"]}, 404, "unknown_device"),
        ({"devices": []}, 422, "bad_devices"),
        ({"name": "OpenSesame"}, 422, "unknown_command"),
        ({"arguments": {"door": 1}}, 422, "unknown_argument"),
        ({"name": "SetClock"}, 422, "missing_argument"),
        ({"devices": [f"gate-1/x{n}" for n in range(33)]}, 422, "too_many_devices"),
    ],
)
async def test_what_cannot_be_done_is_told_before_anything_is_sent(
    box: Box, body: dict[str, Any], status: int, code: str
) -> None:
    box.beat()
    answer = await ask(box, **body)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert box.heard() == []


@pytest.mark.parametrize("reason", ["", "  ", "x"])
async def test_no_door_is_opened_without_a_reason(box: Box, reason: str) -> None:
    refused = await ask(box, reason=reason)
    assert (refused.status_code, refused.json()["code"]) == (422, "reason_required")
    assert box.heard() == []


async def test_who_looks_after_devices_sets_clocks_and_opens_no_door(box: Box) -> None:
    box.beat()
    assert (await ask(box, role=Role.OPS)).status_code == 403
    body = {"name": "SetClock", "arguments": {"clock": "2026-09-01 07:30:00"}}
    assert (await ask(box, role=Role.OPS, key="second-key", **body)).status_code == 202
    assert (await ask(box, role=Role.TEACHER)).status_code == 403


async def test_a_group_has_an_outcome_for_each_device(box: Box) -> None:
    box.beat()
    answer = (await ask(box, *DEVICE_NAMES)).json()
    commands = box.heard()
    assert {command.group_id for command in commands} == {answer["group_id"]}
    assert len({command.id for command in commands}) == len({command.lease.use for command in commands}) == 2
    for command in commands:
        await box.take(command)
        await box.end(command)
    async with await box.rig.ask(Role.GUARD) as client:
        listed = (await client.get("/api/v1/commands", params={"group": answer["group_id"]})).json()["items"]
    assert [one["result"] for one in listed] == ["succeeded", "succeeded"]


async def test_every_state_of_a_command_comes_on_the_stream(box: Box) -> None:
    lease = box.beat()
    app, token = box.rig.app, await box.rig.token(Role.GUARD)
    feeding = asyncio.create_task(box.rig.campus.feed.run())
    try:
        async with watching(app, token) as watch:
            answer = (await ask(box, *DEVICE_NAMES)).json()
            carried, lost = box.heard()
            await box.take(carried)
            await box.end(carried)
            await box.settle(settled=(lease,))
            frames = await watch.until(await box.rig.ledger.head())
    finally:
        feeding.cancel()
        await asyncio.gather(feeding, return_exceptions=True)
    items = [item for frame in frames if frame.id for item in frame.data["items"]]
    seen = [
        (item.get("command_id") or item["values"]["command_id"], item["topic"] or item["kind"], item.get("result"))
        for item in items
        if item["kind"] == "outcome" or item["topic"].startswith("Command/")
    ]
    asked = [item["id"] for item in answer["items"]]
    assert asked == [carried.id, lost.id]
    assert seen == [
        (carried.id, "Command/Requested", None),
        (lost.id, "Command/Requested", None),
        (carried.id, "Command/Taken", None),
        (carried.id, "outcome", "succeeded"),
        (lost.id, "Command/Settled", None),
    ]


async def test_a_key_that_is_used_twice_at_once_sends_one_frame(box: Box) -> None:
    box.beat()
    one, two = await asyncio.gather(ask(box), ask(box))
    assert (one.status_code, two.status_code) == (202, 202)
    assert one.json() == two.json()
    assert len(box.heard()) == 1


async def test_a_key_under_which_something_was_done_is_never_forgotten(box: Box) -> None:
    """The desk died between two devices of a group, and their box is away when the caller asks again."""
    box.beat()
    append, calls = box.rig.ledger.append_campus, []

    async def killed_at_the_second(*args: Any) -> Any:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return await append(*args)

    box.rig.campus.desk._ledger.append_campus = killed_at_the_second
    with pytest.raises(KeyboardInterrupt):
        await ask(box, *DEVICE_NAMES)
    box.rig.campus.desk._ledger.append_campus = append
    (first,) = box.heard()
    box.rig.clock.advance(60)
    assert (await ask(box, *DEVICE_NAMES)).status_code == 503
    box.beat()
    answer = await ask(box, *DEVICE_NAMES)
    assert answer.status_code == 202
    assert [item["id"] for item in answer.json()["items"]] == [command.id for command in box.heard()]
    assert box.heard()[0] == first


async def test_a_screen_on_a_wall_sees_what_is_asked_and_not_by_whom(box: Box) -> None:
    box.beat()
    command_id = (await ask(box)).json()["items"][0]["id"]
    await box.read()
    for role, seen in ((Role.GUARD, "visitor"), (Role.WALL, None), (Role.OPS, None)):
        async with await box.rig.ask(role) as client:
            one = (await client.get(f"/api/v1/commands/{command_id}")).json()
            assert (one["name"], one["reason"]) == ("AccessDoor", seen)
    for role, seen_in_ledger in ((Role.GUARD, True), (Role.OPS, False)):
        async with await box.rig.ask(role) as client:
            rows = (await client.get("/api/v1/events", params={"topic": "Command/Requested"})).json()["items"]
            assert [("reason" in row["values"], "operator" in row["values"]) for row in rows] == [
                (seen_in_ledger, seen_in_ledger)
            ]
