"""An uplink before a campus that is played by hand: the real outbox, real frames, virtual time."""

import asyncio
import sqlite3
from collections import deque
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.keys import verifies
from edge_agent.outbox import Entry, InlineHop, Outbox, OutboxLimits, OutboxStore
from edge_agent.uplink import Uplink
from tests.support.clock import VirtualClock, seeded
from wire import codec
from wire.delivery import Ack, Batch, Heartbeat, Hello, LaneState, Watermark, Welcome
from wire.identity import CHAIN_START
from wire.records import Event, Reading, Value, encode_record
from wire.topics import LANES, Down, Lane, Up, down_topic, up_topic

CAMPUS, EDGE = "demo-school", "gate-1"
TOPIC = {
    Lane.A: "Fire/Alarm",
    Lane.M: "Payment/Sale",
    Lane.D: "AccessControl/AccessGranted/Credential",
    Lane.S: "Device/State/Operating",
}
PLENTY = 100_000


class Wire:
    """Implements Carrier. sent: what the box handed over and the test has not looked at; full: the socket is stuck."""

    def __init__(self) -> None:
        self.sent: deque[tuple[Up | Lane, bytes]] = deque()
        self.full = False
        self._inbox: asyncio.Queue[tuple[Down, bytes] | None] = asyncio.Queue()
        self.closed = False

    def send(self, leaf: Up | Lane, frame: bytes) -> None:
        if self.closed:
            raise ConnectionResetError("gone")
        self.sent.append((leaf, frame))

    def unsent(self) -> bool:
        return self.full

    async def receive(self) -> tuple[Down, bytes]:
        item = await self._inbox.get()
        if item is None:
            raise ConnectionResetError("gone")
        return item

    def put(self, leaf: Down, frame: bytes) -> None:
        self._inbox.put_nowait((leaf, frame))

    def end(self) -> None:
        self.closed = True
        self._inbox.put_nowait(None)


class Rig:
    """Box and campus. Everything the campus says is said by the test."""

    def __init__(self, *, limits: OutboxLimits | None = None) -> None:
        self.clock = VirtualClock()
        self.random = seeded(3)
        self.key = Ed25519PrivateKey.from_private_bytes(self.random(32))
        self.campus_key = Ed25519PrivateKey.from_private_bytes(self.random(32))
        self.card = sqlite3.connect(":memory:", isolation_level=None)
        self.store = OutboxStore.open(
            Path("outbox.sqlite"),
            clock=self.clock,
            random=self.random,
            edge=EDGE,
            limits=limits or OutboxLimits(),
            connect=lambda: self.card,
        )
        self.commanded: list[tuple[Down, bytes]] = []
        self.welcomed = 0
        campus_public = self.campus_key.public_key().public_bytes_raw().hex()
        self.uplink = Uplink(
            Outbox(self.store, InlineHop()),
            campus=CAMPUS,
            edge=EDGE,
            clock=self.clock,
            random=self.random,
            sign=lambda message: self.key.sign(message).hex(),
            verify=lambda message, signature: verifies(campus_public, message, signature),
            commanded=self._take_command,
            welcomed=self._count_welcome,
        )
        self.wire = Wire()
        self.serving: asyncio.Task[None] | None = None

    async def _take_command(self, leaf: Down, frame: bytes) -> None:
        self.commanded.append((leaf, frame))

    def _count_welcome(self) -> None:
        self.welcomed += 1

    # --- the box

    def put(self, lane: Lane, count: int = 1, *, bytes_each: int = 0, tell: bool = True) -> None:
        """Records into the outbox. bytes_each: about how large."""
        entries = []
        for _ in range(count):
            common = {"id": self.random(16).hex(), "stamp": self.clock.stamp(), "device": f"{EDGE}/face-1"}
            notes = {f"note_{n}": self.random(125).hex() for n in range(bytes_each // 264)}
            record = (
                Reading(readings=(Value(resource="temperature", value=21.5),), **common)
                if lane is Lane.T
                else Event(topic=TOPIC[lane], values=notes, **common)
            )
            entries.append(Entry(record, encode_record(record)))
        self.store.append(entries)
        if tell:
            self.uplink.grew({lane})

    def connect(self) -> "Wire":
        """A new connection; the box begins to speak over it."""
        self.wire = Wire()
        self.serving = asyncio.get_running_loop().create_task(self.uplink.serve(self.wire))
        return self.wire

    # --- the campus

    async def settle(self, seconds: float = 0.0) -> None:
        """Let everything happen that happens by then."""
        await asyncio.sleep(seconds)
        for _ in range(60):
            await asyncio.sleep(0)

    def heard(self, leaf: Up | Lane) -> list[bytes]:
        """The frames of one kind that the box has sent, taken away."""
        frames = [frame for kind, frame in self.wire.sent if kind == leaf]
        self.wire.sent = deque((kind, frame) for kind, frame in self.wire.sent if kind != leaf)
        return frames

    def hellos(self) -> list[Hello]:
        """Each checked: signed by the box, for its own topic."""
        hellos = []
        for frame in self.heard(Up.HELLO):
            hello, signed = codec.decode_signed(frame, Hello)
            message = codec.signing_input(up_topic(CAMPUS, EDGE, Up.HELLO), signed.line)
            self.key.public_key().verify(bytes.fromhex(signed.signature), message)
            hellos.append(hello)
        return hellos

    def batches(self, lane: Lane) -> list[tuple[Batch, list[bytes]]]:
        return [codec.decode_batch(frame) for frame in self.heard(lane)]

    def spans(self, lane: Lane) -> list[tuple[int, int]]:
        """(first, through) of each batch of a lane."""
        return [(batch.first, batch.through) for batch, _ in self.batches(lane)]

    def beats(self) -> list[Heartbeat]:
        return [codec.decode_heartbeat(frame) for frame in self.heard(Up.HEARTBEAT)]

    def state(self, lane: Lane) -> LaneState:
        return self.store.lane_states()[lane]

    def chain(self, lane: Lane, through: int) -> str:
        if through == 0:
            return CHAIN_START.hex()
        chain = self.store.chain_at(lane, through)
        assert chain is not None
        return chain.hex()

    def welcome(self, verdict: str = "resume", *, signed_by: Ed25519PrivateKey | None = None, **fields) -> None:
        """The campus answers. through: a number for each lane it has, the box's own chain there."""
        through = fields.pop("through", {})
        lanes = {lane: Watermark(through=seq, chain=self.chain(lane, seq)) for lane, seq in through.items()}
        said = {"session": self.uplink.session, "time_ns": 0, "lanes": lanes, "credit": PLENTY}
        line = codec.encode_line(Welcome(verdict=verdict, **said | fields))
        message = codec.signing_input(down_topic(CAMPUS, EDGE, Down.WELCOME), line)
        signature = (signed_by or self.campus_key).sign(message).hex()
        self.wire.put(Down.WELCOME, codec.encode_signed(Welcome, line, signature))

    def ack(self, lane: Lane, through: int, *, chain: str = "", credit: int = PLENTY, **fields) -> None:
        said = {"session": self.uplink.session, "epoch": self.uplink.epoch, "time_ns": 0}
        ack = Ack(lane=lane, through=through, chain=chain or self.chain(lane, through), credit=credit, **said | fields)
        self.wire.put(Down.ACK, codec.encode_ack(ack))

    async def open(self, **fields) -> None:
        """Connect and be welcomed."""
        self.connect()
        await self.settle()
        self.welcome(**fields)
        await self.settle()
        assert self.uplink.open

    def acked(self, *lanes: Lane) -> dict[Lane, int]:
        return {lane: self.state(lane).acked for lane in lanes or LANES}
