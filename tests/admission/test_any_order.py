"""Invariant: whatever happens to frames and processes, the ledger holds exactly the records the boxes made, once each,
in order per lane, and every link of every lane checks.
"""

import asyncio
import random
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregator.admission import GroupLimits
from aggregator.ledger import MemoryLedger
from tests.admission.box import ALARM, CAMPUS, Box
from tests.admission.campus import Campus
from tests.support.clock import VirtualClock, seeded
from wire.codec import decode_ack, decode_signed
from wire.delivery import Welcome
from wire.records import decode_record
from wire.topics import LANES, Down, Lane, UpTopic

TOPICS = {Lane.A: ALARM, Lane.M: "Payment/Sale", Lane.D: "Attendance/Punch"}

steps = st.lists(
    st.one_of(
        st.tuples(st.just("make"), st.integers(0, 1), st.sampled_from(sorted(TOPICS)), st.integers(1, 4)),
        st.tuples(st.just("make"), st.just(0), st.just(Lane.D), st.integers(1, 4)),
        st.tuples(st.just("send"), st.integers(0, 1), st.sampled_from(sorted(TOPICS)), st.integers(1, 5)),
        st.tuples(st.just("deliver"), st.integers(0, 1)),
        st.tuples(st.just("hello"), st.integers(0, 1)),
        st.tuples(st.just("arrive"), st.integers(0, 30), st.booleans()),
        st.tuples(st.just("together"), st.integers(2, 6)),
        st.tuples(st.just("lose"), st.integers(0, 30)),
        st.tuples(st.just("restart")),
        st.tuples(st.just("backup")),
        st.tuples(st.just("restore")),
        st.tuples(st.just("image"), st.integers(0, 1)),
        st.tuples(st.just("roll_back"), st.integers(0, 1)),
    ),
    min_size=10,
    max_size=60,
)


@dataclass
class Sender:
    """A box and what it believes: how far each lane was sent and acknowledged in this session.

    A trusting one leaves it to the campus to find out that their histories differ.
    """

    box: Box
    trusting: bool
    made: list[tuple[Lane, str]] = field(default_factory=list)
    sent: dict[Lane, int] = field(default_factory=lambda: dict.fromkeys(LANES, 0))
    image: Box | None = None

    def hear(self, leaf: Down, frame: bytes) -> bool:
        """Returns whether it must say hello now."""
        if leaf is Down.ACK:
            said = decode_ack(frame)
            if (said.session, said.epoch) == (self.box.nonce, self.box.epoch):
                self.box.acked[said.lane] = max(self.box.acked[said.lane], said.through)
                self.sent[said.lane] = max(self.sent[said.lane], said.through)
            return False
        said = decode_signed(frame, Welcome)[0]
        if said.session != self.box.nonce:
            return False
        if said.verdict == "resume":
            for lane in LANES:
                ours = {0: bytes(16).hex()} | {row.through: row.chain.hex() for row in self.box.lanes[lane]}
                if not self.trusting and ours.get(said.lanes[lane].through) != said.lanes[lane].chain:
                    self.box.fork()
                    return True
                self.sent[lane] = self.box.acked[lane] = said.lanes[lane].through
            return False
        if said.verdict == "fork":
            self.box.fork()
        return True


class World:
    """Two boxes, one campus, and a network that keeps frames until told what to do with them."""

    def __init__(self, *, trusting: bool) -> None:
        clock = VirtualClock()
        self.campus = Campus(
            MemoryLedger(campus_id=CAMPUS, random=seeded(9)), clock, GroupLimits(linger_s=0, group_records=7)
        )
        self.senders = [Sender(Box(f"gate-{n}", seed=n), trusting) for n in (1, 2)]
        self.campus.enrol(*(sender.box for sender in self.senders))
        self.network: list[tuple[UpTopic, bytes]] = []
        self.backup: MemoryLedger | None = None

    async def step(self, what: str, *how) -> None:
        # A second between steps, so that "hello, once a second" is never the reason for silence.
        self.campus.clock.advance(1)
        match what, how:
            case "make", (index, lane, count):
                sender = self.senders[index]
                for _ in range(count):
                    event = sender.box.event(TOPICS[lane], record_no=len(sender.made))
                    sender.made.append((lane, event.id))
                    sender.box.put(event)
            case "send", (index, lane, count):
                sender = self.senders[index]
                if sender.box.end(lane)[0] > sender.sent[lane]:
                    self.network.append(sender.box.batch(lane, sender.sent[lane], count))
                    sender.sent[lane] = min(sender.sent[lane] + count, sender.box.end(lane)[0])
            case "hello", (index,):
                self.network.append(self.senders[index].box.hello())
            case "arrive", (index, again) if self.network:
                frame = self.network[index % len(self.network)]
                if not again:
                    self.network.remove(frame)
                await self.arrive(frame)
            case "together", (count,):
                frames, self.network = self.network[:count], self.network[count:]
                async with asyncio.TaskGroup() as group:
                    for frame in frames:
                        group.create_task(self.arrive(frame))
            case "lose", (index,) if self.network:
                self.network.pop(index % len(self.network))
            case "restart", _:
                self.campus.restart()
            case "backup", _:
                self.backup = self.campus.ledger.snapshot()
            case "restore", _ if self.backup is not None:
                self.campus.restart(self.backup.snapshot())
            case "image", (index,):
                self.senders[index].image = self.senders[index].box.copy()
            case "deliver", (index,):
                await self.deliver(self.senders[index])
            case "roll_back", (index,) if self.senders[index].image is not None:
                self.roll_back(self.senders[index])

    def roll_back(self, sender: Sender) -> None:
        """The card is an older image again; what only the newer card held is gone with it."""
        chance, sender.box = sender.box.random, sender.image.copy()
        sender.box.random = chance
        sender.sent = dict(sender.box.acked)
        self.network.append(sender.box.hello())

    async def arrive(self, frame: tuple[UpTopic, bytes]) -> None:
        replies = await self.campus.admission.receive(*frame)
        sender = next(sender for sender in self.senders if sender.box.edge == frame[0].edge)
        for reply in replies:
            if sender.hear(*reply):
                self.network.append(sender.box.hello())

    async def deliver(self, sender: Sender) -> None:
        """A while without faults: this box says hello and sends until nothing is left."""
        others = [frame for frame in self.network if frame[0].edge != sender.box.edge]
        self.network = [sender.box.hello()]
        while self.network:
            await self.arrive(self.network.pop(0))
        for lane in LANES:
            while sender.box.acked[lane] < sender.box.end(lane)[0]:
                before = (sender.box.epoch, sender.box.acked[lane])
                self.network = [sender.box.batch(lane, before[1], 3)]
                while self.network:
                    await self.arrive(self.network.pop(0))
                assert (sender.box.epoch, sender.box.acked[lane]) != before
        self.network = others
        await self.check(sender)

    async def settle(self) -> None:
        """The faults are over."""
        for sender in self.senders:
            await self.deliver(sender)
        rows = await self.campus.rows()
        assert [row.position for row in rows] == list(range(1, len(rows) + 1))
        assert await self.campus.ledger.quarantined(1) == []
        await self.campus.check_lanes(*(sender.box for sender in self.senders))

    async def check(self, sender: Sender) -> None:
        """What the box still has is in the ledger, in its order; nothing is there twice or from nowhere."""
        delivered = [row.event_id for row in await self.campus.rows(sender.box.edge)]
        assert len(delivered) == len(set(delivered))
        assert set(delivered) <= {event_id for _, event_id in sender.made}
        place = {event_id: index for index, event_id in enumerate(delivered)}
        for lane in LANES:
            kept = [decode_record(row.body).id for row in sender.box.lanes[lane]]
            assert set(kept) <= set(delivered)
            assert [place[event_id] for event_id in kept] == sorted(place[event_id] for event_id in kept)


@settings(max_examples=200, deadline=None)
@given(steps, st.booleans())
def test_the_ledger_holds_every_record_once_and_in_order(story: list[tuple], trusting: bool) -> None:
    async def play() -> None:
        world = World(trusting=trusting)
        for step in story:
            await world.step(*step)
        await world.settle()

    asyncio.run(play())


async def test_long_stories_end_well_too() -> None:
    """Hypothesis prefers short stories; these are long and mostly busy."""
    for seed in range(20):
        chance, world = random.Random(seed), World(trusting=seed % 2 == 0)
        for _ in range(400):
            who, lane, count = chance.randrange(2), chance.choice(sorted(TOPICS)), chance.randint(1, 4)
            [step] = chance.choices(
                [
                    ("make", who, lane, count),
                    ("send", who, lane, count),
                    ("arrive", chance.randrange(30), chance.random() < 0.2),
                    ("together", count),
                    ("lose", count),
                    ("deliver", who),
                    chance.choice([("hello", who), ("restart",)]),
                    chance.choice([("image", who), ("roll_back", who)]),
                    chance.choice([("backup",), ("restore",)]),
                ],
                weights=(10, 20, 20, 10, 2, 4, 2, 4, 1),
            )
            await world.step(*step)
        await world.settle()
