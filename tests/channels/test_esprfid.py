"""A door that is told its own IP address, and answers without naming what it was asked."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from device_profiles.catalogue import load_catalogue
from edge_agent.channels.base import BoundDevice
from edge_agent.channels.mqtt import MqttChannel, MqttChannelSettings
from edge_agent.codecs.esprfid import SPEC
from edge_agent.local.door import DoorKeeper
from edge_agent.orders import Order, Performed, plan
from edge_agent.translate import DeviceInfo
from tests.channels.rig import FakeLink, Rig, eventually, settled
from tests.support.clock import VirtualClock
from wire.clock import NS_PER_S
from wire.documents import UNTUNED

PROFILE = load_catalogue().profiles["esprfid-door"]
HERE = {"hostname": "lab-door", "ip": "192.0.2.40"}
OTHER = {"hostname": "store-door", "ip": "192.0.2.41"}


class Doors:
    """A channel with two doors, whose box watches them."""

    def __init__(self, *given: Mapping[str, object]) -> None:
        self.keeper = DoorKeeper(VirtualClock(), lambda _: UNTUNED)
        self.rig = Rig(decide=self.keeper.decide)
        devices = [
            BoundDevice(str(one["hostname"]), DeviceInfo(f"gate-1/{one['hostname']}", "Asia/Shanghai"), PROFILE, one)
            for one in given or (HERE, OTHER)
        ]
        self.channel = MqttChannel(
            MqttChannelSettings(name="doors", topic_prefix="rfid"), SPEC, devices, self.rig.parts, self.rig.connect
        )

    def order(self, given: Mapping[str, object] = HERE, number: int = 1, reply_s: float = 5.0) -> Order:
        return Order(
            request_id=f"{number:032x}",
            address=str(given["hostname"]),
            name="AccessDoor",
            operations=plan(PROFILE, "AccessDoor", {}),
            deadline_ns=self.rig.clock.mono_ns() + 8 * NS_PER_S,
            reply_within_s=reply_s,
            given=given,
        )

    async def asked(self, order: Order) -> "asyncio.Task[Performed]":
        before = len(self.rig.link.sent)
        task = asyncio.create_task(self.channel.perform(order))
        await eventually(lambda: len(self.rig.link.sent) > before or task.done())
        return task

    def topics(self) -> list[tuple[str, Any]]:
        return [(event.topic, event.values.get("state")) for event in self.rig.intake.events()]


def says(link: FakeLink, who: Mapping[str, object] = HERE, **line: object) -> None:
    link.deliver("rfid/send", {"time": 1_788_220_510, "hostname": who["hostname"], **line}, qos=0)


def opened(link: FakeLink, by: str, who: Mapping[str, object] = HERE) -> None:
    says(link, who, type="access", isKnown="true", access="Always", username=by, uid=" ")


async def test_an_order_is_the_documented_message_and_nothing_more() -> None:
    doors = Doors()
    async with doors.rig.running(doors.channel) as link:
        says(link, type="boot", uptime="0", ip="192.0.2.40")
        task = await doors.asked(doors.order())
        assert link.sent == [("rfid/cmd", {"cmd": "opendoor", "doorip": "192.0.2.40"})]
        # Nothing that a broker would keep for a door that is away.
        assert link.how == [(0, 8)]
        opened(link, "MQTT")
        assert await task == Performed("succeeded")


async def test_the_button_a_card_and_another_door_answer_nothing() -> None:
    doors = Doors()
    async with doors.rig.running(doors.channel) as link:
        says(link, type="heartbeat")
        task = await doors.asked(doors.order(reply_s=0.2))
        opened(link, "Button")
        opened(link, "MQTT", OTHER)
        says(link, type="access", isKnown="true", access="Always", username="MQTT", uid="4596b78a")
        assert await task == Performed("unknown", "no_answer")


@pytest.mark.parametrize("given", [{"hostname": "lab-door"}, {"hostname": "lab-door", "ip": None}])
async def test_a_door_whose_address_nobody_gave_is_not_asked(given: dict[str, object]) -> None:
    doors = Doors(given)
    async with doors.rig.running(doors.channel) as link:
        says(link, type="heartbeat")
        await settled()
        assert await doors.channel.perform(doors.order(given)) == Performed("rejected", "not_supported")
        assert link.sent == []


async def test_the_box_knows_a_right_opening_from_a_forced_one() -> None:
    doors = Doors()

    def moves(link: FakeLink, text: str) -> None:
        says(link, type="INFO", src="door", desc=text, data="", cmd="event")

    async with doors.rig.running(doors.channel) as link:
        moves(link, "Door Closed")
        opened(link, "Button")
        moves(link, "Door Open")
        moves(link, "Door Closed")
        # Ten seconds after a release the door is anybody's who has a crowbar.
        doors.keeper._clock.advance(11)
        moves(link, "Door Open")
        says(link, type="WARN", src="tamper", desc="Door was tampered!", data="", cmd="event")
        moves(link, "Door Closed")
        says(link, type="access", isKnown="true", access="Always", username="ZHANG S", uid="4596b78a")
        moves(link, "Door Open")
        await eventually(lambda: len(doors.topics()) == 12)
    assert doors.topics() == [
        ("Door/State/DoorPhysicalState", "Closed"),
        ("Door/State/DoorAlarm", "Normal"),
        ("Door/RequestToExit", None),
        ("Door/State/DoorPhysicalState", "Open"),
        ("Door/State/DoorPhysicalState", "Closed"),
        ("Door/State/DoorPhysicalState", "Open"),
        ("Door/State/DoorAlarm", "DoorForcedOpen"),
        ("Device/State/Notice", None),
        ("Door/State/DoorPhysicalState", "Closed"),
        ("Door/State/DoorAlarm", "Normal"),
        ("AccessControl/AccessGranted/Credential", None),
        ("Door/State/DoorPhysicalState", "Open"),
    ]
    # What was not known before is told, and rings nowhere.
    assert [event.initialized for event in doors.rig.intake.events()][:3] == [False, True, False]
