"""One box with an outbox, a moved clock and seeded chance, and records to put into it."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

from edge_agent.outbox import Appended, Entry, Fate, OutboxLimits, OutboxStore, Row
from tests.support.clock import VirtualClock, seeded
from wire.identity import CHAIN_START, SourceKey, chain_next, record_hash
from wire.records import DeviceTime, Event, Gap, Reading, Value, decode_record, encode_record
from wire.topics import Lane

EDGE = "gate-1"
TOPIC = {
    Lane.A: "Door/State/DoorAlarm",
    Lane.M: "Payment/Sale",
    Lane.D: "AccessControl/AccessGranted/Credential",
    Lane.S: "Device/State/Operating",
}
SECOND_NS = 1_000_000_000
ROOMY = 1 << 30


class Box:
    """`store` is open from the start; `reopen` closes and opens it, as a restart would."""

    def __init__(self, path: Path, *, limits: OutboxLimits | None = None, seed: int = 1) -> None:
        self.path = path
        self.limits = limits or OutboxLimits()
        self.clock = VirtualClock()
        self.random = seeded(seed)
        self._ids = seeded(seed + 1000)
        self.store = self.open()

    def open(self) -> OutboxStore:
        return OutboxStore.open(self.path, clock=self.clock, random=self.random, edge=EDGE, limits=self.limits)

    def reopen(self) -> OutboxStore:
        self.store.close()
        self.store = self.open()
        return self.store

    # --- records

    def entry(self, lane: Lane = Lane.D, *, device: str = "face-1", note: str = "", **fields) -> Entry:
        """A record of a lane; `note` makes it longer or different."""
        common = {"id": self._ids(16).hex(), "device": f"{EDGE}/{device}", "stamp": self.clock.stamp()} | fields
        if lane is Lane.T:
            record = Reading(readings=(Value(resource="temperature", value=21.5, unit=note[:64]),), **common)
        else:
            values = {f"n{i}": note[i * 200 : (i + 1) * 200] for i in range(-(-len(note) // 200))}
            record = Event(topic=TOPIC[lane], values=values, **common)
        return Entry(record, encode_record(record))

    def numbered(
        self, record_no: int, *, at_s: int | None = 0, note: str = "", device: str = "face-1", **fields
    ) -> Entry:
        """A door record that the device numbers and dates. at_s: seconds on the device's clock; None: it has none."""
        time = None if at_s is None else DeviceTime(raw=str(at_s), zone="Asia/Shanghai", wall_ns=at_s * SECOND_NS)
        source = SourceKey(record_no=record_no)
        return self.entry(Lane.D, device=device, note=note, source=source, device_time=time, **fields)

    def put(self, *entries: Entry) -> list[Appended]:
        return self.store.append(entries)

    def fill(self, lane: Lane, count: int, **fields) -> list[Entry]:
        """Store that many records in one group, and say which."""
        entries = [self.entry(lane, **fields) for _ in range(count)]
        results = self.store.append(entries)
        assert [result.fate for result in results] == [Fate.STORED] * count
        return entries

    # --- what can be seen from outside

    def rows(self, lane: Lane, after: int = 0) -> list[Row]:
        """Everything that follows a number, read in small batches."""
        found: list[Row] = []
        while batch := self.store.read(lane, after, 7, 4000):
            assert batch[0].seq == after + 1
            found += batch
            after = batch[-1].through
        return found

    def ids(self, lane: Lane, after: int = 0) -> list[str]:
        """Ids of the records that follow a number, GAP records left out."""
        records = [decode_record(row.body) for row in self.rows(lane, after)]
        return [record.id for record in records if not isinstance(record, Gap)]

    def gaps(self, lane: Lane, after: int = 0) -> list[Gap]:
        return [record for row in self.rows(lane, after) if isinstance(record := decode_record(row.body), Gap)]

    def settle(self) -> list:
        """Run maintenance until it says there is nothing more to do."""
        steps = []
        for _ in range(5000):
            steps.append(self.store.maintain())
            if not steps[-1].more:
                return steps
        raise AssertionError("maintenance never comes to an end")

    def assert_balanced(self) -> None:
        """Every record accepted is acknowledged, waiting, dropped for a reason, or in quarantine."""
        for lane, depth in self.store.depths().items():
            accounted = depth.acknowledged + depth.queued + sum(depth.dropped.values()) + depth.quarantined
            assert depth.accepted == accounted, (lane, depth)

    def sql(self) -> sqlite3.Connection:
        """The store's own connection, for tests that look behind it or harm it."""
        return self.store._core.connection


def chain_of(bodies: list[bytes], start: bytes = CHAIN_START) -> bytes:
    for body in bodies:
        start = chain_next(start, record_hash(body))
    return start


def bodies(entries: list[Entry]) -> list[bytes]:
    return [entry.body for entry in entries]


class MemoryDisk:
    """Keeps the image of a database in memory over restarts: the disk of a simulation."""

    def __init__(self) -> None:
        self.image = b""

    def connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(":memory:")
        if self.image:
            connection.deserialize(self.image)
        return connection


Connect = Callable[[], sqlite3.Connection]
