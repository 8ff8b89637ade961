"""From a codec's message to a committed record: what every channel does, whatever wire it speaks.

`take` is synchronous and pure but for the devices' own state: it finds the device, translates, lets the box decide, and
gives a `Parcel`, in which bytes are left only for the quarantine. `settle` commits the parcel and says whether the
device may be told "got it":

    stored, repeat, conflict     yes   it is on disk, or was, or stands there as a conflict
    unmapped, and quarantined    yes   the profile gives it no meaning; kept back it would block the device's queue
    refused (lane full)          no    the device must keep it
    our own fault in handling it no    the device keeps it until we can
    not decodable, unknown       no    nobody to tell

No message, device or profile stops its neighbours: an exception while one message is handled is our bug, told once
with its place in the code (never with its text, which may hold what the device said), counted, and the message is
quarantined. Each device may fill at most KEPT_MAX places of the quarantine in KEPT_WITHIN_S, strangers together as
many; the rest is only counted.
"""

import logging
from collections import deque
from collections.abc import Sequence
from typing import Final

import msgspec

from edge_agent.channels.allowance import Allowance
from edge_agent.channels.base import BoundDevice, ChannelHealth, ChannelParts, DeviceHealth
from edge_agent.channels.bugs import Bugs
from edge_agent.channels.liveness import Change, Liveness, Operating
from edge_agent.codecs import Sign
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.intake import BadDraft
from edge_agent.message import Discard, Message
from edge_agent.outbox import Appended, Fate
from edge_agent.translate import Unmapped, translate
from wire.clock import NS_PER_MS, Stamp
from wire.records import Event, Reading, Scalar, Value

log = logging.getLogger(__name__)

KEPT_MAX: Final = 20
KEPT_WITHIN_S: Final = 60.0
# Of a longer frame the quarantine sees the head only; its hash and length are then those of the head.
KEPT_BYTES_MAX: Final = 64 * 1024
_STRANGERS_NAMED_MAX: Final = 256
# Of each device that is asked; what is older says nothing of today.
ANSWERS_KEPT: Final = 64

_COUNTER_OF_FATE: Final = {
    Fate.STORED: "events_total",
    Fate.REPEAT: "repeats_total",
    Fate.CONFLICT: "conflicts_total",
    Fate.REFUSED: "refused_total",
}


class _Device:
    """A device and what is remembered of it between messages."""

    __slots__ = ("answers_ns", "bound", "events", "heard", "kept", "liveness", "troubles")

    def __init__(self, bound: BoundDevice, started_ns: int) -> None:
        liveness = bound.profile.liveness
        self.bound = bound
        self.kept = Allowance(KEPT_MAX, KEPT_WITHIN_S)
        self.liveness = Liveness(interval_s=liveness.interval_s, missed=liveness.missed, started_ns=started_ns)
        self.heard = False
        self.events = 0
        self.troubles = 0
        self.answers_ns: deque[int] = deque(maxlen=ANSWERS_KEPT)

    def health(self) -> DeviceHealth:
        """Now."""
        answers = sorted(self.answers_ns)
        return DeviceHealth(
            id=self.bound.info.id,
            state=self.liveness.state,
            heard_ns=self.liveness.heard_ns if self.heard else None,
            events=self.events,
            troubles=self.troubles,
            answer_ms=answers[len(answers) * 95 // 100] / NS_PER_MS if answers else None,
        )


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What one message comes to. keep: reason and bytes for the quarantine. told: whether the device may be told, once
    everything in here is on disk.
    """

    device: _Device | None = None
    change: Change | None = None
    drafts: tuple[Draft, ...] = ()
    keep: tuple[str, bytes] | None = None
    told: bool = True

    def all_drafts(self) -> Sequence[Draft]:
        """What the box itself has to say of its device, then what the device said."""
        if self.device is None or self.change is None:
            return self.drafts
        return (*_state_drafts(self.device.bound, self.change), *self.drafts)


class Reception:
    """The devices of one channel."""

    def __init__(
        self, channel: str, devices: Sequence[BoundDevice], parts: ChannelParts, bugs: Bugs, harmless: frozenset[str]
    ) -> None:
        """harmless: keys of the protocol whose values may stay readable in quarantine."""
        started_ns = parts.clock.mono_ns()
        self._channel = channel
        self._parts = parts
        self._bugs = bugs
        self._harmless = harmless
        self._devices = {bound.address: _Device(bound, started_ns) for bound in devices}
        self._strangers_kept = Allowance(KEPT_MAX, KEPT_WITHIN_S)
        self._strangers: set[str] = set()

    def knows(self, address: str) -> bool:
        """Whether a device of this channel goes by this address."""
        return address in self._devices

    def is_up(self, address: str) -> bool:
        """Whether a device of this channel is known to be there."""
        device = self._devices.get(address)
        return device is not None and device.liveness.state is Operating.UP

    def take(
        self, address: str, content: Message | Discard, raw: bytes, *, sign: Sign | None, is_record: bool
    ) -> Parcel:
        """One decoded message. raw: its bytes, kept only when they go to quarantine; sign: None when the box concluded
        it by itself. Raises nothing.
        """
        device = self._devices.get(address)
        if isinstance(content, Discard):
            self._count("discarded_total")
            self._troubled(device)
            return Parcel(device=device, keep=self._keep(device, content.reason, raw), told=False)
        if device is None:
            self._stranger(address)
            return Parcel(keep=self._keep(None, "unknown_device", raw), told=False)
        change = self._signed(device, sign)
        if not is_record:
            return Parcel(device=device, change=change)
        try:
            translated = translate(device.bound.profile, device.bound.info, content, self._parts.pseudonymiser)
            if isinstance(translated, Unmapped):
                self._count("unmapped_total")
                self._troubled(device)
                keep = self._keep(device, "unmapped", raw)
                return Parcel(device=device, change=change, keep=keep, told=keep is not None)
            drafts = self._parts.decide(device.bound, content, translated)
        except Exception as error:  # noqa: BLE001  one message must not stop its neighbours
            self._bugs.tell(error, device=device.bound.info.id)
            self._troubled(device)
            keep = self._keep(device, "device_error", raw)
            return Parcel(device=device, change=change, keep=keep, told=False)
        return Parcel(device=device, change=change, drafts=drafts)

    def polled(self, address: str, messages: Sequence[Message], measured: Sequence[Value], *, alive: bool) -> Parcel:
        """What asking a device brought: values that changed, as messages named after their resource, and measured ones.

        A value to which the profile gives no meaning as an event is none. alive: it answered. Raises nothing.
        """
        device = self._devices[address]
        change = self._signed(device, Sign.ALIVE if alive else None)
        drafts: list[Draft] = []
        for message in messages:
            drafts += self._meant(device, message)
        if measured:
            drafts.append(
                Draft(Reading(id=NO_ID, stamp=NO_STAMP, device=device.bound.info.id, readings=tuple(measured)))
            )
        return Parcel(device=device, change=change, drafts=tuple(drafts))

    def _meant(self, device: _Device, message: Message) -> tuple[Draft, ...]:
        try:
            translated = translate(device.bound.profile, device.bound.info, message, self._parts.pseudonymiser)
            if isinstance(translated, Unmapped):
                return ()
            return self._parts.decide(device.bound, message, translated)
        except Exception as error:  # noqa: BLE001  one value must not stop its neighbours
            self._bugs.tell(error, device=device.bound.info.id)
            return ()

    def silent(self) -> list[Parcel]:
        """Changes that time alone has made. To be called every few seconds, connected or not."""
        now_ns = self._parts.clock.mono_ns()
        changes = [
            (device, device.liveness.tick(now_ns, self._parts.tuning(device.bound.info.id).silent_after_s))
            for device in self._devices.values()
        ]
        return [Parcel(device=device, change=change) for device, change in changes if change is not None]

    async def settle(self, parcel: Parcel, received: Stamp | None = None) -> bool:
        """Commit; True when the device may be told. Raises only what ends the channel (the intake is closed)."""
        (told,) = await self.settle_each([(parcel, received)])
        return told

    async def settle_each(self, parcels: Sequence[tuple[Parcel, Stamp | None]]) -> list[bool]:
        """What `settle` does, with several at once, in one wait."""
        batches: list[tuple[Sequence[Draft], Stamp | None]] = []
        for parcel, received in parcels:
            if parcel.keep is not None:
                owner = f"{self._parts.edge}/?" if parcel.device is None else parcel.device.bound.info.id
                await self._parts.quarantine(owner, *parcel.keep, self._harmless)
            batches.append((parcel.all_drafts(), received))
        taken = await self._parts.intake.accept_each(batches)
        results = zip(parcels, taken, strict=True)
        return [self._accepted(parcel, appended) and parcel.told for (parcel, _), appended in results]

    def answered(self, address: str, took_ns: int) -> None:
        """A device that was asked has answered, after so long."""
        self._devices[address].answers_ns.append(took_ns)

    def health(self, *, connected: bool, waiting: int) -> ChannelHealth:
        """The devices, and counts of their states."""
        devices = tuple(device.health() for device in self._devices.values())
        states = [device.state for device in devices]
        return ChannelHealth(
            connected=connected,
            devices_up=states.count(Operating.UP),
            devices_down=states.count(Operating.DOWN),
            devices_unknown=states.count(None),
            waiting=waiting,
            devices=devices,
        )

    def _signed(self, device: _Device, sign: Sign | None) -> Change | None:
        if sign is None:
            return None
        device.heard = device.heard or sign is not Sign.GONE
        now_ns = self._parts.clock.mono_ns()
        return device.liveness.gone(now_ns) if sign is Sign.GONE else device.liveness.heard(now_ns)

    def _accepted(self, parcel: Parcel, appended: Sequence[Appended] | BadDraft) -> bool:
        """Note what became of a parcel; whether all that the device said is kept."""
        device, change = parcel.device, parcel.change
        if device is None:
            return True
        if isinstance(appended, ValueError):
            # A profile or a decision made a record that breaks a limit of the wire.
            self._bugs.tell(appended, device=device.bound.info.id)
            if change is not None:
                device.liveness.again(change)
            return False
        for result in appended:
            self._count(_COUNTER_OF_FATE[result.fate])
            device.events += result.fate is Fate.STORED
        states = len(appended) - len(parcel.drafts)
        if change is not None and any(result.fate is Fate.REFUSED for result in appended[:states]):
            device.liveness.again(change)
        return all(result.fate is not Fate.REFUSED for result in appended[states:])

    def _keep(self, device: _Device | None, reason: str, raw: bytes) -> tuple[str, bytes] | None:
        allowance = self._strangers_kept if device is None else device.kept
        return (reason, raw[:KEPT_BYTES_MAX]) if allowance.take(self._parts.clock.mono_ns()) else None

    def _stranger(self, address: str) -> None:
        self._count("unknown_device_total")
        if address not in self._strangers and len(self._strangers) < _STRANGERS_NAMED_MAX:
            self._strangers.add(address)
            log.warning(
                "message from a device that no setting names", extra={"channel": self._channel, "address": address}
            )

    @staticmethod
    def _troubled(device: _Device | None) -> None:
        if device is not None:
            device.troubles += 1

    def _count(self, name: str) -> None:
        self._parts.counters[name] += 1


def _state_drafts(bound: BoundDevice, change: Change) -> tuple[Draft, ...]:
    """The state, and the alarm that a silent device is where its profile says so."""
    values: dict[str, Scalar] = {"state": change.state, "cause": change.cause}
    if change.folded:
        values["folded"] = change.folded
    drafts = [_state_draft(bound, "Device/State/Operating", change, values)]
    if alarm_topic := bound.profile.liveness.alarm_topic:
        alarm = "Active" if change.state is Operating.DOWN else "Inactive"
        drafts.append(_state_draft(bound, alarm_topic, change, {**values, "state": alarm}))
    return tuple(drafts)


def _state_draft(bound: BoundDevice, topic: str, change: Change, values: dict[str, Scalar]) -> Draft:
    return Draft(
        Event(
            id=NO_ID,
            stamp=NO_STAMP,
            device=bound.info.id,
            topic=topic,
            initialized=change.initialized,
            values=values,
        )
    )
