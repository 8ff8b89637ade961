"""The outbox against a plain list, by every order of operations that chance can think of.

Invariant: after each step every lane holds exactly what the model says, in order, without an unexplained hole, under
the chain that follows from the bytes; and every record accepted is acknowledged, waiting, dropped or in quarantine.
"""

from dataclasses import dataclass, field
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from edge_agent.outbox import Fate, OutboxLimits, OutboxStore, Pressure, Row
from tests.outbox.making import EDGE, Box, MemoryDisk, bodies, chain_of
from tests.support.clock import VirtualClock, seeded
from wire.identity import CHAIN_START
from wire.records import Gap, decode_record
from wire.topics import LANES, Lane

DAY_S = 86_400
LIMITS = OutboxLimits(
    bytes_max=160_000,
    reserve_bytes=40_000,
    telemetry_bytes_max=8_000,
    in_flight_rows=4,
    chunk_rows=15,
    slack_pages=4,
    quarantine_rows_max=10,
)
lanes = st.sampled_from(LANES)


@dataclass
class Kept:
    """A record in the model. gone: dropped under pressure; its number remains."""

    seq: int
    body: bytes
    chain: bytes
    gone: bool = False


@dataclass
class ModelLane:
    first: int = 1
    last: int = 0
    acked: int = 0
    chain: bytes = CHAIN_START
    kept: list[Kept] = field(default_factory=list)
    accepted: int = 0
    acknowledged: int = 0
    dropped: int = 0
    quarantined: int = 0

    def waiting(self) -> list[Kept]:
        return [one for one in self.kept if one.seq > self.acked and not one.gone]

    def moved(self, to: int) -> None:
        low, high = sorted((to, self.acked))
        between = sum(low < one.seq <= high and not one.gone for one in self.kept)
        self.acknowledged += between if to > self.acked else -between
        self.acked = to


class OutboxAgainstAList(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.disk = MemoryDisk()
        self.limits = LIMITS
        self.maker = Box.__new__(Box)
        self.maker._ids = seeded(2)
        self.maker.clock = self.clock = VirtualClock()
        self.random = seeded(1)
        self.model = {lane: ModelLane() for lane in LANES}
        self.numbers: dict[tuple[str, int], str] = {}
        self.store = self.maker.store = self.open()

    def open(self) -> OutboxStore:
        return OutboxStore.open(
            Path("memory"),
            clock=self.clock,
            random=self.random,
            edge=EDGE,
            limits=self.limits,
            connect=self.disk.connect,
        )

    def teardown(self) -> None:
        self.store.close()

    def stored(self, lane: Lane, body: bytes) -> None:
        model = self.model[lane]
        model.last += 1
        model.accepted += 1
        model.chain = chain_of([body], model.chain)
        model.kept.append(Kept(model.last, body, model.chain))

    # --- rules

    @rule(which=st.lists(lanes, min_size=1, max_size=30), size=st.sampled_from([0, 200, 2000]))
    def append_group(self, which: list[Lane], size: int) -> None:
        self.append(which, size)

    def append(self, which: list[Lane], size: int) -> None:
        entries = [self.maker.entry(lane, note="x" * size) for lane in which]
        for entry, result in zip(entries, self.store.append(entries), strict=True):
            if result.fate is Fate.STORED:
                self.stored(result.lane, entry.body)
                assert result.seq == self.model[result.lane].last
            else:
                assert (result.fate, result.seq) == (Fate.REFUSED, 0)

    @rule(lane=st.sampled_from([Lane.T, Lane.T, Lane.S, Lane.D]), count=st.integers(30, 120))
    def flood(self, lane: Lane, count: int) -> None:
        self.append([lane] * count, 0)

    @rule()
    def settle(self) -> None:
        self.maintain(1000)

    @rule(device=st.sampled_from(["d1", "d2"]), number=st.integers(1, 6), content=st.sampled_from(["", "other"]))
    def append_numbered(self, device: str, number: int, content: str) -> None:
        entry = self.maker.numbered(number, at_s=None, device=device, note=content)
        alarms = self.model[Lane.A].last
        (result,) = self.store.append([entry])
        held = [one for one in self.model[Lane.D].kept if not one.gone]
        same = [r for one in held if (r := decode_record(one.body)).source and r.device == entry.record.device]
        same = [r for r in same if r.source.record_no == number]
        match result.fate:
            case Fate.STORED:
                assert not same
                self.stored(Lane.D, entry.body)
            case Fate.REPEAT:
                known = any(record.values == entry.record.values for record in same)
                assert known or (device, number, content) in self.numbers
            case Fate.CONFLICT:
                assert same
                assert all(record.values != entry.record.values for record in same)
                self.numbers[device, number, content] = "told"
                self.model[Lane.D].accepted += 1
                self.model[Lane.D].quarantined += 1
                (alarm,) = self.store.read(Lane.A, alarms, 10, 10_000)
                self.stored(Lane.A, alarm.body)

    @rule(lane=lanes, part=st.floats(0, 1.2))
    def acknowledge(self, lane: Lane, part: float) -> None:
        through = self.known(lane, round(self.model[lane].last * part))
        self.store.acknowledge({lane: round(self.model[lane].last * part)})
        if through > self.model[lane].acked:
            self.model[lane].moved(through)

    @rule(lane=lanes, part=st.floats(0, 1.2))
    def resume(self, lane: Lane, part: float) -> None:
        through = self.known(lane, round(self.model[lane].last * part))
        self.store.resume({lane: round(self.model[lane].last * part)})
        self.model[lane].moved(through)

    def known(self, lane: Lane, seq: int) -> int:
        """Where an acknowledgement for a number ends up: not beyond the last, not below the first, not in a gap."""
        model = self.model[lane]
        if seq > model.last:
            return model.acked
        if seq < model.first:
            return model.first - 1
        for row in self.maker.rows(lane, after=model.first - 1):
            if row.seq <= seq < row.through:
                return row.seq - 1
        return seq

    @rule()
    def fork(self) -> None:
        before = self.store.epoch
        assert self.store.fork("chain") == self.store.epoch != before
        assert self.store.previous_epoch == before
        for model in self.model.values():
            kept = [one.body for one in model.kept if not one.gone]
            model.moved(model.first - 1)
            model.first, model.last, model.acked, model.chain, model.kept = 1, 0, 0, CHAIN_START, []
            for body in kept:
                model.last += 1
                model.chain = chain_of([body], model.chain)
                model.kept.append(Kept(model.last, body, model.chain))

    @rule(steps=st.integers(1, 40))
    def maintain_a_little(self, steps: int) -> None:
        self.maintain(steps)

    def maintain(self, steps: int) -> None:
        for _ in range(steps):
            spared = {lane: self.spared(lane) for lane in LANES}
            before = {lane: self.store.lane_states()[lane].first for lane in LANES}
            step = self.store.maintain()
            if step.thinned + step.dropped:
                assert step.pressure >= Pressure.WARN
            self.learn_what_went(step, before, spared)
            if not step.more:
                break

    def spared(self, lane: Lane) -> list[Row]:
        """The rows that may be on their way to the campus."""
        return self.maker.rows(lane, after=self.model[lane].acked)[: LIMITS.in_flight_rows]

    def learn_what_went(self, step, before: dict[Lane, int], spared: dict[Lane, list[Row]]) -> None:
        """The store chooses what goes; the model checks that it was allowed to, and follows."""
        given_up = 0
        for lane, model in self.model.items():
            model.first = self.store.lane_states()[lane].first
            assert before[lane] <= model.first <= model.acked + 1
            model.kept = [one for one in model.kept if one.seq >= model.first]
            there = {row.body for row in self.maker.rows(lane, after=model.first - 1)}
            gone = [one for one in model.kept if not one.gone and one.body not in there]
            assert not gone or lane in {Lane.S, Lane.T}
            for one in gone:
                assert one.seq > model.acked
                one.gone = True
            if lane is Lane.S and gone:
                latest = {decode_record(one.body).device: one for one in model.kept}
                assert not any(one.gone for one in latest.values() if one.seq > model.acked)
            assert self.spared(lane) == spared[lane]
            model.dropped += len(gone)
            given_up += len(gone)
        assert given_up == step.thinned + step.dropped

    @rule(days=st.sampled_from([0.1, 1.1, 8]))
    def wait(self, days: float) -> None:
        self.clock.advance(days * DAY_S)

    @rule(seconds=st.sampled_from([-400 * DAY_S, 400 * DAY_S]))
    @precondition(lambda self: self.clock.wall_ns() > 500 * DAY_S * 1_000_000_000)
    def step_wall(self, seconds: int) -> None:
        self.clock.step_wall(seconds)

    @rule()
    def reopen(self) -> None:
        self.disk.image = self.store.snapshot()
        self.store.close()
        self.store = self.maker.store = self.open()

    # --- what always holds

    @invariant()
    def lanes_hold_what_the_model_says(self) -> None:
        states = self.store.lane_states()
        for lane, model in self.model.items():
            state = states[lane]
            assert (state.first, state.last, state.acked) == (model.first, model.last, model.acked)
            assert state.chain == model.chain.hex()
            expected = [one for one in model.kept if not one.gone]
            at, rows = model.first - 1, self.maker.rows(lane, after=model.first - 1)
            found = []
            for row in rows:
                assert row.seq == at + 1
                at = row.through
                record = decode_record(row.body)
                if isinstance(record, Gap):
                    assert record.count == row.through - row.seq + 1
                else:
                    found.append((row.seq, row.body, row.chain))
            assert at == model.last
            assert found == [(one.seq, one.body, one.chain) for one in expected]

    @invariant()
    def counters_add_up(self) -> None:
        for lane, depth in self.store.depths().items():
            model = self.model[lane]
            assert depth.accepted == model.accepted
            assert depth.acknowledged == model.acknowledged
            assert depth.queued == len(model.waiting())
            assert sum(depth.dropped.values()) == model.dropped
            assert depth.quarantined == model.quarantined
            assert depth.accepted == depth.acknowledged + depth.queued + model.dropped + depth.quarantined


OutboxAgainstAList.TestCase.settings = settings(max_examples=40, stateful_step_count=40, deadline=None)
TestOutboxAgainstAList = OutboxAgainstAList.TestCase


def test_bodies_of_a_batch_chain_to_the_head(box: Box) -> None:
    stored = box.fill(Lane.D, 3)
    assert box.store.lane_states()[Lane.D].chain == chain_of(bodies(stored)).hex()
