"""A small box: numbers and chains records like an outbox, and speaks the delivery protocol in frames.

Written against the protocol alone, so that a shared misreading with the real box cannot hide.
"""

import copy
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from aggregator.admission import EnrolledEdge
from tests.support.clock import VirtualClock, seeded
from wire.codec import (
    decode_ack,
    decode_signed,
    encode_batch,
    encode_heartbeat,
    encode_line,
    encode_signed,
    signing_input,
)
from wire.delivery import Ack, Batch, Heartbeat, Hello, LaneState, Welcome
from wire.identity import CHAIN_START, SourceKey, chain_next, derived_id, record_hash
from wire.records import Event, Gap, Reading, Record, Value, encode_record, record_lane
from wire.topics import LANES, Down, Lane, Up, UpTopic, up_topic

CAMPUS = "demo-school"
DENIED = "AccessControl/Denied/Credential"
ALARM = "Door/State/DoorAlarm"


@dataclass(frozen=True)
class Stored:
    """One number, or the range of a gap, as an outbox keeps it."""

    seq: int
    through: int
    body: bytes
    chain: bytes


class Box:
    """One box with its outbox in memory. `ack` and `welcome` read what the campus answered."""

    def __init__(self, edge: str = "gate-1", *, clock: VirtualClock | None = None, seed: int = 1) -> None:
        self.edge = edge
        self.clock = clock or VirtualClock(boot_id=derived_id("boot", edge))
        self.random = seeded(seed)
        self.key = Ed25519PrivateKey.from_private_bytes(self.random(32))
        self.epoch = self.random(16).hex()
        self.previous: str | None = None
        self.lanes: dict[Lane, list[Stored]] = {lane: [] for lane in LANES}
        self.acked: dict[Lane, int] = dict.fromkeys(LANES, 0)
        self.nonce = self.new_id()

    def enrolled(self) -> EnrolledEdge:
        return EnrolledEdge(self.edge, self.key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw))

    def copy(self) -> "Box":
        """The same box again: a rolled back or cloned card."""
        twin = copy.copy(self)
        twin.lanes = {lane: list(rows) for lane, rows in self.lanes.items()}
        twin.acked = dict(self.acked)
        return twin

    # --- records

    def new_id(self) -> str:
        return self.random(16).hex()

    def event(self, topic: str = DENIED, *, record_no: int | None = None, source_epoch: int = 0, **fields) -> Event:
        source = None if record_no is None else SourceKey(record_no=record_no, epoch=source_epoch)
        fields = {"id": self.new_id(), "device": f"{self.edge}/face-1", "stamp": self.clock.stamp()} | fields
        return Event(topic=topic, source=source, **fields)

    def reading(self, value: float = 21.5, **fields) -> Reading:
        fields = {"id": self.new_id(), "device": f"{self.edge}/room-1", "stamp": self.clock.stamp()} | fields
        return Reading(readings=(Value(resource="temperature", value=value, unit="Cel"),), **fields)

    def put(self, *records: Record) -> list[Stored]:
        return [self.put_bytes(record_lane(record), encode_record(record)) for record in records]

    def put_bytes(self, lane: Lane, body: bytes) -> Stored:
        through, chain = self.end(lane)
        stored = Stored(through + 1, through + 1, body, chain_next(chain, record_hash(body)))
        self.lanes[lane].append(stored)
        return stored

    def end(self, lane: Lane) -> tuple[int, bytes]:
        return (self.lanes[lane][-1].through, self.lanes[lane][-1].chain) if self.lanes[lane] else (0, CHAIN_START)

    def thin(self, lane: Lane, first: int, last: int, reason: str = "thinned") -> Stored:
        """Replace numbers first..last by one GAP."""
        inside = [row for row in self.lanes[lane] if first <= row.seq and row.through <= last]
        gap = Gap(
            id=derived_id("gap", self.epoch, lane, first, last),
            device=self.edge,
            stamp=self.clock.stamp(),
            lane=lane,
            from_seq=first,
            to_seq=last,
            count=len(inside),
            chain=inside[-1].chain.hex(),
            reason=reason,
        )
        stored = Stored(first, last, encode_record(gap), inside[-1].chain)
        kept = [row for row in self.lanes[lane] if row not in inside]
        self.lanes[lane] = sorted([*kept, stored], key=lambda row: row.seq)
        return stored

    def fork(self) -> None:
        """A new epoch: every kept record once more, with its old id and bytes; what a gap stood for is gone."""
        self.previous, self.epoch = self.epoch, self.new_id()
        kept, self.lanes = self.lanes, {lane: [] for lane in LANES}
        self.acked = dict.fromkeys(LANES, 0)
        for lane, rows in kept.items():
            for row in rows:
                if row.through == row.seq:
                    self.put_bytes(lane, row.body)

    # --- frames

    def topic(self, leaf: Up | Lane) -> UpTopic:
        return UpTopic(CAMPUS, self.edge, Up(leaf.value))

    def hello(self, *, sign: bool = True, **fields) -> tuple[UpTopic, bytes]:
        """A new session. fields: what to say otherwise than true."""
        self.nonce = self.new_id()
        said = {
            "session": self.nonce,
            "campus": CAMPUS,
            "edge": self.edge,
            "epoch": self.epoch,
            "previous_epoch": self.previous,
            "stamp": self.clock.stamp(),
            "lanes": {lane: self.lane_state(lane) for lane in LANES},
        }
        line = encode_line(Hello(**said | fields))
        signature = self.key.sign(signing_input(up_topic(CAMPUS, self.edge, Up.HELLO), line)).hex() if sign else ""
        return self.topic(Up.HELLO), encode_signed(Hello, line, signature)

    def lane_state(self, lane: Lane) -> LaneState:
        last, chain = self.end(lane)
        rows, acked = self.lanes[lane], self.acked[lane]
        acked_chain = next((row.chain for row in rows if row.through == acked), CHAIN_START)
        first = rows[0].seq if rows else last + 1
        return LaneState(first=first, last=last, acked=acked, chain=chain.hex(), acked_chain=acked_chain.hex())

    def batch(self, lane: Lane, after: int, count: int = 500, **fields) -> tuple[UpTopic, bytes]:
        """The numbers after `after`. fields: what the header says otherwise than true."""
        rows = [row for row in self.lanes[lane] if row.through > after][:count]
        before = next((row.chain for row in self.lanes[lane] if row.through == after), CHAIN_START)
        said = {
            "session": self.nonce,
            "epoch": self.epoch,
            "lane": lane,
            "first": after + 1,
            "through": rows[-1].through,
            "count": len(rows),
            "before": before.hex(),
            "sent": self.clock.stamp(),
        }
        return self.topic(lane), encode_batch(Batch(**said | fields), [row.body for row in rows])

    def heartbeat(self, **fields) -> tuple[UpTopic, bytes]:
        beat = Heartbeat(session=self.nonce, epoch=self.epoch, stamp=self.clock.stamp(), **fields)
        return self.topic(Up.HEARTBEAT), encode_heartbeat(beat)


def ack(replies: list[tuple[Down, bytes]]) -> Ack:
    """The one ack in an answer."""
    [(leaf, frame)] = replies
    assert leaf is Down.ACK
    return decode_ack(frame)


def welcome(replies: list[tuple[Down, bytes]]) -> Welcome:
    """The one welcome in an answer."""
    [(leaf, frame)] = replies
    assert leaf is Down.WELCOME
    return decode_signed(frame, Welcome)[0]
