"""An NXT IP amplifier: the device's side of `channels/<tenant>/messages/<device>`, without socket and clock.

    connected ── DEVICE_LOGIN true ──> on line: DEVICE_INFO_UPDATE every so often; TASK_START, TASK_STOP -> a reply
    connection or power lost ── the broker publishes the will: DEVICE_LOGIN false

A task is a song on some of the outputs, known by its uuid, with a priority of which 1 is the highest. It may begin
where nothing of a higher priority sounds; what it displaces has ended. It ends with its song, and nobody is told: only
an asked start or stop is answered. Starting a task that is running is answered with RUNNING and changes nothing.

    status    0 done, -1 failed, -2 not found (the song, the task), -3 running, -5 argument, -9 busy

At the device itself somebody may press a key, and its self-test says how the line of an output is. All of that is said
once, at QoS 0, while there is a connection. Nothing has a time: the device says none.

An output has a name, a volume and a place on the board, all of which an edit writes, as it comes: what is not in it is
empty then. That an output is broken, or plays on its spare amplifier, stands in every DEVICE_INFO_UPDATE.

Who asks is named in the frame (`source`), as `<platform>_<session>`; the reply goes to it (`target`). The session is
what the witness is told when the device does something.

Sources: the open platform's protocol file and handlers (PbMsg and the messages in it), two of its frames.
Is not: derived from the codec of the edge agent, which it is there to test.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from simulators import protobuf
from simulators.device import Moment, Publish, Witness

_SAY_MAX: Final = 64
# What a device without a clock says of when something was.
NO_TIME: Final = ""
VOLUMES: Final = range(16)
PRIORITIES: Final = (1, 2, 3)


class Id(IntEnum):
    """Messages, by the number in a PbMsg."""

    TASK_START = 231
    TASK_START_REPLY = 232
    TASK_STOP = 233
    TASK_STOP_REPLY = 234
    OUT_CHANNEL_GET = 263
    OUT_CHANNEL_GET_REPLY = 264
    OUT_CHANNEL_EDIT = 265
    OUT_CHANNEL_EDIT_REPLY = 266
    DEVICE_LOGIN = 362
    DEVICE_INFO_UPDATE = 363
    KEY_PRESS = 364
    SPEAKER_CHANNEL_STATUS = 410


class Status(IntEnum):
    """How an order ended."""

    SUCCEEDED = 0
    FAILED = -1
    NOT_FOUND = -2
    RUNNING = -3
    ARGUMENT = -5
    BUSY = -9


class Key(IntEnum):
    """The keys at the front."""

    PAGING = 0
    VOLUME_DOWN = 1
    MUTE = 2
    VOLUME_UP = 3
    RESTORE_FACTORY = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class AmplifierConfig:
    """What an installer would set. tree: topics of the tenant. songs: files on the device, with their length in
    seconds. info_interval_s: how often it says DEVICE_INFO_UPDATE by itself.
    """

    device_id: str
    tree: str = "channels/school"
    product: str = "NXT2204"
    outputs: int = 4
    songs: Mapping[str, float] = field(default_factory=lambda: {"bell.mp3": 8.0, "anthem.mp3": 50.0})
    info_interval_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Running:
    """A task that sounds. ends_s: on the monotonic clock."""

    song: str
    outputs: frozenset[int]
    priority: int
    volume: int
    ends_s: float


@dataclass(slots=True)
class Output:
    """One output. place: on the board; spare: it plays on the spare amplifier."""

    name: str
    volume: int
    place: int
    broken: bool = False
    spare: bool = False


class Amplifier:
    """One device. Feed it with what happens; `poll` gives what it wants to send now. Implements Machine."""

    def __init__(self, config: AmplifierConfig, *, witness: Witness) -> None:
        self.config = config
        self.powered = True
        self.reboot_wanted = False
        self.online = False
        # Times that it did what it was asked for.
        self.done = 0
        self._witness = witness
        self._tasks: dict[str, Running] = {}
        self.outputs = {
            number: Output(f"zone {number}", volume=10, place=number - 1) for number in range(1, config.outputs + 1)
        }
        self._next_info_s = 0.0
        # An amplifier keeps nothing; when the socket is slow the oldest is forgotten.
        self._say: deque[Publish] = deque(maxlen=_SAY_MAX)

    # --- what stands in the broker session ------------------------------------------------------------

    @property
    def client_id(self) -> str:
        """MQTT client id: the device's identity."""
        return self.config.device_id

    @property
    def subscription(self) -> str:
        """Its own topic, on which it also speaks."""
        return f"{self.config.tree}/messages/{self.config.device_id}"

    def will(self, now: Moment) -> Publish:
        """What the broker shall say when the device is gone without goodbye."""
        del now
        return self._frame(Id.DEVICE_LOGIN, {1: self.config.device_id, 2: 0})

    # --- the world --------------------------------------------------------------------------------------

    def connected(self, now: Moment) -> None:
        """The broker has accepted us and granted the subscription."""
        self.online = True
        self._say.append(self._frame(Id.DEVICE_LOGIN, {1: self.config.device_id, 2: 1}))
        self._next_info_s = now.mono_s + self.config.info_interval_s

    def disconnected(self) -> None:
        """The connection is gone; what sounds goes on sounding."""
        self.online = False
        self._say.clear()

    def power_off(self) -> None:
        """Power cut: silence."""
        self.disconnected()
        self._tasks.clear()
        self.powered = False
        self.reboot_wanted = False

    def power_on(self) -> None:
        """Power is back; the device has no connection yet."""
        self.powered = True

    def press(self, key: Key, now: Moment) -> None:
        """Somebody presses a key and lets it go."""
        if self.powered and self.online:
            self._witness.said(self.config.device_id, "KEY_PRESS", NO_TIME, now)
            for pressed in (1, 0):
                self._say.append(self._frame(Id.KEY_PRESS, {1: key, 2: pressed}))

    def self_test(self, output: int, now: Moment, *, sound: bool) -> None:
        """The line of an output was measured."""
        if self.powered and self.online:
            self._witness.said(self.config.device_id, "SPEAKER_CHANNEL_STATUS", NO_TIME, now)
            self._say.append(self._frame(Id.SPEAKER_CHANNEL_STATUS, {1: output, 2: int(sound)}))

    def sounding(self, now: Moment) -> dict[int, Running]:
        """What comes out of which output."""
        self._end_of_songs(now)
        return {output: task for task in self._tasks.values() for output in task.outputs}

    # --- the wire ---------------------------------------------------------------------------------------

    def received(self, payload: bytes, now: Moment) -> None:
        """Something arrived on our topic, our own words among it. What cannot be read is ignored."""
        try:
            frame = protobuf.read(payload)
            source, target = protobuf.text(frame, 3), protobuf.text(frame, 4)
            number, body = protobuf.whole(frame, 1), protobuf.raw(frame, 2)
        except ValueError:
            return
        if not self.online or source == self.config.device_id or target not in {"", self.config.device_id}:
            return
        self._end_of_songs(now)
        match number:
            case Id.TASK_START:
                self._reply(Id.TASK_START_REPLY, *self._start(body, source, now), source, now)
            case Id.TASK_STOP:
                self._reply(Id.TASK_STOP_REPLY, *self._stop(body, source, now), source, now)
            case Id.OUT_CHANNEL_GET:
                self._say.append(self._frame(Id.OUT_CHANNEL_GET_REPLY, {1: self._outputs()}, source))
            case Id.OUT_CHANNEL_EDIT:
                status = self._edit(body, source, now)
                self._say.append(self._frame(Id.OUT_CHANNEL_EDIT_REPLY, {1: status}, source))

    def poll(self, now: Moment) -> list[Publish]:
        """What to send now."""
        self._end_of_songs(now)
        if self.online and now.mono_s >= self._next_info_s:
            self._next_info_s = now.mono_s + self.config.info_interval_s
            self._say.append(self._info())
        out = list(self._say)
        self._say.clear()
        return out

    def wake_at(self) -> float | None:
        """When `poll` has something to say even if nothing happens."""
        return self._next_info_s if self.online else None

    # --- inside -----------------------------------------------------------------------------------------

    def _start(self, body: bytes, source: str, now: Moment) -> tuple[Status, str]:
        try:
            task = protobuf.read(protobuf.raw(protobuf.read(body), 2))
            uuid, song = protobuf.text(task, 3), protobuf.text(task, 6)
            priority, volume = protobuf.whole(task, 4), protobuf.whole(task, 27)
            outputs = frozenset(int(one) for one in protobuf.text(task, 9).split(","))
        except ValueError:
            return Status.ARGUMENT, ""
        fits = outputs <= set(range(1, self.config.outputs + 1)) and volume in VOLUMES and priority in PRIORITIES
        if not uuid or not fits:
            return Status.ARGUMENT, uuid
        if song not in self.config.songs:
            return Status.NOT_FOUND, uuid
        if uuid in self._tasks:
            return Status.RUNNING, uuid
        in_the_way = {one: running for one, running in self._tasks.items() if running.outputs & outputs}
        if any(running.priority < priority for running in in_the_way.values()):
            return Status.BUSY, uuid
        for one in in_the_way:
            del self._tasks[one]
        self._do(source, now)
        self._tasks[uuid] = Running(song, outputs, priority, volume, now.mono_s + self.config.songs[song])
        return Status.SUCCEEDED, uuid

    def _stop(self, body: bytes, source: str, now: Moment) -> tuple[Status, str]:
        try:
            uuid = protobuf.text(protobuf.read(body), 2)
        except ValueError:
            return Status.ARGUMENT, ""
        if uuid not in self._tasks:
            return Status.NOT_FOUND, uuid
        self._do(source, now)
        del self._tasks[uuid]
        return Status.SUCCEEDED, uuid

    def _edit(self, body: bytes, source: str, now: Moment) -> Status:
        try:
            given = protobuf.read(protobuf.raw(protobuf.read(body), 2))
            name, volume = protobuf.text(given, 1), protobuf.whole(given, 3)
            output, place = self.outputs.get(protobuf.whole(given, 2)), protobuf.whole(given, 4)
        except ValueError:
            return Status.ARGUMENT
        if output is None or volume not in VOLUMES:
            return Status.ARGUMENT
        output.name, output.volume, output.place = name, volume, place
        self._do(source, now)
        return Status.SUCCEEDED

    def _outputs(self) -> list[bytes]:
        return [
            protobuf.write(
                {
                    1: output.name,
                    2: number,
                    3: output.volume,
                    4: output.place,
                    6: 1,
                    7: int(output.broken),
                    8: int(output.spare),
                }
            )
            for number, output in self.outputs.items()
        ]

    def _do(self, source: str, now: Moment) -> None:
        self.done += 1
        self._witness.executed(self.config.device_id, source.rpartition("_")[2], now)

    def _reply(self, number: Id, status: Status, uuid: str, target: str, now: Moment) -> None:
        self._witness.said(self.config.device_id, number.name, NO_TIME, now)
        self._say.append(self._frame(number, {1: status, 2: uuid}, target))

    def _info(self) -> Publish:
        pack = protobuf.write({1: self._outputs()})
        info: dict[int, protobuf.Written] = {2: self.config.product, 11: self.config.device_id, 16: pack}
        return self._frame(Id.DEVICE_INFO_UPDATE, {1: self.config.device_id, 2: protobuf.write(info)})

    def _end_of_songs(self, now: Moment) -> None:
        for uuid in [uuid for uuid, task in self._tasks.items() if task.ends_s <= now.mono_s]:
            del self._tasks[uuid]

    def _frame(self, number: Id, body: Mapping[int, protobuf.Written], target: str = "") -> Publish:
        frame: dict[int, protobuf.Written] = {1: int(number), 2: protobuf.write(body), 3: self.config.device_id}
        return Publish(self.subscription, protobuf.write(frame | {4: target}), 0)
