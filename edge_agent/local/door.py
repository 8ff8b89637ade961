"""A managed door: its contact says what it does, and the box says whether that was right.

    closed --released (command, exit button, access granted at its place), then opened--> open
    closed --opened without a release--> open, and Door/State/DoorAlarm DoorForcedOpen
    open --for longer than held_open_s--> Door/State/DoorAlarm DoorOpenTooLong
    closed again --> Door/State/DoorAlarm Normal, if there was an alarm

The alarm is committed together with the state that caused it. A door that is found open at the start was opened by
nobody we saw: no alarm, but the time runs. One that is first seen closing, or found closed, says Normal, because an
alarm of the time before the box went down may still stand on the campus.
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final, Literal

from device_profiles.model import DoorRule
from edge_agent.channels.base import BoundDevice
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.message import Message
from edge_agent.orders import Performed
from wire.clock import NS_PER_S, Clock
from wire.documents import DeviceTuning
from wire.records import Event

_CONTACT: Final = "Door/State/DoorPhysicalState"
_EXIT: Final = "Door/RequestToExit"
_GRANTED: Final = "AccessControl/AccessGranted/"
_ALARM: Final = "Door/State/DoorAlarm"
# The command that opens a door for a moment.
OPENING: Final = "AccessDoor"
_NOT_DONE: Final = frozenset({"rejected", "unreachable"})

Alarm = Literal["Normal", "DoorForcedOpen", "DoorOpenTooLong"]


@dataclass(slots=True)
class _Door:
    device: str
    place: str
    rule: DoorRule
    released_until_ns: int = 0
    open_since_ns: int | None = None
    alarm: Alarm = "Normal"
    seen: bool = False


class DoorKeeper:
    """All managed doors of a box."""

    def __init__(self, clock: Clock, tuning: Callable[[str], DeviceTuning]) -> None:
        self._clock = clock
        self._tuning = tuning
        self._doors: dict[str, _Door] = {}

    def decide(self, bound: BoundDevice, _message: Message, drafts: tuple[Draft, ...]) -> tuple[Draft, ...]:
        """See edge_agent.channels.base.Decide: the drafts, and the alarm that begins or ends with them."""
        more: list[Draft] = []
        for draft in drafts:
            event = draft.record
            if not isinstance(event, Event) or event.replayed:
                continue
            if event.topic.startswith(_GRANTED) and bound.place:
                self._release_place(bound.place)
            door = self._door(bound)
            if door is None:
                continue
            if event.topic.startswith(_GRANTED) or (event.topic == _EXIT and not event.initialized):
                self._release(door)
            elif event.topic == _CONTACT:
                more += self._moved(door, str(event.values["state"]), initialized=event.initialized)
        return (*drafts, *more)

    async def watch(self, device: str, command: str, carry_out: Callable[[], Awaitable[Performed]]) -> Performed:
        """Give a device its command: its door must know of the release before it can be open. What was not carried out
        released nothing.
        """
        door = self._doors.get(device)
        if door is None or command != OPENING:
            return await carry_out()
        before_ns = door.released_until_ns
        self._release(door)
        released_ns = door.released_until_ns
        performed = await carry_out()
        if performed.result in _NOT_DONE and door.released_until_ns == released_ns:
            door.released_until_ns = before_ns
        return performed

    def overdue(self) -> list[Draft]:
        """Doors that have become open for too long. To be called every second."""
        now_ns = self._clock.mono_ns()
        return [
            self._alarmed(door, "DoorOpenTooLong")
            for door in self._doors.values()
            if door.open_since_ns is not None
            and door.alarm == "Normal"
            and now_ns - door.open_since_ns >= self._held_open_ns(door)
        ]

    def _door(self, bound: BoundDevice) -> _Door | None:
        rule = bound.profile.door
        if rule is None:
            return None
        return self._doors.setdefault(bound.info.id, _Door(bound.info.id, bound.place, rule))

    def _moved(self, door: _Door, state: str, *, initialized: bool) -> Iterable[Draft]:
        now_ns = self._clock.mono_ns()
        first, door.seen = not door.seen, True
        if state == "Open":
            door.open_since_ns = now_ns
            if not initialized and now_ns > door.released_until_ns:
                yield self._alarmed(door, "DoorForcedOpen")
        elif state == "Closed":
            door.open_since_ns = None
            if door.alarm != "Normal" or first or initialized:
                yield self._alarmed(door, "Normal", initialized=door.alarm == "Normal")

    def _release(self, door: _Door) -> None:
        door.released_until_ns = self._clock.mono_ns() + door.rule.release_s * NS_PER_S

    def _release_place(self, place: str) -> None:
        for door in self._doors.values():
            if door.place == place:
                self._release(door)

    def _held_open_ns(self, door: _Door) -> int:
        return (self._tuning(door.device).held_open_s or door.rule.held_open_s) * NS_PER_S

    def _alarmed(self, door: _Door, alarm: Alarm, *, initialized: bool = False) -> Draft:
        door.alarm = alarm
        return Draft(
            Event(
                id=NO_ID,
                stamp=NO_STAMP,
                device=door.device,
                topic=_ALARM,
                initialized=initialized,
                values={"state": alarm},
            )
        )
