"""A terminal on a virtual clock, with the other side played by hand."""

import json
from dataclasses import dataclass, field
from typing import Any

from simulators.chance import seeded
from simulators.device import DeviceClock, Kept, Memory, Moment, Publish
from simulators.facesluice import Misbehaviour, Terminal
from simulators.facesluice_messages import TerminalConfig
from simulators.people import Person, Shown, Swipe, Verdict, make_people

PEOPLE = make_people(1, students=20, staff=4)
# 2026-09-01 07:55:10 in Shanghai
BEGIN_S = 1_788_220_510.0


@dataclass
class Seen:
    """A witness that remembers."""

    facts: list[tuple[str, object]] = field(default_factory=list)

    def produced(self, device: str, record: Kept, now: Moment) -> None:
        self.facts.append(("produced", record.key))

    def released(self, device: str, record: Kept, now: Moment) -> None:
        self.facts.append(("released", record.key))

    def destroyed(self, device: str, record: Kept, cause: str, now: Moment) -> None:
        self.facts.append((cause, record.key))

    def said(self, device: str, kind: str, device_time: str, now: Moment) -> None:
        self.facts.append(("said", kind))

    def executed(self, device: str, request: str, now: Moment) -> None:
        self.facts.append(("executed", request))

    def garbled(self, device: str, now: Moment) -> None:
        self.facts.append(("garbled", None))

    def of(self, fact: str) -> list[Any]:
        return [what for name, what in self.facts if name == fact]


def swipe_of(person: Person | None = PEOPLE[0], verdict: Verdict = Verdict.ALLOWED, shown: Shown = Shown.FACE) -> Swipe:
    return Swipe(0.0, 0, None if person is None else person.index, verdict, shown, "in")


class Rig:
    def __init__(
        self, *, memory: Memory | None = None, clock: DeviceClock | None = None, seed: int = 1, **settings: Any
    ) -> None:
        faults = {name: settings.pop(name) for name in ("twice", "garbage", "deaf") if name in settings}
        self.mono_s = 0.0
        self.seen = Seen()
        self.memory = memory or Memory()
        self.clock = clock or DeviceClock()
        self.terminal = Terminal(
            TerminalConfig(device_id="1026701", **settings),
            clock=self.clock,
            memory=self.memory,
            witness=self.seen,
            chance=seeded("rig", seed),
            misbehaviour=Misbehaviour(**faults),
        )

    @property
    def now(self) -> Moment:
        return Moment(self.mono_s, BEGIN_S + self.mono_s)

    def advance(self, seconds: float) -> None:
        self.mono_s += seconds

    def swipe(self, person: Person | None = PEOPLE[0], verdict: Verdict = Verdict.ALLOWED, **more: Any) -> Kept | None:
        return self.terminal.swipe(swipe_of(person, verdict, **more), person, self.now)

    def raw(self) -> list[Publish]:
        return self.terminal.poll(self.now)

    def sent(self) -> list[tuple[str, dict[str, Any]]]:
        """(operator, info) of what is sent now."""
        messages = [json.loads(one.payload) for one in self.raw()]
        return [(one["operator"], one["info"]) for one in messages]

    def tell(self, operator: str, info: dict[str, Any], **more: Any) -> None:
        self.terminal.received(json.dumps({"operator": operator, "info": info, **more}).encode(), self.now)

    def push_ack(self, number: int | str, kind: int = 2) -> None:
        self.tell("PushAck", {"PushAckType": kind, "SnapOrRecordID": number}, messageId="m-1")

    def go_online(self) -> None:
        self.terminal.connected(self.now)
        assert [operator for operator, _ in self.sent()] == ["Online"]
        self.tell("Online-Ack", {"facesluiceId": "1026701", "result": "ok"})
