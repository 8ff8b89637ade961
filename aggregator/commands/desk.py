"""The desk: checks, writes down, sends; and ends what was surely never carried out.

Order of things for one command, and what a kill in between leaves:

    key remembered, if one was given     asked again with the same key: carried on from here
    Command/Requested in the ledger      never sent; settled as `unreachable` by the rule below
    frame sent under one use of a lease  the box takes it or not; both come to be known

A command without an answer is "unconfirmed" until a heartbeat of its box allows the conclusion that it was never
carried out and never will be (wire.delivery.Heartbeat): then Command/Settled says `unreachable`. A box that has begun a
new history since (a new card, an old image of it) cannot be asked any more; then it says `unknown`.
"""

import asyncio
import hashlib
import json
import logging
import sqlite3
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from weakref import WeakValueDictionary

from aggregator.commands.facts import Asked, outcome_id, requested, requested_id, settled, taken_id
from aggregator.commands.shelf import LeaseShelf
from aggregator.commands.view import SQL, CommandView
from aggregator.ledger import Ledger
from aggregator.refused import Refused
from aggregator.storage import Database, StorageError
from device_profiles.model import DeviceProfile
from device_profiles.orders import NotPossible, plan
from wire import codec
from wire.clock import NS_PER_S, Clock
from wire.commands import Command, LeaseUse
from wire.delivery import Heartbeat
from wire.mqtt_link import LinkError
from wire.records import Event, Scalar
from wire.topics import Down, Lane, down_topic

log = logging.getLogger(__name__)

DEVICES_MAX: Final = 32
# The command that opens a door for a moment, as ONVIF calls it.
OPENING: Final = "AccessDoor"
# Releases of more doors than this at once want a second person, and that is not built.
RELEASES_MAX: Final = 5
# Who opens a door for somebody says why, in as many characters.
REASON_MIN: Final = 2
KEY_KEPT_S: Final = 7 * 86_400
WAITING_MAX: Final = 4096
# Between the asking and the drawing of a lease; with the 10 s of the lease itself nothing happens later than 11 s after
# it was asked for, however slow our own disk is.
PATIENCE_S: Final = 1

Send = Callable[[str, Down, bytes], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What somebody asks for. caller: who is remembered with the key; key: empty when none was given."""

    devices: Sequence[str]
    name: str
    operator: str
    reason: str = ""
    arguments: Mapping[str, Scalar] = field(default_factory=dict)
    caller: str = ""
    key: str = ""


class CommandDesk:
    """See the module."""

    def __init__(
        self,
        *,
        campus: str,
        ledger: Ledger,
        view: CommandView,
        db: Database,
        clock: Clock,
        random: Callable[[int], bytes],
        sign: Callable[[bytes], bytes],
        send: Send,
        devices: Callable[[], Awaitable[Sequence[Mapping[str, Any]]]],
        profiles: Mapping[str, DeviceProfile],
    ) -> None:
        """devices: as the registry shows them. profiles: that the campus knows; a box may have others of its own."""
        self._campus = campus
        self._ledger = ledger
        self._view = view
        self._db = db
        self._clock = clock
        self._random = random
        self._sign = sign
        self._send = send
        self._devices = devices
        self._profiles = profiles
        self.shelf = LeaseShelf()
        self._fresh: dict[str, Heartbeat] = {}
        self._beat = asyncio.Event()
        # Edge -> session of its last heartbeat.
        self._sessions: dict[str, str] = {}
        # Requests under one key go one after the other; a lock lives as long as somebody holds it or waits for it.
        self._keys: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    # --- what boxes say -------------------------------------------------------------------------------

    def hello(self, edge: str) -> None:
        """A box was welcomed."""
        self.shelf.hello(edge)
        self._fresh.pop(edge, None)
        self._sessions.pop(edge, None)

    def heard(self, edge: str, heartbeat: Heartbeat, heard_ns: int) -> None:
        """A heartbeat of a welcomed box."""
        self.shelf.heard(edge, heartbeat, heard_ns)
        self._sessions[edge] = heartbeat.session
        if edge in self._fresh or len(self._fresh) < WAITING_MAX:
            self._fresh[edge] = heartbeat
            self._beat.set()

    # --- what people ask ------------------------------------------------------------------------------

    async def request(self, request: Request) -> dict[str, Any]:
        """Carry a request out as far as the desk can. Raises Refused, StorageError, sqlite3.Error."""
        begun_ns = self._clock.mono_ns()
        asked = await self._checked(request)
        if not request.key:
            await self._carry_all(asked, begun_ns)
            return _answer(asked)
        async with self._keys.setdefault((request.caller, request.key), asyncio.Lock()):
            return await self._once(request, asked, begun_ns)

    async def _once(self, request: Request, asked: list[Asked], begun_ns: int) -> dict[str, Any]:
        """Carry on what was begun under the key, or begin."""
        answer = _answer(asked)
        earlier = await self._remember(request, answer)
        if earlier is not None:
            answer = earlier
            ids = {item["device"]: item["id"] for item in answer["items"]}
            asked = [replace(one, command_id=ids[one.device], group_id=answer["group_id"]) for one in asked]
        try:
            await self._carry_all(asked, begun_ns)
        except Refused:
            # Nothing was done now. What an earlier call may have done under the key must not be done again.
            if earlier is None:
                await self._forget(request)
            raise
        return answer

    async def _carry_all(self, asked: Sequence[Asked], begun_ns: int) -> None:
        """What is not in the ledger yet. Raises Refused when none of their boxes can be reached."""
        now_ns = self._clock.mono_ns()
        fresh = [one for one in asked if await self._ledger.event(requested_id(one.command_id)) is None]
        if fresh and not any(self.shelf.reachable(one.edge, now_ns) for one in fresh):
            raise Refused(503, "box_unreachable", {"devices": [one.device for one in fresh]})
        for one in fresh:
            await self._carry(one, begun_ns)

    async def _checked(self, request: Request) -> list[Asked]:
        if not request.devices or len(set(request.devices)) != len(request.devices):
            raise Refused(422, "bad_devices")
        if len(request.devices) > DEVICES_MAX:
            raise Refused(422, "too_many_devices", {"limit": DEVICES_MAX})
        known = {row["device_id"]: row for row in await self._devices()}
        group_id = self._random(16).hex()
        asked = []
        for device in request.devices:
            row = known.get(device)
            if row is None:
                raise Refused(404, "unknown_device", {"device": device[:128]})
            profile = self._profiles.get(row["profile"])
            if profile is not None:
                self._possible(profile, device, request)
            if self.is_release(row["profile"], request.name) and len(request.reason.strip()) < REASON_MIN:
                raise Refused(422, "reason_required", {"device": device})
            asked.append(
                Asked(
                    command_id=self._random(16).hex(),
                    group_id=group_id,
                    device=device,
                    name=request.name,
                    operator=request.operator,
                    reason=request.reason,
                    arguments=request.arguments,
                )
            )
        return asked

    def _possible(self, profile: DeviceProfile, device: str, request: Request) -> None:
        try:
            plan(profile, request.name, request.arguments)
        except NotPossible as error:
            raise Refused(422, error.reason, {"device": device, "command": request.name[:64]}) from None
        command = next(one for one in profile.device_commands if one.name == request.name)
        if not command.idempotent and len(request.devices) > RELEASES_MAX:
            raise Refused(422, "too_many_releases", {"limit": RELEASES_MAX})

    def profile(self, name: str) -> DeviceProfile | None:
        """A profile that the campus knows."""
        return self._profiles.get(name)

    def is_release(self, device_profile: str, name: str) -> bool:
        """Whether a command must not happen twice; one that the campus does not know is taken for such."""
        profile = self._profiles.get(device_profile)
        command = None if profile is None else next((one for one in profile.device_commands if one.name == name), None)
        return command is None or not command.idempotent

    def can_open(self, device_profile: str) -> bool:
        """Whether devices of a profile can let somebody through a door."""
        profile = self._profiles.get(device_profile)
        return profile is not None and any(command.name == OPENING for command in profile.device_commands)

    async def _carry(self, asked: Asked, begun_ns: int) -> None:
        stamp = self._clock.stamp()
        now_ns = self._clock.mono_ns()
        late = now_ns - begun_ns > PATIENCE_S * NS_PER_S
        drawn = None if late else self.shelf.draw(asked.edge, now_ns)
        if drawn is None:
            # Of a group whose others are reachable, or of a desk that was too slow: it must have its end, too.
            reason = "desk_slow" if late else "box_unreachable"
            facts = [requested(asked, stamp), settled(asked, "unreachable", reason, stamp)]
            await self._ledger.append_campus(facts, stamp)
            return
        sent = replace(asked, lease=drawn.use, session=drawn.session, epoch=drawn.epoch)
        await self._ledger.append_campus([requested(sent, stamp)], stamp)
        try:
            await self._send(asked.edge, Down.COMMAND, self._frame(asked, drawn.use))
        except LinkError as error:
            # It may have left or not; the box will tell.
            log.info("command not handed over", extra={"command": asked.command_id, "cause": str(error)})

    def _frame(self, asked: Asked, use: LeaseUse) -> bytes:
        command = Command(
            id=asked.command_id,
            device=asked.device,
            name=asked.name,
            operator=asked.operator[:64],
            reason=asked.reason,
            lease=use,
            group_id=asked.group_id,
            arguments=dict(asked.arguments),
        )
        line = codec.encode_line(command)
        topic = down_topic(self._campus, asked.edge, Down.COMMAND)
        return codec.encode_signed(Command, line, self._sign(codec.signing_input(topic, line)).hex())

    # --- keys -----------------------------------------------------------------------------------------

    async def _remember(self, request: Request, answer: Mapping[str, Any]) -> dict[str, Any] | None:
        """Keep the answer under the key, or give the one that is kept. Raises Refused when the key was another's."""
        body = json.dumps([list(request.devices), request.name, dict(request.arguments), request.reason])
        digest = hashlib.sha256(body.encode()).hexdigest()
        now_ns = self._clock.wall_ns()
        place = {"caller": request.caller, "key": request.key}

        def write(connection: sqlite3.Connection) -> tuple[str, str] | None:
            connection.execute(SQL["forget_keys"], {"before_ns": now_ns - KEY_KEPT_S * NS_PER_S})
            row = connection.execute(SQL["key"], place).fetchone()
            if row is not None:
                return row["request"], row["answer"]
            params = {**place, "request": digest, "answer": json.dumps(answer), "created_ns": now_ns}
            connection.execute(SQL["add_key"], params)
            return None

        kept = await self._db.write(write)
        if kept is None:
            return None
        if kept[0] != digest:
            raise Refused(409, "key_used")
        earlier: dict[str, Any] = json.loads(kept[1])
        return earlier

    async def _forget(self, request: Request) -> None:
        """Nothing was done under the key; asked again, it is a new request."""
        place = {"caller": request.caller, "key": request.key}
        await self._db.write(lambda connection: connection.execute(SQL["forget_key"], place))

    # --- ends -----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """End what boxes let us end, for ever."""
        failing = False
        while True:
            await self._beat.wait()
            self._beat.clear()
            fresh, self._fresh = self._fresh, {}
            try:
                for edge, heartbeat in fresh.items():
                    await self.settle(edge, heartbeat)
                failing = False
            except (sqlite3.Error, StorageError) as error:
                if not failing:
                    log.warning("commands cannot be settled now", extra={"cause": str(error)})
                failing = True

    async def settle(self, edge: str, heartbeat: Heartbeat) -> None:
        """Apply the rule of wire.delivery.Heartbeat to what was asked of a box."""
        alarms = heartbeat.lanes.get(Lane.A)
        if alarms is None or alarms.queued:
            return
        leases_over = self.shelf.over(edge, heartbeat)
        rows = await self._view.open_of(edge)
        if self._sessions.get(edge) != heartbeat.session:
            # Another session has begun meanwhile, and what was asked in it is not this heartbeat's to end.
            return
        for row in rows:
            later = row["session"] != heartbeat.session
            over = heartbeat.commands_pending == 0 if later else row["lease"] in leases_over
            if over:
                await self._conclude(row, "unreachable" if row["epoch"] == heartbeat.epoch else "unknown")

    async def _conclude(self, row: Mapping[str, Any], result: str) -> None:
        for known in (taken_id(row["command_id"]), outcome_id(row["command_id"])):
            if await self._ledger.event(known) is not None:
                # The view has not read so far yet.
                return
        asked = Asked(
            command_id=row["command_id"],
            group_id=row["group_id"],
            device=row["device"],
            name=row["name"],
            operator=row["operator"],
            reason=row["reason"],
        )
        stamp = self._clock.stamp()
        fact: Event = settled(asked, result, "never_taken" if result == "unreachable" else "box_forgot", stamp)
        await self._ledger.append_campus([fact], stamp)


def _answer(asked: Sequence[Asked]) -> dict[str, Any]:
    items = [{"id": one.command_id, "device": one.device} for one in asked]
    return {"group_id": asked[0].group_id, "items": items}
