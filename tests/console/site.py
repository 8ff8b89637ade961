"""A campus for browsers: the real application on a real socket in a thread of its own, and a box that a test plays.

Browser tests are written without asyncio (Playwright's own loop runs in the test's thread), so everything here is
called from that thread and carried out in the campus' loop.
"""

import asyncio
import math
import sqlite3
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

import msgspec

from aggregator.accounts import EVERYWHERE, Role
from aggregator.alarms import Cause, State
from aggregator.alarms.desk import Resolution
from aggregator.commands.facts import outcome_id, taken_id
from aggregator.console import build_id
from aggregator.series import Projector
from aggregator.serve import HttpServer, listen, make_server
from device_profiles.catalogue import load_catalogue
from tests.api.rig import PASSWORD, Rig, assembled
from wire import codec
from wire.clock import NS_PER_S
from wire.commands import Command, Lease
from wire.delivery import Heartbeat, LaneDepth
from wire.identity import derived_id
from wire.records import Credential, CredentialKind, Event, Outcome, Reading, Record, Value
from wire.system_clock import SystemClock
from wire.topics import Down, Lane, Up

T = TypeVar("T")

WITHIN_S: Final = 60.0
DAY_S: Final = 86_400
# What is older when it is sent is history.
LATE_S: Final = 28
# Which of the day's values of the climate sensor is the odd one.
SPIKE: Final = 200
PEOPLE: Final = {
    "guard": Role.GUARD,
    "zhao": Role.GUARD,
    "lead": Role.LEAD,
    "ops": Role.OPS,
    "admin": Role.ADMIN,
    "teacher": Role.TEACHER,
    "wall": Role.WALL,
    "district": Role.DISTRICT,
}
GRANTED: Final = "AccessControl/AccessGranted/Credential"
DENIED: Final = "AccessControl/Denied/Credential"
DOOR_ALARM: Final = "Door/State/DoorAlarm"
# name, display names, place, profile
DOORS: Final = (
    ("face-01", "东门", "East gate", "校门", "facesluice-mqtt"),
    ("face-02", "西门", "West gate", "校门", "facesluice-mqtt"),
    ("face-03", "南门车行通道", "South gate, vehicles", "校门", "facesluice-mqtt"),
    ("face-04", "教学楼 A 大厅", "Teaching building A, hall", "教学区", "facesluice-mqtt"),
    ("face-05", "教学楼 B 大厅", "Teaching building B, hall", "教学区", "facesluice-mqtt"),
    ("door-01", "实验楼一层", "Laboratory, ground floor", "实训楼", "waveshare-relay-di"),
    ("door-02", "图书馆", "Library", "教学区", "waveshare-relay-di"),
    ("face-06", "食堂入口", "Canteen entrance", "生活区", "facesluice-mqtt"),
    ("face-07", "一号宿舍楼", "Dormitory 1", "生活区", "facesluice-mqtt"),
    ("face-08", "二号宿舍楼", "Dormitory 2", "生活区", "facesluice-mqtt"),
    ("door-03", "体育馆", "Gymnasium", "教学区", "waveshare-relay-di"),
    ("door-04", "机房与网络中心", "Server and network room", "实训楼", "waveshare-relay-di"),
)
OTHERS: Final = (
    ("climate-01", "机房温湿度", "Server room climate", "实训楼", "xy-md02"),
    ("meter-01", "实训楼总表", "Workshop meter", "实训楼", "sdm-meter"),
    ("camera-01", "东门摄像机", "East gate camera", "校门", "hik-camera"),
)
CATALOGUE: Final = load_catalogue()


Result = Literal["succeeded", "rejected", "expired", "unknown"]
RESULTS: Final[dict[str, Result]] = {
    "confirm": "succeeded",
    "reject": "rejected",
    "unknown": "unknown",
    "expire": "expired",
}


class Controller:
    """What becomes of a command. mode: one of RESULTS, `take` (and then nothing), or `silent`."""

    def __init__(self) -> None:
        self.mode = "confirm"
        self.commands: list[Command] = []


class Site:
    """See the module. url: of the console; controller: what becomes of commands; away: the box says nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._loop = asyncio.new_event_loop()
        self._ready: Future[None] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="site", daemon=True)
        self.controller = Controller()
        self.away = False
        self.rig: Rig
        self.url = ""
        self.clock = SystemClock(assume_synced=True)
        self._beats = 0
        self._has_climate = False
        self._alarm_ids: dict[str, str] = {}

    # --- from the test's thread -----------------------------------------------------------------------

    def start(self) -> None:
        self._thread.start()
        self._ready.result(WITHIN_S)

    def stop(self) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WITHIN_S)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run something in the campus' loop, to its end."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WITHIN_S)

    def deliver(self, *records: Record) -> None:
        """From the box into ledger and readers."""
        self.do(self._deliver(records))

    def event(self, topic: str, device: str = "face-01", **fields: Any) -> Event:
        return self.rig.box.event(topic, device=f"gate-1/{device}", **fields)

    def pass_by(self, device: str = "face-01", topic: str = GRANTED, tail: str = "4821", **fields: Any) -> None:
        credential = Credential(kind=CredentialKind.CARD, ref="cd" * 16, tail=tail)
        self.deliver(self.event(topic, device, credential=credential, **fields))

    def door_alarm(self, device: str, state: str = "DoorForcedOpen") -> None:
        self.deliver(self.event(DOOR_ALARM, device, values={"state": state}))

    def earlier(self, record: Record, seconds: float) -> Record:
        """The same record, of some time ago; beyond a few seconds from an earlier life of the box."""
        stamp, ago_ns = record.stamp, int(seconds * NS_PER_S)
        same_life = seconds < LATE_S
        moved = msgspec.structs.replace(
            stamp,
            wall_ns=stamp.wall_ns - ago_ns,
            mono_ns=stamp.mono_ns - ago_ns if same_life else 10 * DAY_S * NS_PER_S - ago_ns,
            boot_id=stamp.boot_id if same_life else "b0" * 16,
        )
        return msgspec.structs.replace(record, stamp=moved)

    def climate(self) -> None:
        """A day of a climate sensor, once: a value every five minutes, a gap of two hours, a spike of one value."""
        if self._has_climate:
            return
        self._has_climate = True
        readings = []
        for number in range(288):
            if not 100 <= number < 124:
                values = {"temperature": 40.0 if number == SPIKE else 20 + 3 * math.sin(number / 40), "humidity": 50.0}
                readings.append(self.earlier(self._reading("climate-01", values), (288 - number) * 300))
        self.deliver(*readings)

    def _reading(self, device: str, values: dict[str, float]) -> Reading:
        units = {"temperature": "Cel", "humidity": "%"}
        said = tuple(Value(resource=name, value=round(value, 2), unit=units[name]) for name, value in values.items())
        return Reading(
            id=self.rig.box.new_id(), device=f"gate-1/{device}", stamp=self.rig.box.clock.stamp(), readings=said
        )

    def alarms(self) -> dict[str, str]:
        """Open alarms: id by kind and device."""
        found = self.do(self.rig.campus.alarms.page((State.NEW, State.ACKED), beyond=None, limit=100))
        return {f"{alarm.kind} {alarm.source.partition('/')[2]}": alarm.id for alarm in found}

    def acknowledge(self, alarm: str, operator: str) -> None:
        """Somebody takes an alarm, named as in `alarms`."""

        async def take() -> None:
            desk = self.rig.campus.alarm_desk
            await desk.acknowledge(await desk.find(self._alarm_ids[alarm]), operator)

        self._alarm_ids = self.alarms()
        self.do(take())

    def calm(self) -> None:
        """Every alarm settled, every door shut, every device there, the box connected."""
        self.away = False
        self.controller.mode = "confirm"
        self.do(self._calm())

    def leave(self) -> None:
        """The box says nothing more; `calm` brings it back."""
        self.away = True
        self.do(self._forget_lease())

    async def _forget_lease(self) -> None:
        self.rig.campus.desk.shelf.hello(self.rig.box.edge)

    def finish(self, result: Result) -> None:
        """End the newest command."""
        self.do(self._end(self.controller.commands[-1], result))

    def set_roles(self, name: str, roles: str) -> None:
        """Give somebody other roles."""

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE users SET roles = ? WHERE name = ?", (roles, name))

        self.do(self.rig.office._db.write(write))

    # --- in its loop ----------------------------------------------------------------------------------

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        try:
            self._loop.run_until_complete(self._serve())
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        async with assembled(self._folder, clock=self.clock, build=build_id()) as rig:
            self.rig = rig
            campus = rig.campus
            for name, role in PEOPLE.items():
                await rig.office.add_user(name, PASSWORD, [role], EVERYWHERE)
            listener = listen("127.0.0.1", 0)
            self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            server: HttpServer = make_server(rig.app)
            projector = Projector(campus.ledger, campus.registry._db, campus.series)
            async with asyncio.TaskGroup() as group:
                serving = group.create_task(server.serve(sockets=[listener]))
                works = (campus.hub, campus.feed, campus.desk, campus.commands, projector)
                others = [group.create_task(work.run()) for work in works]
                await self._deliver([record for one in (*DOORS, *OTHERS) for record in self._described(*one)])
                others += [group.create_task(self._beat()), group.create_task(self._control())]
                self._ready.set_result(None)
                await self._stop.wait()
                campus.feed.close()
                campus.hub.close()
                server.stop()
                await serving
                for task in others:
                    task.cancel()

    async def _calm(self) -> None:
        doors = [name for name, *_, profile in DOORS if profile == "waveshare-relay-di"]
        said = [self.event(DOOR_ALARM, name, values={"state": "Normal"}) for name in (*doors, "face-01", "face-02")]
        said += [self.event("Door/State/DoorPhysicalState", name, values={"state": "Closed"}) for name in doors]
        said += [
            self.event("Device/State/Operating", name, values={"state": "UP"}) for name in ("door-04", "camera-01")
        ]
        await self._deliver(said)
        campus = self.rig.campus
        for view in (await campus.hub.snapshot()).alarms:
            alarm = await campus.alarm_desk.find(view.id)
            if alarm.state == "new":
                alarm = await campus.alarm_desk.acknowledge(alarm, "@test")
            await campus.alarm_desk.resolve(alarm, "@test", Resolution(cause=Cause.DRILL, note="calm", force=True))

    async def _deliver(self, records: Sequence[Record]) -> None:
        await self.rig.deliver(*records)
        head = await self.rig.ledger.head()
        assert await self.rig.campus.commands.reached(head, WITHIN_S)

    def _described(self, name: str, zh: str, en: str, place: str, profile: str) -> list[Event]:
        known = CATALOGUE.profiles[profile]
        info = {
            "profile": profile,
            "device_class": known.device_class.value,
            "systems": ",".join(system.value for system in known.systems),
            "protocol": known.protocol,
            "contract": known.contract.value,
            "display_name": zh,
            "display_name_en": en,
            "place": place,
        }
        said = [
            self.event("Device/State/Info", name, initialized=True, values=info),
            self.event("Device/State/Operating", name, initialized=True, values={"state": "UP"}),
        ]
        if profile == "waveshare-relay-di":
            said.append(self.event("Door/State/DoorPhysicalState", name, values={"state": "Closed"}))
            said.append(self.event("Door/State/LockPhysicalState", name, values={"state": "Locked"}))
        return said

    async def _beat(self) -> None:
        """Heartbeats with a fresh lease, as a box sends them."""
        while True:
            if not self.away:
                self._beats += 1
                box = self.rig.box
                beat = Heartbeat(
                    session=box.nonce,
                    epoch=box.epoch,
                    stamp=self.clock.stamp(),
                    lease=Lease(id=derived_id("lease", self._beats)),
                    lanes={
                        lane: LaneDepth(accepted=box.end(lane)[0], acknowledged=box.end(lane)[0], queued=0)
                        for lane in Lane
                    },
                    counters={"messages_total": 421, "polls_total": 1200, "polls_unanswered_total": 3},
                )
                await self.rig.campus.admission.receive(box.topic(Up.HEARTBEAT), codec.encode_heartbeat(beat))
                self.rig.campus.desk.heard(box.edge, beat, self.clock.mono_ns())
            await asyncio.sleep(0.5)

    async def _control(self) -> None:
        """Answer commands as the controller's mode says."""
        seen = 0
        while True:
            frames = [frame for _, leaf, frame in self.rig.sent if leaf is Down.COMMAND]
            for frame in frames[seen:]:
                command = codec.decode_signed(frame, Command)[0]
                self.controller.commands.append(command)
                await self._answer(command, self.controller.mode)
            seen = len(frames)
            await asyncio.sleep(0.02)

    async def _answer(self, command: Command, mode: str) -> None:
        if mode == "silent":
            return
        values = {"command_id": command.id, "name": command.name}
        stamp = self.clock.stamp()
        await self._deliver(
            [Event(id=taken_id(command.id), device=command.device, stamp=stamp, topic="Command/Taken", values=values)]
        )
        if mode in RESULTS:
            await self._end(command, RESULTS[mode])

    async def _end(self, command: Command, result: Result) -> None:
        outcome = Outcome(
            id=outcome_id(command.id),
            device=command.device,
            stamp=self.clock.stamp(),
            command_id=command.id,
            group_id=command.group_id,
            result=result,
        )
        await self._deliver([outcome])
