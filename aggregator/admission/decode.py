"""From a batch's header and raw lines to a run of numbered arrivals, and from a hello to a verdict. Pure."""

from collections.abc import Mapping, Sequence
from typing import Final

from aggregator.ledger.rows import INTEGER_MAX, START, Arrival, Opening, Refusal, Run, decoded
from wire.clock import Stamp
from wire.delivery import Batch, Hello, LaneState
from wire.errors import Malformed, UnknownTopic
from wire.identity import CHAIN_START, chain_next, record_hash
from wire.records import Gap, Record, check_owner, record_lane
from wire.topics import LANES, Lane

_NOTHING: Final = LaneState(first=1, last=0, acked=0, chain=CHAIN_START.hex(), acked_chain=CHAIN_START.hex())


class Misnumbered(ValueError):
    """The records of a batch do not add up to the numbers in its header; nothing of it can be believed."""


def read_run(edge: str, batch: Batch, raws: Sequence[bytes]) -> Run:
    """Number, hash and chain the records of a batch, and judge each. One bad record spoils only itself.

    A GAP takes as many numbers as it says, beginning at the number that is due: its range may begin earlier, when the
    campus already holds a part of what the box has dropped since. Raises Misnumbered.
    """
    if batch.through > INTEGER_MAX:
        raise Misnumbered(f"number {batch.through} is out of range")
    seq, before = batch.first, bytes.fromhex(batch.before)
    chain, arrivals = before, []
    for body in raws:
        body_hash = record_hash(body)
        record, refusal = _judge(edge, batch.lane, seq, body)
        if isinstance(record, Gap):
            through, chain = record.to_seq, bytes.fromhex(record.chain)
        else:
            through, chain = seq, chain_next(chain, body_hash)
        age_ns = None if record is None else age_at(record.stamp, batch.sent)
        arrivals.append(Arrival(seq, through, body, body_hash, chain, record, refusal, age_ns))
        seq = through + 1
    if seq != batch.through + 1:
        raise Misnumbered(f"records {batch.first} to {seq - 1}; the header says {batch.through}")
    return Run(edge, batch.epoch, batch.lane, batch.first, before, arrivals)


def _judge(edge: str, lane: Lane, seq: int, body: bytes) -> tuple[Record | None, Refusal | None]:
    try:
        record = decoded(body)
    except Malformed:
        return None, Refusal.MALFORMED
    try:
        check_owner(record, edge)
    except Malformed:
        return None, Refusal.OWNER
    try:
        if record_lane(record) is not lane:
            return None, Refusal.LANE
    except UnknownTopic:
        return None, Refusal.TOPIC
    if isinstance(record, Gap) and not record.from_seq <= seq <= record.to_seq:
        return None, Refusal.MALFORMED
    return record, None


def age_at(stamp: Stamp, sent: Stamp) -> int | None:
    """Nanoseconds from a stamp to the sending, by the monotonic clock; None when they are of different boots."""
    return sent.mono_ns - stamp.mono_ns if stamp.boot_id == sent.boot_id else None


def numbers_to_compare(hello: Hello) -> dict[Lane, int]:
    """The number of each lane at which the box tells a chain that the ledger may be able to check."""
    return {lane: state.acked for lane, state in hello.lanes.items() if state.acked > 0}


def fork_reason(hello: Hello, opening: Opening) -> str:
    """Why the history in a hello is not the one the ledger holds: `behind`, `chain`, or empty if nothing speaks
    against it. What the hello cannot show is found by the `before` of the first batch.
    """
    for lane in LANES:
        reason = _lane_fork(hello.lanes.get(lane, _NOTHING), opening, lane)
        if reason:
            return reason
    return ""


def _lane_fork(state: LaneState, opening: Opening, lane: Lane) -> str:
    mark = opening.marks.get(lane, START)
    if mark.through > state.last:
        return "behind"
    told: Mapping[int, str] = {state.acked: state.acked_chain, state.last: state.chain}
    held = {mark.through: mark.chain}
    if lane in opening.chains:
        held[state.acked] = opening.chains[lane]
    for number, chain in held.items():
        if number > 0 and number in told and told[number] != chain.hex():
            return "chain"
    return ""
