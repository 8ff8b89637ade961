"""A box's command desk with its real intake and outbox; the test is campus, channel and clock."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from edge_agent.downlink import CommandDesk, Target
from edge_agent.health import new_counters
from edge_agent.intake import Intake
from edge_agent.orders import Order, Performed
from edge_agent.outbox import InlineHop, Outbox, OutboxLimits, open_outbox
from tests.support.clock import VirtualClock, seeded
from tests.translate.profiles import facesluice_profile
from wire import codec
from wire.commands import Command, Lease, LeaseUse
from wire.delivery import Heartbeat
from wire.records import Event, Outcome, Scalar, decode_record
from wire.topics import Down, Lane, down_topic

EDGE = "gate-1"
TOPIC = down_topic("demo-school", EDGE, Down.COMMAND)
DEVICE = f"{EDGE}/face-1"


def signature(message: bytes) -> str:
    return f"{len(message):04x}{sum(message) % 65536:04x}"


class Rig:
    def __init__(self, outbox: Outbox, clock: VirtualClock) -> None:
        self.outbox = outbox
        self.clock = clock
        self.orders: list[Order] = []
        self.answer = Performed("succeeded")
        self.hold: asyncio.Event | None = None
        self.counters = new_counters()
        self.session = "a" * 32
        self._ids = 0
        self.intake = Intake(outbox, edge=EDGE, clock=clock, random=seeded(1), appended=lambda _lanes: None)
        self.desk = CommandDesk(
            edge=EDGE,
            topic=TOPIC,
            targets={DEVICE: Target("1026701", facesluice_profile(), self._perform)},
            intake=self.intake,
            clock=clock,
            random=seeded(2),
            verify=lambda message, given: given == signature(message),
            counters=self.counters,
        )

    async def _perform(self, order: Order) -> Performed:
        self.orders.append(order)
        if self.hold is not None:
            await self.hold.wait()
        return self.answer

    def beat(self) -> Heartbeat:
        plain = Heartbeat(session=self.session, epoch="e" * 32, stamp=self.clock.stamp())
        return self.desk.decorate(plain)

    def lease(self) -> Lease:
        lease = self.beat().lease
        assert lease is not None
        return lease

    def command(
        self,
        lease: Lease,
        use: int = 0,
        *,
        device: str = DEVICE,
        name: str = "AccessDoor",
        arguments: Mapping[str, Scalar] | None = None,
        group: str | None = None,
    ) -> Command:
        self._ids += 1
        return Command(
            id=f"{self._ids:032x}",
            device=device,
            name=name,
            operator="ops",
            reason="visitor",
            lease=LeaseUse(lease=lease.id, use=use),
            group_id=group,
            arguments=dict(arguments or {}),
        )

    async def send(self, command: Command, *, topic: str = TOPIC) -> None:
        line = codec.encode_line(command)
        frame = codec.encode_signed(Command, line, signature(codec.signing_input(topic, line)))
        await self.desk.take(frame)

    async def records(self) -> list[Event | Outcome]:
        rows = await self.outbox.read(Lane.A, 0, 500, 1 << 20)
        records = [decode_record(row.body) for row in rows]
        return [record for record in records if isinstance(record, Event | Outcome)]

    async def outcomes(self) -> list[Outcome]:
        return [record for record in await self.records() if isinstance(record, Outcome)]

    async def ended(self, count: int = 1) -> list[Outcome]:
        async with asyncio.timeout(45):
            while len(found := await self.outcomes()) < count:  # noqa: ASYNC110  the outbox tells nobody
                await asyncio.sleep(0)
        await quiet()
        return found


async def quiet() -> None:
    for _ in range(100):
        await asyncio.sleep(0)


@asynccontextmanager
async def box(path: Path, clock: VirtualClock | None = None) -> AsyncIterator[Rig]:
    """A run of the box; another one on the same path is the box after a kill."""
    clock = clock or VirtualClock()
    async with open_outbox(
        path, clock=clock, random=seeded(3), edge=EDGE, limits=OutboxLimits(), hop=InlineHop()
    ) as outbox:
        rig = Rig(outbox, clock)
        tasks = [asyncio.create_task(rig.intake.run()), asyncio.create_task(rig.desk.run(await outbox.interrupted()))]
        await quiet()
        try:
            yield rig
        finally:
            for task in tasks:
                task.cancel()
            for task in tasks:
                with suppress(asyncio.CancelledError):
                    await task
