"""A box that the test plays by hand, and the API beside it."""

from typing import Any

from aggregator.accounts import Role
from aggregator.commands.facts import outcome_id, taken_id
from tests.api.rig import Rig
from wire import codec
from wire.commands import Command, Lease
from wire.delivery import Heartbeat, LaneDepth
from wire.records import Event, Outcome
from wire.topics import Down, Lane

DEVICE_NAMES = ("face-1", "face-2")


class Box:
    """What the box says and hears."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.edge = rig.box.edge
        self.session = "5" * 32
        self.epoch = "e" * 32
        self.beats = 0

    async def announce(self) -> None:
        stamp = self.rig.box.clock.stamp()
        await self.rig.deliver(
            *(
                Event(
                    id=f"{number:032x}",
                    device=f"{self.edge}/{name}",
                    stamp=stamp,
                    topic="Device/State/Info",
                    values={"profile": "facesluice-mqtt", "device_class": "biometric", "systems": "access"},
                )
                for number, name in enumerate(DEVICE_NAMES, start=1)
            )
        )

    def beat(self, *, queued: int = 0, pending: int = 0, settled: tuple[str, ...] = ()) -> str:
        """A heartbeat; gives the id of its lease."""
        self.beats += 1
        lease = Lease(id=f"{self.beats:032x}")
        heartbeat = Heartbeat(
            session=self.session,
            epoch=self.epoch,
            stamp=self.rig.box.clock.stamp(),
            lease=lease,
            lanes={Lane.A: LaneDepth(accepted=queued, acknowledged=0, queued=queued)},
            settled_leases=settled,
            commands_pending=pending,
        )
        self.rig.campus.desk.heard(self.edge, heartbeat, self.rig.clock.mono_ns())
        self.heartbeat = heartbeat
        return lease.id

    async def settle(self, **says: Any) -> None:
        self.beat(**says)
        await self.read()
        await self.rig.campus.desk.settle(self.edge, self.heartbeat)
        await self.read()

    def heard(self) -> list[Command]:
        frames = [frame for edge, leaf, frame in self.rig.sent if leaf is Down.COMMAND and edge == self.edge]
        return [codec.decode_signed(frame, Command)[0] for frame in frames]

    async def take(self, command: Command) -> None:
        stamp = self.rig.box.clock.stamp()
        values = {"command_id": command.id, "name": command.name}
        await self.rig.deliver(
            Event(id=taken_id(command.id), device=command.device, stamp=stamp, topic="Command/Taken", values=values)
        )
        await self.read()

    async def end(self, command: Command, result: str = "succeeded", *, event_id: str = "") -> None:
        await self.rig.deliver(
            Outcome(
                id=event_id or outcome_id(command.id),
                device=command.device,
                stamp=self.rig.box.clock.stamp(),
                command_id=command.id,
                group_id=command.group_id,
                result=result,
            )
        )
        await self.read()

    async def read(self) -> None:
        await self.rig.campus.commands.find_position()
        while await self.rig.campus.commands.step():
            pass


async def ask(box: Box, *devices: str, role: Role = Role.GUARD, key: str = "first-key", **body: Any) -> Any:
    wanted = [f"{box.edge}/{name}" for name in devices or DEVICE_NAMES[:1]]
    async with await box.rig.ask(role) as client:
        return await client.post(
            "/api/v1/commands",
            json={"devices": wanted, "name": "AccessDoor", "reason": "visitor", **body},
            headers={"Idempotency-Key": key},
        )


async def shown(box: Box, command_id: str) -> dict[str, Any]:
    async with await box.rig.ask(Role.WALL) as client:
        answer = await client.get(f"/api/v1/commands/{command_id}")
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found
