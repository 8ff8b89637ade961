"""A managed door: what is right, what is forced, what stands open for too long."""

import asyncio
from typing import Any

import pytest

from device_profiles.catalogue import load_catalogue
from edge_agent.channels.base import BoundDevice
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.local.door import DoorKeeper
from edge_agent.message import Message
from edge_agent.orders import Performed
from edge_agent.translate import DeviceInfo
from tests.support.clock import VirtualClock
from wire.documents import UNTUNED, DeviceTuning
from wire.records import Event, Scalar

PROFILES = load_catalogue().profiles
DOOR = BoundDevice("1", DeviceInfo("gate-1/door", "UTC"), PROFILES["waveshare-relay-di"], {}, "hall")
READER = BoundDevice("7", DeviceInfo("gate-1/face", "UTC"), PROFILES["facesluice-mqtt"], {}, "hall")
ELSEWHERE = BoundDevice("8", DeviceInfo("gate-1/far", "UTC"), PROFILES["facesluice-mqtt"], {}, "yard")


class Rig:
    def __init__(self) -> None:
        self.clock = VirtualClock()
        self.tuned = UNTUNED
        self.keeper = DoorKeeper(self.clock, lambda _: self.tuned)

    def says(self, bound: BoundDevice, topic: str, *, initialized: bool = False, **values: Scalar) -> list[Event]:
        event = Event(
            id=NO_ID, stamp=NO_STAMP, device=bound.info.id, topic=topic, initialized=initialized, values=values
        )
        first, *more = self.keeper.decide(bound, Message(kind="any"), (Draft(event),))
        assert first.record is event
        return [draft.record for draft in more if isinstance(draft.record, Event)]

    def contact(self, state: str, *, initialized: bool = False) -> list[str]:
        alarms = self.says(DOOR, "Door/State/DoorPhysicalState", state=state, initialized=initialized)
        assert all(alarm.topic == "Door/State/DoorAlarm" and alarm.device == "gate-1/door" for alarm in alarms)
        return [str(alarm.values["state"]) for alarm in alarms]

    def order(self, device: str = "gate-1/door", *, name: str = "AccessDoor", result: Any = "succeeded") -> None:
        async def carry_out() -> Performed:
            return Performed(result)

        asyncio.run(self.keeper.watch(device, name, carry_out))

    def overdue(self) -> list[str]:
        return [str(draft.record.values["state"]) for draft in self.keeper.overdue() if isinstance(draft.record, Event)]


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    assert rig.contact("Closed", initialized=True) == ["Normal"]
    return rig


def test_opened_without_a_release_is_forced_and_closing_ends_it(rig: Rig) -> None:
    assert rig.contact("Open") == ["DoorForcedOpen"]
    assert rig.contact("Closed") == ["Normal"]
    assert rig.contact("Open") == ["DoorForcedOpen"]


@pytest.mark.parametrize("how", ["command", "button", "granted"])
def test_opened_after_a_release_is_right_until_the_time_is_over(rig: Rig, how: str) -> None:
    def release() -> None:
        if how == "command":
            rig.order()
        elif how == "button":
            rig.says(DOOR, "Door/RequestToExit")
        else:
            rig.says(READER, "AccessControl/AccessGranted/Credential")

    release()
    rig.clock.advance(9)
    assert rig.contact("Open") == []
    assert rig.contact("Closed") == []
    release()
    rig.clock.advance(11)
    assert rig.contact("Open") == ["DoorForcedOpen"]


def test_a_grant_elsewhere_another_command_and_an_old_grant_release_nothing(rig: Rig) -> None:
    rig.says(ELSEWHERE, "AccessControl/AccessGranted/Credential")
    rig.says(READER, "AccessControl/Denied/Credential")
    rig.order(name="SetClock")
    rig.order("gate-1/other")
    assert rig.contact("Open") == ["DoorForcedOpen"]


@pytest.mark.parametrize(
    ("result", "alarms"),
    [("succeeded", []), ("unknown", []), ("rejected", ["DoorForcedOpen"]), ("unreachable", ["DoorForcedOpen"])],
)
def test_an_order_that_was_not_carried_out_released_nothing(rig: Rig, result: str, alarms: list[str]) -> None:
    rig.order(result=result)
    assert rig.contact("Open") == alarms


def test_an_order_that_fails_takes_back_no_release_but_its_own(rig: Rig) -> None:
    rig.says(DOOR, "Door/RequestToExit")
    rig.clock.advance(1)
    rig.order(result="rejected")
    assert rig.contact("Open") == []


async def test_while_an_order_is_on_its_way_its_door_may_open(rig: Rig) -> None:
    async def opens() -> Performed:
        assert rig.contact("Open") == []
        return Performed("succeeded")

    await rig.keeper.watch("gate-1/door", "AccessDoor", opens)


def test_open_for_too_long_is_told_once(rig: Rig) -> None:
    rig.order()
    assert rig.contact("Open") == []
    rig.clock.advance(29)
    assert rig.overdue() == []
    rig.clock.advance(1)
    assert rig.overdue() == ["DoorOpenTooLong"]
    rig.clock.advance(100)
    assert rig.overdue() == []
    assert rig.contact("Closed") == ["Normal"]
    rig.clock.advance(100)
    assert rig.overdue() == []


def test_the_campus_may_set_another_limit(rig: Rig) -> None:
    rig.tuned = DeviceTuning(held_open_s=5)
    rig.order()
    rig.contact("Open")
    rig.clock.advance(5)
    assert rig.overdue() == ["DoorOpenTooLong"]


def test_found_open_at_the_start_is_not_forced_but_its_time_runs() -> None:
    rig = Rig()
    assert rig.contact("Open", initialized=True) == []
    rig.clock.advance(30)
    assert rig.overdue() == ["DoorOpenTooLong"]


def test_a_door_that_only_speaks_when_it_moves_ends_an_alarm_that_may_be_left_from_before() -> None:
    rig = Rig()
    assert rig.contact("Closed") == ["Normal"]
    assert rig.contact("Closed") == []
    assert rig.contact("Open") == ["DoorForcedOpen"]


def test_what_a_door_first_says_of_itself_can_be_that_it_is_forced() -> None:
    assert Rig().contact("Open") == ["DoorForcedOpen"]


def test_a_door_with_a_reader_of_its_own_is_released_by_it_whatever_its_place() -> None:
    rig = Rig()
    board = BoundDevice("b", DeviceInfo("gate-1/board", "UTC"), PROFILES["esprfid-door"])
    rig.says(board, "AccessControl/AccessGranted/Credential")
    assert rig.says(board, "Door/State/DoorPhysicalState", state="Open") == []
    rig.clock.advance(11)
    rig.says(board, "Door/State/DoorPhysicalState", state="Closed")
    assert len(rig.says(board, "Door/State/DoorPhysicalState", state="Open")) == 1


def test_a_device_without_a_managed_door_is_left_alone() -> None:
    rig = Rig()
    assert rig.says(READER, "Door/State/DoorPhysicalState", state="Open") == []
