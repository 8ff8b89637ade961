"""A channel between a link and an intake that the test holds in its hands."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from device_profiles.model import DeviceProfile
from edge_agent.channels.base import BoundDevice, Channel, ChannelParts, Decide, as_reported
from edge_agent.channels.mqtt import MqttChannel, MqttChannelSettings
from edge_agent.codecs.facesluice import SPEC
from edge_agent.draft import Draft
from edge_agent.health import new_counters
from edge_agent.outbox import Appended, Fate
from edge_agent.translate import DeviceInfo
from tests.support.clock import VirtualClock
from tests.translate.profiles import facesluice_profile
from wire.clock import Stamp
from wire.identity import Pseudonymiser
from wire.mqtt_link import LinkError
from wire.mqtt_link import Message as MqttMessage
from wire.records import Event, fingerprint, record_lane

PREFIX = "mqtt/face"
DEVICES = ("1026701", "1026702")
BOUND_S = 5.0


async def eventually(condition: Callable[[], bool]) -> None:
    """Let the loop run until condition holds."""
    async with asyncio.timeout(BOUND_S):
        while not condition():  # noqa: ASYNC110  any condition, of parts that know no test
            await asyncio.sleep(0)


async def settled() -> None:
    """Let everything run that can run now."""
    for _ in range(50):
        await asyncio.sleep(0)


class FakeLink:
    """The broker's end: the test delivers messages and sees what comes back."""

    def __init__(self, on_message: Callable[[MqttMessage], None], *, session_present: bool) -> None:
        self._on_message = on_message
        self._token = 0
        self.closed = asyncio.Event()
        self.session_present = session_present
        self.cause: Exception | None = None
        self.filters: tuple[str, ...] = ()
        self.sent: list[tuple[str, Any]] = []
        self.puback: list[int] = []
        self.how: list[tuple[int, int | None]] = []
        self.order: list[str] = []
        self.paused = False
        self.pauses = 0
        self.stuck = False
        self.refuse: type[Exception] | None = None
        self.stuck = False

    def deliver(self, topic: str, payload: bytes | dict[str, Any], *, qos: int = 1, retain: bool = False) -> int:
        """One message from a device; gives its token."""
        self._token += 1
        data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        self._on_message(MqttMessage(topic, data, qos, retain, self._token))
        return self._token

    def end(self) -> None:
        self.cause = LinkError("the broker went away")
        self.closed.set()

    async def subscribe(self, *filters: str, qos: int = 1) -> None:
        self.filters = filters

    def send(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.closed.is_set():
            future.set_exception(LinkError("down"))
        elif self.refuse is not None and qos:
            future.set_exception(self.refuse("not authorised"))
        else:
            self.sent.append((topic, json.loads(payload) if payload.startswith(b"{") else payload))
            self.how.append((qos, expiry_s))
            self.order.append("told")
            future.set_result(None)
        return future

    def ack(self, message: MqttMessage) -> None:
        if not self.closed.is_set() and message.qos:
            self.puback.append(message.token)
            self.order.append("puback")

    def unsent(self) -> bool:
        return self.stuck

    def pause(self) -> None:
        self.pauses += not self.paused
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def mark(self) -> int:
        return len(self.sent)

    def arrived(self, mark: int | None) -> bool:
        return not self.stuck

    def abort(self, cause: str = "") -> None:
        self.cause = LinkError(cause)
        self.closed.set()

    async def close(self) -> None:
        if not self.closed.is_set():
            self.cause = LinkError("closed by us")
            self.closed.set()


class MemoryIntake:
    """Commits while its gate is open, and knows repeats and conflicts as the outbox does."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.waiting = 0
        self.records: list[Event] = []
        self.received: list[Stamp | None] = []
        self.full = False
        self.error: Exception | None = None
        self._known: dict[tuple[str, int], bytes] = {}

    async def accept(self, drafts: Sequence[Draft], received: Stamp | None = None) -> list[Appended]:
        (taken,) = await self.accept_each([(drafts, received)])
        if isinstance(taken, ValueError):
            raise taken
        return taken

    async def accept_each(self, batches: Sequence[tuple[Sequence[Draft], Stamp | None]]) -> list[Any]:
        held = [batch for batch in batches if batch[0]]
        self.waiting += len(held)
        try:
            if held:
                await self.gate.wait()
        finally:
            self.waiting -= len(held)
        if held and isinstance(self.error, ValueError):
            return [self.error if drafts else [] for drafts, _ in batches]
        if held and self.error is not None:
            raise self.error
        self.received += [received for _, received in held]
        return [[self._append(draft) for draft in drafts] for drafts, _ in batches]

    def _append(self, draft: Draft) -> Appended:
        record = draft.record
        assert isinstance(record, Event)
        fate = self._fate(record)
        if fate is Fate.STORED:
            self.records.append(record)
        return Appended(fate, record_lane(record), int(fate is Fate.STORED), record.id)

    def _fate(self, record: Event) -> Fate:
        if self.full:
            return Fate.REFUSED
        if record.source is None:
            return Fate.STORED
        print_ = fingerprint(record)
        key = (record.device, record.source.record_no)
        if key not in self._known:
            self._known[key] = print_
            return Fate.STORED
        return Fate.REPEAT if self._known[key] == print_ else Fate.CONFLICT

    def events(self, *, of: str = "") -> list[Event]:
        """Without what the channel says of the devices' life."""
        return [
            record for record in self.records if record.topic != "Device/State/Operating" and record.device.endswith(of)
        ]

    def states(self) -> list[tuple[str, str, bool]]:
        return [
            (record.device, str(record.values["state"]), record.initialized)
            for record in self.records
            if record.topic == "Device/State/Operating"
        ]


class Rig:
    """One channel, its link of the moment, its intake, its quarantine."""

    def __init__(self, decide: Decide = as_reported, profile: DeviceProfile | None = None) -> None:
        self.clock = VirtualClock()
        self.intake = MemoryIntake()
        self.quarantine: list[tuple[str, str, bytes]] = []
        self.counters = new_counters()
        self.links: list[FakeLink] = []
        self.ups = 0
        self.connect_error: Exception | None = None
        self.broker_remembers = True
        self.profile = profile or facesluice_profile()
        self.parts = ChannelParts(
            edge="gate-1",
            intake=self.intake,
            quarantine=self._quarantine,
            pseudonymiser=Pseudonymiser(bytes(32)),
            clock=self.clock,
            counters=self.counters,
            decide=decide,
        )
        devices = [
            BoundDevice(address, DeviceInfo(f"gate-1/face-{number}", "Asia/Shanghai"), self.profile)
            for number, address in enumerate(DEVICES, start=1)
        ]
        self.channel = MqttChannel(
            MqttChannelSettings(name="terminals", topic_prefix=PREFIX), SPEC, devices, self.parts, self.connect
        )

    @property
    def link(self) -> FakeLink:
        return self.links[-1]

    @asynccontextmanager
    async def running(self, channel: Channel | None = None) -> AsyncIterator[FakeLink]:
        """The rig's channel, or another one, with a fresh link; ends with the link."""
        links = len(self.links)
        run = asyncio.create_task((channel or self.channel).run(self._up))
        try:
            await eventually(lambda: run.done() or (len(self.links) > links and bool(self.link.filters)))
            if run.done():
                run.result()
            yield self.link
        finally:
            if len(self.links) > links:
                self.link.end()
            await asyncio.wait([run], timeout=BOUND_S)
            self.ended = None if run.cancelled() else run.exception()

    async def connect(self, on_message: Callable[[MqttMessage], None]) -> FakeLink:
        if self.connect_error is not None:
            raise self.connect_error
        self.links.append(FakeLink(on_message, session_present=self.broker_remembers and bool(self.links)))
        return self.link

    async def _quarantine(self, device: str, reason: str, raw: bytes, harmless: frozenset[str]) -> None:
        await asyncio.sleep(0)
        self.quarantine.append((device, reason, raw))

    def _up(self) -> None:
        self.ups += 1

    def counted(self, *names: str) -> list[int]:
        return [self.counters[f"{name}_total"] for name in names]


def record(number: int, *, device: str = DEVICES[0], **over: object) -> dict[str, Any]:
    """A RecPush of an invented person."""
    info = {
        "facesluiceId": device,
        "RecordID": str(number),
        "customId": "20260001",
        "personName": "ZHANG SAN",
        "VerifyStatus": "1",
        "time": "2026-09-01 07:55:10",
        **over,
    }
    return {"operator": "RecPush", "info": info}


def push_ack(number: int, *, device: str = DEVICES[0], ack_type: int = 2) -> tuple[str, dict[str, Any]]:
    """What the device must be told of it."""
    info = {"PushAckType": ack_type, "SnapOrRecordID": number}
    return f"{PREFIX}/{device}", {"operator": "PushAck", "messageId": f"push-{ack_type}-{number}", "info": info}


def rec_topic(device: str = DEVICES[0]) -> str:
    return f"{PREFIX}/{device}/Rec"
