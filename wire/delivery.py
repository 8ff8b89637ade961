"""The messages of the delivery protocol between a box and its campus. docs/delivery-protocol.md explains them.

hello -> welcome on every connection, then batches up and cumulative acks down, and a heartbeat every two seconds.
An ack is sent only after the campus has committed; a broker's PUBACK is never taken for delivery.
"""

from typing import Annotated, Final, Literal

import msgspec

from wire.clock import Ns, Stamp
from wire.commands import Lease, LeaseId
from wire.identity import Chain, Epoch
from wire.records import Short, Text
from wire.topics import Lane

PROTOCOL_VERSION: Final = 1
BATCH_RECORDS_MAX: Final = 500
BATCH_BYTES_MAX: Final = 128 * 1024
DOCUMENT_CHUNK_BYTES_MAX: Final = 64 * 1024
HEARTBEAT_INTERVAL_S: Final = 2.0
HISTORICAL_AFTER_S: Final = 30

Nonce = Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{32}\Z")]
Count = Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


class LaneState(msgspec.Struct, frozen=True, kw_only=True):
    """One lane as the box has it. first: lowest number still kept (last + 1 when none); last: highest assigned;
    acked: highest the box knows to be committed at the campus; chain: at last; acked_chain: at acked.
    """

    first: Count
    last: Count
    acked: Count
    chain: Chain
    acked_chain: Chain


class Hello(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """First message of a connection. session: fresh random per connection; it names the session everywhere after.

    previous_epoch and fork_reason are present in an epoch that follows another one on this box.
    """

    session: Nonce
    campus: Short
    edge: Short
    epoch: Epoch
    stamp: Stamp
    lanes: dict[Lane, LaneState]
    previous_epoch: Epoch | None = None
    fork_reason: Short = ""
    software: Short = ""
    documents: dict[Short, Short] = {}
    protocol: Literal[1] = PROTOCOL_VERSION


class Watermark(msgspec.Struct, frozen=True, kw_only=True):
    """The highest contiguous number the campus has committed in a lane, and the chain there."""

    through: Count
    chain: Chain


class Welcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Answer to a hello, and to anything of a session the campus does not know.

    verdict: `resume` from lanes; `fork`: this epoch's history is not ours, open a new epoch and requeue;
    `hello`: the campus does not know this session (it restarted), say hello again; `refused`: this box is not
    accepted, keep storing and try again at the longest wait. credit: records the campus will take before its next
    word; 0 means hold.
    """

    session: Nonce
    verdict: Literal["resume", "fork", "hello", "refused"]
    time_ns: Ns
    lanes: dict[Lane, Watermark] = {}
    credit: Count = 0
    reason: Text = ""
    documents: dict[Short, Short] = {}


class Batch(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="batch"):
    """Header of a contiguous run of records of one lane. first..through are the numbers it covers; count the records
    (a GAP record covers several numbers); before: the chain at first - 1; sent: when the box sent it.
    """

    session: Nonce
    epoch: Epoch
    lane: Lane
    first: Annotated[int, msgspec.Meta(ge=1)]
    through: Annotated[int, msgspec.Meta(ge=1)]
    count: Annotated[int, msgspec.Meta(ge=1, le=BATCH_RECORDS_MAX)]
    before: Chain
    sent: Stamp


class Ack(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="ack"):
    """Everything of this lane through this number is committed at the campus. Cumulative; may be lost or repeated."""

    session: Nonce
    epoch: Epoch
    lane: Lane
    through: Count
    chain: Chain
    credit: Count
    time_ns: Ns


class LaneDepth(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Honest counters of one lane: accepted = acknowledged + queued + dropped + quarantined."""

    accepted: Count
    acknowledged: Count
    queued: Count
    dropped: dict[Short, Count] = {}
    quarantined: Count = 0
    oldest_age_s: Count = 0


class Heartbeat(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="kind", tag="hb"):
    """Every two seconds while connected: liveness, counters, one fresh lease, versions of the documents applied.

    counters: names from a closed list of the box's health module. settled_leases: leases of this session that have run
    out, each use of which was never taken or has its outcome in the outbox; the box takes nothing more under them.
    commands_pending: commands the box works on whose outcome is not in the outbox yet. Both are true of a moment before
    lanes was read, so that a campus which has the whole of lane A (queued is 0) may conclude: a command under a settled
    lease of this session, or, when commands_pending is 0, under any lease of an earlier session or one that had run out
    before the stamp, that has no Command/Taken in the ledger was never carried out and never will be.
    """

    session: Nonce
    epoch: Epoch
    stamp: Stamp
    lease: Lease | None = None
    lanes: dict[Lane, LaneDepth] = {}
    documents: dict[Short, Short] = {}
    settled_leases: Annotated[tuple[LeaseId, ...], msgspec.Meta(max_length=64)] = ()
    commands_pending: Count = 0
    counters: Annotated[dict[Short, int | float], msgspec.Meta(max_length=128)] = {}


class DocumentChunk(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a versioned document (bundle, list, mode, plan). data: base64 of at most 64 KiB.

    sha256: hex over the whole document; the signature of the frame covers every chunk.
    """

    name: Short
    version: Annotated[int, msgspec.Meta(ge=1)]
    sha256: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}\Z")]
    index: Count
    chunks: Annotated[int, msgspec.Meta(ge=1, le=4096)]
    data: Annotated[str, msgspec.Meta(max_length=DOCUMENT_CHUNK_BYTES_MAX * 4 // 3 + 4)]
