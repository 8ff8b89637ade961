"""An amplifier: one order that takes two words, and faults that are told when they begin and when they end."""

import asyncio
from collections.abc import Mapping

import pytest

from device_profiles.catalogue import load_catalogue
from edge_agent.channels.base import BoundDevice
from edge_agent.channels.mqtt import MqttChannel, MqttChannelSettings
from edge_agent.codecs.nxt_pa import SPEC
from edge_agent.orders import Order, Performed, plan
from edge_agent.translate import DeviceInfo
from simulators.device import Moment
from simulators.nxt_pa import Amplifier, AmplifierConfig
from tests.channels.rig import FakeLink, Rig, eventually, settled
from tests.simulators.rig import Seen
from wire.clock import NS_PER_S
from wire.records import Scalar

DEVICE = "NXT2204-000001"
TOPIC = f"{SPEC.topic_prefix}/messages/{DEVICE}"
PROFILE = load_catalogue().profiles["nxt-pa"]


class Stage:
    """A channel, and a simulated amplifier that the test lets speak."""

    def __init__(self) -> None:
        self.rig = Rig()
        self.seen = Seen()
        self.mono_s = 100.0
        self.amplifier = Amplifier(AmplifierConfig(device_id=DEVICE, info_interval_s=10), witness=self.seen)
        device = BoundDevice(DEVICE, DeviceInfo("gate-1/amplifier", "UTC"), PROFILE)
        settings = MqttChannelSettings(name="broadcast", topic_prefix=SPEC.topic_prefix)
        self.channel = MqttChannel(settings, SPEC, [device], self.rig.parts, self.rig.connect)

    @property
    def now(self) -> Moment:
        return Moment(self.mono_s, self.mono_s)

    def connect(self, link: FakeLink) -> None:
        self.amplifier.connected(self.now)
        self.speak(link)

    def speak(self, link: FakeLink) -> None:
        """What the device has to say reaches the box."""
        for one in self.amplifier.poll(self.now):
            link.deliver(one.topic, one.payload, qos=one.qos)

    def says_how_it_is(self, link: FakeLink) -> None:
        self.mono_s += 10
        self.speak(link)

    async def hear(self, link: FakeLink, count: int) -> None:
        """The device hears the newest of so many messages of ours."""
        await eventually(lambda: len(link.sent) >= count)
        topic, payload = link.sent[count - 1]
        assert topic == TOPIC
        self.amplifier.received(payload, self.now)

    def order(self, name: str, left_s: float = 8.0, **arguments: Scalar) -> Order:
        return Order(
            request_id="1f" * 16,
            address=DEVICE,
            name=name,
            operations=plan(PROFILE, name, arguments),
            deadline_ns=self.rig.clock.mono_ns() + int(left_s * NS_PER_S),
            reply_within_s=0.2,
        )

    def faults(self) -> list[tuple[Mapping[str, Scalar], bool]]:
        return [(event.values, event.initialized) for event in self.rig.intake.events()]


async def test_the_volume_of_one_output_is_set_and_nothing_else_of_it() -> None:
    stage = Stage()
    async with stage.rig.running(stage.channel) as link:
        stage.connect(link)
        before = stage.amplifier.outputs[2]
        name, place = before.name, before.place
        task = asyncio.create_task(stage.channel.perform(stage.order("SetVolume", zone=2, volume=3)))
        await stage.hear(link, 1)
        assert stage.seen.of("executed") == []
        stage.speak(link)
        await stage.hear(link, 2)
        stage.speak(link)
        assert await task == Performed("succeeded")
        assert link.how == [(0, 8), (0, 8)]
    assert stage.seen.of("executed") == ["1f" * 16]
    output = stage.amplifier.outputs[2]
    assert (output.name, output.place, output.volume) == (name, place, 3)
    assert {stage.amplifier.outputs[number].volume for number in (1, 3, 4)} == {10}


async def test_silence_can_be_set() -> None:
    stage = Stage()
    async with stage.rig.running(stage.channel) as link:
        stage.connect(link)
        task = asyncio.create_task(stage.channel.perform(stage.order("SetVolume", zone=1, volume=0)))
        for count in (1, 2):
            await stage.hear(link, count)
            stage.speak(link)
        assert await task == Performed("succeeded")
    assert stage.amplifier.outputs[1].volume == 0


async def test_an_output_that_the_device_does_not_have_is_not_edited() -> None:
    stage = Stage()
    async with stage.rig.running(stage.channel) as link:
        stage.connect(link)
        task = asyncio.create_task(stage.channel.perform(stage.order("SetVolume", zone=9, volume=3)))
        await stage.hear(link, 1)
        stage.speak(link)
        assert await task == Performed("rejected", "not_found")
        assert len(link.sent) == 1


async def test_an_answer_that_comes_after_the_deadline_is_the_last_word() -> None:
    stage = Stage()
    async with stage.rig.running(stage.channel) as link:
        stage.connect(link)
        task = asyncio.create_task(stage.channel.perform(stage.order("SetVolume", zone=1, volume=3)))
        await stage.hear(link, 1)
        stage.rig.clock.advance(9)
        stage.speak(link)
        assert await task == Performed("unreachable", "too_late")
        assert len(link.sent) == 1
    assert stage.amplifier.outputs[1].volume == 10


@pytest.mark.parametrize("heard", [0, 1])
async def test_without_an_answer_nobody_knows(heard: int) -> None:
    stage = Stage()
    async with stage.rig.running(stage.channel) as link:
        stage.connect(link)
        task = asyncio.create_task(stage.channel.perform(stage.order("SetVolume", zone=1, volume=3)))
        for count in range(1, heard + 1):
            await stage.hear(link, count)
            stage.speak(link)
        assert await task == Performed("unknown", "no_answer")
        assert len(link.sent) == heard + 1


async def test_a_fault_of_an_output_is_told_when_it_begins_and_when_it_ends() -> None:
    stage = Stage()
    stage.amplifier.outputs = {1: stage.amplifier.outputs[1]}
    async with stage.rig.running(stage.channel) as link:
        stage.connect(link)
        stage.says_how_it_is(link)
        # All is well, which may end what stood before the box was started; it rings nowhere.
        await eventually(lambda: len(stage.faults()) == 2)
        assert {initialized for _, initialized in stage.faults()} == {True}
        stage.amplifier.outputs[1].broken = True
        for _ in range(3):
            stage.says_how_it_is(link)
        await settled()
        stage.amplifier.outputs[1].broken = False
        for _ in range(3):
            stage.says_how_it_is(link)
        await settled()
    assert stage.faults()[2:] == [
        ({"channel": 1, "fault": "broken", "state": "Active"}, False),
        ({"channel": 1, "fault": "broken", "state": "Inactive"}, False),
    ]


async def test_a_fault_that_could_not_be_kept_is_told_again() -> None:
    stage = Stage()
    stage.amplifier.outputs = {1: stage.amplifier.outputs[1]}
    stage.amplifier.outputs[1].broken = True
    async with stage.rig.running(stage.channel) as link:
        stage.connect(link)
        stage.rig.intake.full = True
        stage.says_how_it_is(link)
        await settled()
        assert stage.faults() == []
        stage.rig.intake.full = False
        stage.says_how_it_is(link)
        await settled()
    assert [values["fault"] for values, _ in stage.faults() if values["state"] == "Active"] == ["broken"]
