"""A Hikvision camera: its alertStream and the few pages that receivers ask for first.

`GET /ISAPI/Event/notification/alertStream` is answered for ever with `multipart/mixed`, a part for each thing. A state
that lasts is said again every `repeat_s` as long as it lasts, and `inactive` when it ends; motion from some firmware
just stops being said. `videoloss` with `inactive` every `keep_alive_s` shows that the camera is there. Nothing is kept:
what happens while nobody listens is never said, a state that lasts is said to whoever comes.

Faults: it stands still and keeps the connection (`stall`), restarts (`restart`), says a length that is wrong, puts a
part among the others that is none, sends a picture.

The clock is local time with its offset. Source: Hikvision ISAPI guide, Alarm and Event; the part is the one that pyHik
accepts, with the opening and the closing tag on lines of their own.
"""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from simulators.device import Moment, Time, Witness
from simulators.hik_http import Answer, DoorKeeper, Request, SignInKind, read_request

STREAM: Final = "/ISAPI/Event/notification/alertStream"
BOUNDARY: Final = "boundary"
# Somebody who does not read is hung up on, as a camera with little memory does.
_UNREAD_BYTES_MAX: Final = 1024 * 1024
_STREAMS_MAX: Final = 8
_NS_PER_S: Final = 1_000_000_000
_XMLNS: Final = 'version="2.0" xmlns="http://www.hikvision.com/ver20/XMLSchema"'
# What pyHik may ask for; cameras announce much more.
TRIGGERS: Final = ("VMD", "shelteralarm", "diskfull", "diskerror", "nicbroken", "ipconflict", "illaccess", "videoloss")


@dataclass(frozen=True, slots=True, kw_only=True)
class HikConfig:
    """One camera. name: as the journal calls it; port: 0 takes any; wrong_by_s: how far its clock is ahead."""

    name: str
    host: str = "127.0.0.1"
    port: int = 0
    username: str = "campus"
    password: str = "not a real one"  # noqa: S105  of a camera that does not exist
    sign_in: SignInKind = "digest"
    zone: str = "Asia/Shanghai"
    wrong_by_s: float = 0.0
    repeat_s: float = 1.0
    keep_alive_s: float = 10.0


@dataclass(slots=True)
class _State:
    """Something that lasts. said: somebody has heard of it; until_s: monotonic second at which it just stops being
    said, None: until it is ended.
    """

    kind: str
    channel: int
    next_s: float
    until_s: float | None = None
    said: bool = False


@dataclass(slots=True)
class _Faults:
    """What goes wrong with the next part. length_off: added to its length."""

    length_off: int = 0
    stalled: bool = False


@dataclass(eq=False, slots=True)
class _Line:
    writer: asyncio.StreamWriter
    alive: bool = field(default=True)


class HikCamera:
    """One camera. `run` serves until cancelled; `port` is known once `serving` is set."""

    def __init__(self, config: HikConfig, time: Time, witness: Witness, chance: random.Random) -> None:
        self.config = config
        self.port = config.port
        self.serving = asyncio.Event()
        self._time = time
        self._witness = witness
        self._chance = chance
        self._zone = ZoneInfo(config.zone)
        self._keeper = DoorKeeper(config.sign_in, config.username, config.password, "IP Camera(C0001)", chance)
        self._states: dict[tuple[str, int], _State] = {}
        self._lines: set[_Line] = set()
        self._faults = _Faults()
        self._next_keep_alive_s = 0.0
        self._nudged = asyncio.Event()
        self._power = asyncio.Event()
        self._power.set()

    @property
    def listeners(self) -> int:
        """How many streams are open."""
        return len(self._lines)

    # --- the world --------------------------------------------------------------------------------------

    def begin(self, kind: str, channel: int = 1, *, lasts_s: float | None = None) -> None:
        """A state begins. lasts_s: it is said for so long and then no more, without a word that it ended."""
        now_s = self._now().mono_s
        until_s = None if lasts_s is None else now_s + lasts_s
        self._states.setdefault((kind, channel), _State(kind, channel, now_s, until_s))
        self._nudged.set()

    def end(self, kind: str, channel: int = 1) -> None:
        """A state ends, and whoever listens is told so."""
        state = self._states.pop((kind, channel), None)
        if state is not None and self._is_heard() and state.said:
            self._say_once(kind, channel, "inactive")

    def stall(self, *, stalled: bool) -> None:
        """Stands still, or goes on; the connections stay open."""
        self._faults.stalled = stalled
        self._nudged.set()

    def picture(self, size: int = 2000) -> None:
        """A picture among the events."""
        self._send_part("image/jpeg", b"\xff\xd8\xff\xe0" + self._chance.randbytes(size) + b"\xff\xd9")

    def garbage(self, size: int = 300) -> None:
        """A part that is none."""
        self._witness.garbled(self.config.name, self._now())
        body = b"<EventNotificationAlert" + self._chance.randbytes(size).replace(b"\n", b"") + b">"
        self._send_part("application/xml", body)

    def wrong_length(self, off: int) -> None:
        """The next part says a length that is off by so many bytes."""
        self._faults.length_off = off

    def switch(self, *, on: bool) -> None:
        """The power. What lasted is over when it is on again."""
        if on:
            self._power.set()
        else:
            self._states.clear()
            self._power.clear()
            self.serving.clear()
            self._nudged.set()

    # --- serving ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Serve while there is power; ends only by cancellation."""
        while True:
            await self._power.wait()
            server = await asyncio.start_server(self._serve, self.config.host, self.port, limit=16 * 1024)
            self.port = server.sockets[0].getsockname()[1]
            self._next_keep_alive_s = self._now().mono_s
            self.serving.set()
            try:
                while self._power.is_set():
                    await self._rest(self._work())
            finally:
                self.serving.clear()
                server.close()
                for line in [*self._lines]:
                    self._hang_up(line)

    def _work(self) -> float:
        """Say what is due. Returns the monotonic second at which there is something again."""
        now_s = self._now().mono_s
        if now_s >= self._next_keep_alive_s:
            self._next_keep_alive_s = now_s + self.config.keep_alive_s
            self._send_alert("videoloss", 1, "inactive", self._now())
        for key, state in [*self._states.items()]:
            if state.until_s is not None and now_s >= state.until_s:
                del self._states[key]
            elif now_s >= state.next_s:
                state.next_s = now_s + self.config.repeat_s
                self._say(state)
        return min([self._next_keep_alive_s, *(state.next_s for state in self._states.values())])

    async def _rest(self, until_s: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until_s - self._now().mono_s)):
                await self._nudged.wait()
        self._nudged.clear()

    def _say(self, state: _State) -> None:
        if not self._is_heard():
            return
        if state.said:
            self._send_alert(state.kind, state.channel, "active", self._now())
        else:
            state.said = True
            self._say_once(state.kind, state.channel, "active")

    def _say_once(self, kind: str, channel: int, word: str) -> None:
        now = self._now()
        self._witness.said(self.config.name, f"{kind} {word}", self._clock(now), now)
        self._send_alert(kind, channel, word, now)

    def _is_heard(self) -> bool:
        return bool(self._lines) and not self._faults.stalled

    # --- one connection ---------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = _Line(writer)
        try:
            while (request := await read_request(reader)) is not None:
                if not self._keeper.lets_in(request):
                    writer.write(self._keeper.refusal().encode())
                elif request.target.partition("?")[0] == STREAM and len(self._lines) < _STREAMS_MAX:
                    self._open(line)
                    # Whatever a listener says is not looked at; that it is gone is.
                    while await reader.read(1024):
                        pass
                    return
                else:
                    writer.write(self._page(request).encode())
                await writer.drain()
        except (ConnectionError, ValueError, asyncio.IncompleteReadError):
            pass
        finally:
            self._hang_up(line)

    def _open(self, line: _Line) -> None:
        head = [
            "HTTP/1.1 200 OK",
            "MIME-Version: 1.0",
            "Connection: close",
            f"Content-Type: multipart/mixed; boundary={BOUNDARY}",
            "",
            "",
        ]
        line.writer.write("\r\n".join(head).encode())
        self._lines.add(line)
        now_s = self._now().mono_s
        for state in self._states.values():
            state.next_s = now_s
        self._next_keep_alive_s = now_s
        self._nudged.set()

    def _hang_up(self, line: _Line) -> None:
        self._lines.discard(line)
        if line.alive:
            line.alive = False
            line.writer.close()

    def _page(self, request: Request) -> Answer:
        pages: dict[str, Callable[[], str]] = {
            "/ISAPI/System/status": self._status,
            "/ISAPI/System/deviceInfo": self._device_info,
            "/ISAPI/Event/triggers": _triggers,
        }
        page = pages.get(request.target)
        if page is None:
            return Answer("404 Not Found", f"<ResponseStatus {_XMLNS}><statusCode>4</statusCode></ResponseStatus>")
        return Answer("200 OK", '<?xml version="1.0" encoding="UTF-8"?>\n' + page())

    def _status(self) -> str:
        now = self._now()
        up = f"<currentDeviceTime>{self._clock(now)}</currentDeviceTime><deviceUpTime>{int(now.mono_s)}</deviceUpTime>"
        return f"<DeviceStatus {_XMLNS}>{up}</DeviceStatus>"

    def _device_info(self) -> str:
        said = (
            f"<deviceName>{self.config.name}</deviceName><deviceID>48443030-3637-3534-3837-{self.port:012d}</deviceID>"
        )
        return f"<DeviceInfo {_XMLNS}>{said}<model>DS-2CD0000</model><deviceType>IPCamera</deviceType></DeviceInfo>"

    # --- parts ------------------------------------------------------------------------------------------

    def _send_alert(self, kind: str, channel: int, state: str, now: Moment) -> None:
        said = {
            "ipAddress": "192.0.2.64",
            "portNo": "80",
            "protocol": "HTTP",
            "macAddress": "44:19:b6:00:00:01",
            "channelID": str(channel),
            "dateTime": self._clock(now),
            "activePostCount": "1" if state == "active" else "0",
            "eventType": kind,
            "eventState": state,
            "eventDescription": f"{kind} alarm",
        }
        lines = [f"<{name}>{text}</{name}>" for name, text in said.items()]
        body = "\r\n".join([f"<EventNotificationAlert {_XMLNS}>", *lines, "</EventNotificationAlert>", ""])
        self._send_part('application/xml; charset="UTF-8"', body.encode())

    def _send_part(self, media_type: str, body: bytes) -> None:
        if self._faults.stalled:
            return
        length = max(0, len(body) + self._faults.length_off)
        self._faults.length_off = 0
        head = f"--{BOUNDARY}\r\nContent-Type: {media_type}\r\nContent-Length: {length}\r\n\r\n"
        for line in [*self._lines]:
            line.writer.write(head.encode() + body + b"\r\n")
            if line.writer.transport.get_write_buffer_size() > _UNREAD_BYTES_MAX:
                self._hang_up(line)

    def _clock(self, now: Moment) -> str:
        wrong = datetime.fromtimestamp(now.wall_s + self.config.wrong_by_s, UTC)
        return wrong.astimezone(self._zone).isoformat(timespec="seconds")

    def _now(self) -> Moment:
        return Moment(self._time.mono_ns() / _NS_PER_S, self._time.wall_ns() / _NS_PER_S)


def _triggers() -> str:
    notified = "<EventTriggerNotificationList><EventTriggerNotification><id>center</id>"
    notified += (
        "<notificationMethod>center</notificationMethod></EventTriggerNotification></EventTriggerNotificationList>"
    )
    each = "".join(
        f"<EventTrigger><id>{kind}-1</id><eventType>{kind}</eventType><videoInputChannelID>1</videoInputChannelID>"
        f"{notified}</EventTrigger>"
        for kind in TRIGGERS
    )
    return f"<EventNotification {_XMLNS}><EventTriggerList>{each}</EventTriggerList></EventNotification>"
