"""A FaceSluice face terminal: the device's side of `mqtt/face/…`, as a state machine without socket and clock.

    OFF ── connected ──> ANNOUNCING ── Online-Ack ok ──> ONLINE
     ^                    Online every few seconds        HeartBeat; records, oldest first
     └────────────────── connection or power lost ─────────┘      (the broker publishes the will: Offline)

A record (RecPush of a recognition, StrSnapPush of a stranger) goes into the device's memory first. In resume mode the
device sends the oldest `window` records it still owes, waits up to ack_wait_s for the PushAck of each and then sends
the same record again: same number, same time, same picture; only `Sendintime` tells that it is late. While it is off
line it keeps on recording and flushes the backlog afterwards, oldest first. ManualPushRecords makes it send old
records again with `PushType` 2, acknowledged ones too. Without resume mode each record is sent once.

QRCodePush, CardPush and AlarmInfoPush carry no number and are not kept: said once, while there is a connection. Only
their names are known; their fields are a guess, made of the names that RecPush uses for the same things.

MQTT 3.1.1, JSON, UTF-8; the client id is the device id; numbers of records and verdicts are strings, Sendintime and
PushType integers; times are local without offset. Sources: integration notes "Intelligent Network Camera MQTT
Protocol V1.25" and "Student Device Integration Guide", a captured RecPush.

Is: what a device does, faults included. Is not: derived from the codec of the edge agent, which it is there to test.
"""

import json
import random
from collections import deque
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from simulators.device import DeviceClock, Kept, Memory, Moment, Publish, RecordKey, Witness
from simulators.facesluice_messages import AUTOMATIC, OPERATORS, REC, REPLAYED, SNAP, TerminalConfig, integer
from simulators.garbage import spoil
from simulators.people import Person, Swipe, Verdict

_PUSH_ACK_TYPE: Final = {1: SNAP, 2: REC}
# "Sent within 10 s of capture" is what the notes say of Sendintime 1.
_IN_TIME_S: Final = 10.0
_SAY_MAX: Final = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Misbehaviour:
    """How often, 0 to 1, a device does what it should not: sends a record twice in a row, sends bytes that mean
    nothing after a record, does not hear a PushAck.
    """

    twice: float = 0.0
    garbage: float = 0.0
    deaf: float = 0.0


class Phase(Enum):
    """Where the device stands."""

    OFF = auto()
    ANNOUNCING = auto()
    ONLINE = auto()


class Terminal:
    """One terminal. Feed it with what happens; `poll` gives what it wants to send now."""

    def __init__(
        self,
        config: TerminalConfig,
        *,
        clock: DeviceClock,
        memory: Memory,
        witness: Witness,
        chance: random.Random,
        misbehaviour: Misbehaviour | None = None,
    ) -> None:
        """Clock and memory survive power cuts; everything else in here does not."""
        self.config = config
        self.clock = clock
        self.memory = memory
        self.phase = Phase.OFF
        self.powered = True
        self.reboot_wanted = False
        self.unlocked = 0
        self._witness = witness
        self._chance = chance
        self._faults = misbehaviour or Misbehaviour()
        self._next_online_s = 0.0
        self._next_heartbeat_s = 0.0
        self._in_flight: dict[RecordKey, float] = {}
        self._replay: deque[Kept] = deque(maxlen=memory.capacity)
        # A terminal has no outbox for what it does not keep; when the socket is slow the oldest is forgotten.
        self._say: deque[Publish] = deque(maxlen=_SAY_MAX)

    # --- what stands in the broker session ------------------------------------------------------------

    @property
    def client_id(self) -> str:
        """MQTT client id: the device id."""
        return self.config.device_id

    @property
    def subscription(self) -> str:
        """The one topic the device listens to."""
        return f"{self.config.prefix}/{self.config.device_id}"

    def will(self, now: Moment) -> Publish:
        """What the broker shall say when the device is gone without goodbye."""
        return self.config.basic("Offline", self.clock.text(now))

    # --- the world --------------------------------------------------------------------------------------

    def connected(self, now: Moment) -> None:
        """The broker has accepted us and granted the subscription."""
        self.phase = Phase.ANNOUNCING
        self._next_online_s = now.mono_s

    def disconnected(self) -> None:
        """The connection is gone; what was in flight is owed again."""
        self.phase = Phase.OFF
        self._in_flight.clear()
        self._say.clear()

    def power_off(self) -> None:
        """Power cut: only clock and memory stay."""
        self.disconnected()
        self._replay.clear()
        self.powered = False
        self.reboot_wanted = False

    def power_on(self) -> None:
        """Power is back; the device has no connection yet."""
        self.powered = True

    def wipe(self, now: Moment) -> None:
        """Factory reset: memory gone, record numbers begin at 1 again."""
        for record in self.memory.wipe():
            self._witness.destroyed(self.config.device_id, record, "wiped", now)
        self._in_flight.clear()
        self._replay.clear()

    def swipe(self, swipe: Swipe, person: Person | None, now: Moment) -> Kept | None:
        """Somebody stands before the terminal. Returns the record, or None when the device has no power."""
        if not self.powered:
            return None
        if swipe.verdict is Verdict.STRANGER:
            return self._keep(SNAP, None, self.config.stranger(self._chance), now)
        return self._keep(REC, swipe.who, self.config.recognition(swipe, person, self._chance), now)

    def show_qr(self, text: str, now: Moment) -> None:
        """A QR code that the terminal does not judge itself."""
        self._say_once("QRCodePush", "QRCode", {"szQrCodeData": text}, now)

    def show_card(self, number: str, now: Moment) -> None:
        """A card that the terminal does not judge itself."""
        self._say_once("CardPush", "Card", {"RFIDCard": number}, now)

    def alarm(self, kind: str, now: Moment) -> None:
        """The terminal's own alarm."""
        self._say_once("AlarmInfoPush", "Alarm", {"alarmType": kind}, now)

    # --- the wire ---------------------------------------------------------------------------------------

    def received(self, payload: bytes, now: Moment) -> None:
        """Something arrived on our topic. What cannot be read is ignored, as the device does."""
        try:
            message = json.loads(payload)
        except (ValueError, RecursionError):
            return
        if not isinstance(message, dict) or self.phase is Phase.OFF:
            return
        info = message.get("info")
        info = info if isinstance(info, dict) else {}
        match message.get("operator"):
            case "Online-Ack":
                self._online_ack(info, now)
            case "PushAck":
                self._push_ack(info, now)
            case str(operator):
                self._command(operator, message.get("messageId"), info, now)

    def poll(self, now: Moment) -> list[Publish]:
        """What to send now."""
        out: list[Publish] = []
        if self.phase is Phase.ANNOUNCING and now.mono_s >= self._next_online_s:
            out.append(self.config.basic("Online", self.clock.text(now)))
            self._next_online_s = now.mono_s + self.config.online_interval_s
        out.extend(self._say)
        self._say.clear()
        if self.phase is Phase.ONLINE:
            if now.mono_s >= self._next_heartbeat_s:
                out.append(self.config.heartbeat(self.clock.text(now)))
                self._next_heartbeat_s = now.mono_s + self.config.heartbeat_interval_s
            self._push_due(now, out)
        return out

    def wake_at(self) -> float | None:
        """Monotonic second at which `poll` has something to say even if nothing happens; None: never."""
        if self.phase is Phase.OFF:
            return None
        if self.phase is Phase.ANNOUNCING:
            return self._next_online_s
        return min([self._next_heartbeat_s, *self._in_flight.values()])

    # --- inside -----------------------------------------------------------------------------------------

    def _keep(self, series: str, who: int | None, fields: dict[str, object], now: Moment) -> Kept:
        device_s = self.clock.seconds(now)
        record = Kept(
            key=self.memory.next_key(series),
            device_time=self.clock.text_of(device_s),
            device_s=device_s,
            who=who,
            status=str(fields.get("VerifyStatus", "")),
            fields=fields,
        )
        overwritten = self.memory.add(record)
        if overwritten is not None:
            self._in_flight.pop(overwritten.key, None)
        if not self.config.resume:
            self._send_and_forget(record, now)
            return record
        self._witness.produced(self.config.device_id, record, now)
        if overwritten is not None:
            self._witness.destroyed(self.config.device_id, overwritten, "overwritten", now)
        return record

    def _send_and_forget(self, record: Kept, now: Moment) -> None:
        record.sent = True
        self.memory.acknowledge(record.key.series, record.key.number)
        if self.phase is Phase.ONLINE:
            self._witness.said(self.config.device_id, OPERATORS[record.key.series], record.device_time, now)
            self._push(record, AUTOMATIC, now, self._say)

    def _push_due(self, now: Moment, out: list[Publish]) -> None:
        for key, deadline_s in list(self._in_flight.items()):
            if now.mono_s >= deadline_s:
                del self._in_flight[key]
        for record in self._first_owed():
            self._in_flight[record.key] = now.mono_s + self.config.ack_wait_s
            self._push(record, AUTOMATIC, now, out)
        # What was asked for again waits until the window is free of what is owed, and is sent once.
        while self._replay and len(self._in_flight) < self.config.window:
            record = self._replay.popleft()
            self._in_flight[record.key] = now.mono_s + self.config.ack_wait_s
            self._push(record, REPLAYED, now, out)

    def _first_owed(self) -> list[Kept]:
        """The oldest records that are owed and not in flight, as many as the window has room for."""
        room = self.config.window - len(self._in_flight)
        first: list[Kept] = []
        for record in self.memory.unacked():
            if len(first) >= room:
                break
            if record.key not in self._in_flight:
                first.append(record)
        return first

    def _push(self, record: Kept, push_type: int, now: Moment, out: list[Publish] | deque[Publish]) -> None:
        in_time = abs(self.clock.seconds(now) - record.device_s) <= _IN_TIME_S
        message = self.config.record(record, push_type, in_time=in_time)
        out.append(message)
        record.sent = True
        if self._chance.random() < self._faults.twice:
            out.append(message)
        if self._chance.random() < self._faults.garbage:
            self._witness.garbled(self.config.device_id, now)
            out.append(message._replace(payload=spoil(message.payload, self._chance)))

    def _online_ack(self, info: dict[str, object], now: Moment) -> None:
        if self.phase is Phase.ANNOUNCING and info.get("result") == "ok":
            self.phase = Phase.ONLINE
            self._next_heartbeat_s = now.mono_s + self.config.heartbeat_interval_s

    def _push_ack(self, info: dict[str, object], now: Moment) -> None:
        series = _PUSH_ACK_TYPE.get(integer(info.get("PushAckType")))
        number = integer(info.get("SnapOrRecordID"))
        if series is None or number < 1 or self._chance.random() < self._faults.deaf:
            return
        self._in_flight.pop(RecordKey(series, self.memory.run, number), None)
        record = self.memory.acknowledge(series, number)
        if record is not None:
            self._witness.released(self.config.device_id, record, now)

    def _command(self, operator: str, message_id: object, info: dict[str, object], now: Moment) -> None:
        done: dict[str, object] | None = {}
        match operator:
            case "Unlock" if integer(info.get("openDoor")) == 1:
                self.unlocked += 1
                self._witness.executed(self.config.device_id, str(message_id), now)
            case "GetSysTime":
                done = {"SysTime": self.clock.text(now)}
            case "SetSysTime":
                done = self._set_time(info.get("SysTime"), now)
            case "ManualPushRecords":
                done = self._replay_between(info)
            case "RebootDevice":
                self.reboot_wanted = True
            case _:
                done = None
        self._say.append(self.config.reply(operator, message_id, done))

    def _set_time(self, text: object, now: Moment) -> dict[str, object] | None:
        try:
            self.clock.set(str(text), now)
        except ValueError:
            return None
        return {}

    def _replay_between(self, info: dict[str, object]) -> dict[str, object] | None:
        try:
            start_s, end_s = (self.clock.read(str(info.get(name))) for name in ("TimeS", "TimeE"))
        except ValueError:
            return None
        self._replay.extend(self.memory.between(start_s, end_s + 1))
        return {}

    def _say_once(self, operator: str, leaf: str, fields: dict[str, object], now: Moment) -> None:
        if self.phase is not Phase.ONLINE:
            return
        text = self.clock.text(now)
        self._witness.said(self.config.device_id, operator, text, now)
        self._say.append(self.config.said(operator, leaf, text, fields))
