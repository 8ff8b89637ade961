"""The campus's side of the delivery protocol: frames of boxes in, rows in the ledger, then the answers.

Knows no socket: `receive` takes a frame and returns the frames to send back to the same box, after whatever they
promise is on disk. A frame that makes no sense is counted and dropped, because the box sends again what was not
acknowledged; a record that makes no sense is quarantined, because the lane must move on.

    hello       verified with the enrolled key, compared with the ledger -> welcome resume | fork | refused
    batch       of an unknown session -> welcome hello
                not beginning at the next number -> ack of where the lane stands
                otherwise committed with its group -> ack, or welcome fork when its chain is not ours
    heartbeat   kept in memory for the registry; answered only to lift a hold

A ledger restored from a backup needs nothing special: its lanes stand lower, the welcome says so, and the boxes send
again what they kept.
"""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from aggregator.admission.decode import Misnumbered, fork_reason, numbers_to_compare, read_run
from aggregator.admission.group import STORE_FAILURES, CommitFailed, GroupCommit, GroupLimits
from aggregator.admission.sessions import LIVE_FOR_NS, EdgeState, Liveness, Session
from aggregator.ledger import Fate, Ledger, Mark, OpenEpoch
from wire.clock import NS_PER_S, Clock
from wire.codec import (
    Signed,
    decode_batch,
    decode_heartbeat,
    decode_signed,
    encode_ack,
    encode_line,
    encode_signed,
    signing_input,
)
from wire.delivery import BATCH_RECORDS_MAX, Ack, Batch, Heartbeat, Hello, Watermark, Welcome
from wire.errors import Malformed
from wire.identity import derived_id
from wire.records import Event
from wire.topics import CAMPUS_NODE, Down, Lane, Up, UpTopic, down_topic, up_topic

log = logging.getLogger(__name__)

Verdict = Literal["resume", "fork", "hello", "refused"]
Replies = list[tuple[Down, bytes]]

# What a box may have in flight: two batches in each of four lanes and four in A.
CREDIT_MAX: Final = 12 * BATCH_RECORDS_MAX
_ASK_AGAIN_NS: Final = NS_PER_S
_ASKED_MAX: Final = 4096
_COMPLAINTS_MAX: Final = 1024


@dataclass(frozen=True, slots=True)
class EnrolledEdge:
    """A box that may deliver. public_key: its Ed25519 key, 32 raw bytes."""

    edge: str
    public_key: bytes


async def _nothing_more(_edge: str) -> Mapping[str, str]:
    return {}


class Admission:
    """One campus's front desk for the frames of its boxes."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        campus: str,
        clock: Clock,
        enrolled: Callable[[str], Awaitable[EnrolledEdge | None]],
        sign: Callable[[bytes], bytes] | None = None,
        documents: Callable[[str], Awaitable[Mapping[str, str]]] = _nothing_more,
        on_hello: Callable[[str, Hello, int], None] = lambda _edge, _hello, _heard_ns: None,
        on_heartbeat: Callable[[str, Heartbeat, int], None] = lambda _edge, _heartbeat, _heard_ns: None,
        limits: GroupLimits | None = None,
    ) -> None:
        """enrolled: looks a box up. sign: Ed25519 signature of the campus over a welcome; absent: welcomes go unsigned.
        documents: versions that a box ought to have. on_hello, on_heartbeat: told edge, message and the campus's
        monotonic time, after the session was accepted.
        """
        self._ledger = ledger
        self._campus = campus
        self._clock = clock
        self._enrolled = enrolled
        self._sign = sign
        self._documents = documents
        self._on_hello = on_hello
        self._on_heartbeat = on_heartbeat
        self._limits = limits or GroupLimits()
        self._group = GroupCommit(ledger.commit, clock, self._limits)
        self._edges: dict[str, EdgeState] = {}
        self._asked: dict[tuple[str, str], int] = {}
        self._refused: set[str] = set()
        self._complained: set[tuple[str, str]] = set()
        self.counters: Counter[str] = Counter()

    @property
    def liveness(self) -> Mapping[str, Liveness]:
        """The boxes that said hello since this process started and were accepted, by edge."""
        states = {edge: state.liveness() for edge, state in self._edges.items()}
        return {edge: live for edge, live in states.items() if live is not None}

    @property
    def ledger_failing(self) -> bool:
        """Whether the ledger could not be written when it was last tried."""
        return self._group.failing

    async def receive(self, topic: UpTopic, frame: bytes) -> Replies:
        """Take one frame of a box; returns what to send to that box, in order. Raises nothing that a box can cause.

        Frames of one box must be handed over in the order in which they came; calls may overlap, and should, so that
        runs share a commit.
        """
        if topic.campus != self._campus:
            return self._drop(topic, "campus", f"addressed to campus {topic.campus}")
        try:
            match topic.leaf:
                case Up.HELLO:
                    return await self._receive_hello(topic, frame)
                case Up.HEARTBEAT:
                    return self._receive_heartbeat(topic, frame)
                case _:
                    return await self._receive_batch(topic, frame)
        except Malformed as error:
            return self._drop(topic, "malformed", str(error))
        except STORE_FAILURES as error:
            # No answer: the box asks again. The outage itself is told once, where commits fail.
            self.counters["store_failed"] += 1
            log.debug("frame not answered", extra={"edge": topic.edge, "cause": str(error)})
            return []

    # --- hello ----------------------------------------------------------------------------------------

    async def _receive_hello(self, topic: UpTopic, frame: bytes) -> Replies:
        hello, signed = decode_signed(frame, Hello)
        if hello.edge != topic.edge or hello.campus != topic.campus:
            raise Malformed(f"hello of {hello.campus}/{hello.edge} on the topic of {topic.campus}/{topic.edge}")
        edge = topic.edge
        refusal = await self._refusal(edge, signed)
        if refusal:
            return [self._welcome(edge, hello.session, "refused", reason=refusal)]
        request = OpenEpoch(
            edge=edge,
            epoch=hello.epoch,
            previous=hello.previous_epoch,
            reason=hello.fork_reason,
            numbers=numbers_to_compare(hello),
        )
        opening = await self._ledger.open_epoch(request, self._clock.stamp())
        self.counters["hello"] += 1
        state = self._edges.setdefault(edge, EdgeState())
        live = state.session
        if live is not None and live.nonce == hello.session and live.hello.epoch == hello.epoch:
            # The wire has said it twice. The box has gone on since, so nothing in it may be compared any more.
            return [self._welcome(edge, live.nonce, "resume", session=live, documents=await self._documents(edge))]
        reason = fork_reason(hello, opening)
        if reason:
            state.session = None
            return [self._fork(edge, hello.session, hello.epoch, reason)]
        now_ns = self._clock.mono_ns()
        marks = dict(opening.marks)
        session = Session(hello, now_ns, marks, {lane: mark.through for lane, mark in marks.items()})
        if state.enter(session):
            await self._tell_takeover(edge, session)
        self._on_hello(edge, hello, now_ns)
        return [self._welcome(edge, session.nonce, "resume", session=session, documents=await self._documents(edge))]

    async def _refusal(self, edge: str, signed: Signed) -> str:
        enrolled = await self._enrolled(edge)
        reason = "not_enrolled" if enrolled is None else ""
        if enrolled is not None and not self._signature_fits(enrolled, signed):
            reason = "unsigned" if not signed.signature else "signature"
        if not reason:
            self._refused.discard(edge)
            return ""
        self.counters["refused"] += 1
        if edge not in self._refused and len(self._refused) < _COMPLAINTS_MAX:
            self._refused.add(edge)
            log.warning("edge refused", extra={"edge": edge, "reason": reason})
        return reason

    def _signature_fits(self, enrolled: EnrolledEdge, signed: Signed) -> bool:
        topic = up_topic(self._campus, enrolled.edge, Up.HELLO)
        try:
            key = Ed25519PublicKey.from_public_bytes(enrolled.public_key)
            key.verify(bytes.fromhex(signed.signature), signing_input(topic, signed.line))
        except (ValueError, InvalidSignature):
            return False
        return True

    def end_session(self, edge: str) -> None:
        """A box that was revoked: whatever it says next must begin with a hello, and that is refused."""
        state = self._edges.get(edge)
        if state is not None and state.session is not None:
            state.session = None
            log.warning("session of a revoked edge ended", extra={"edge": edge})

    async def _tell_takeover(self, edge: str, session: Session) -> None:
        self.counters["takeover_alarms"] += 1
        stamp = self._clock.stamp()
        alarm = Event(
            id=derived_id("takeover", edge, session.nonce, stamp.wall_ns),
            device=CAMPUS_NODE,
            stamp=stamp,
            topic="Delivery/Incident",
            reason="takeover",
            values={"edge": edge, "epoch": session.hello.epoch},
        )
        log.warning("two boxes share one identity", extra={"edge": edge})
        try:
            await self._ledger.append_campus([alarm], stamp)
        except STORE_FAILURES:
            # The box must not suffer for an alarm that cannot be written.
            log.warning("takeover alarm could not be written", extra={"edge": edge}, exc_info=True)

    # --- batches --------------------------------------------------------------------------------------

    async def _receive_batch(self, topic: UpTopic, frame: bytes) -> Replies:
        batch, raws = decode_batch(frame)
        if batch.lane.value != topic.leaf.value:
            raise Malformed(f"batch of lane {batch.lane} on the topic of {topic.leaf}")
        edge, lane = topic.edge, batch.lane
        session = self._session(edge, batch.session, batch.epoch)
        if session is None:
            return self._ask_for_hello(edge, batch.session)
        session.heard_ns = self._clock.mono_ns()
        if lane not in session.expected:
            await self._look_up(session, lane)
        if batch.first != session.expected[lane] + 1:
            self.counters["out_of_turn"] += 1
            return [self._ack(session, lane)]
        if self._group.room < len(raws):
            # The box keeps what is not acknowledged; an ack without credit is the whole answer to "full".
            self.counters["no_room"] += 1
            return [self._ack(session, lane)]
        try:
            run = read_run(edge, batch, raws)
        except Misnumbered as error:
            log.warning("batch does not add up", extra={"edge": edge, "lane": lane.value, "cause": str(error)})
            return self._end_by_fork(edge, session, "numbering")
        session.expected[lane] = batch.through
        try:
            result = await self._group.add(run, urgent=lane is Lane.A)
        except CommitFailed:
            self.counters["failed"] += 1
            session.expected.pop(lane, None)
            return []
        except BaseException:
            # Cancelled: the run may be committed all the same, by another of its group.
            session.expected.pop(lane, None)
            raise
        return self._answer(edge, session, batch, result.fate, result.mark)

    def _answer(self, edge: str, session: Session, batch: Batch, fate: Fate, mark: Mark) -> Replies:
        lane = batch.lane
        session.marks[lane] = mark
        if fate is Fate.TAKEN:
            self.counters["batches"] += 1
            self.counters["records"] += batch.count
            return [self._ack(session, lane)]
        if fate is Fate.FORKED:
            return self._end_by_fork(edge, session, "chain")
        self.counters["out_of_turn"] += 1
        session.expected[lane] = mark.through
        return [self._ack(session, lane)]

    async def _look_up(self, session: Session, lane: Lane) -> None:
        """After a commit that failed only the ledger knows where a lane stands."""
        marks = await self._ledger.watermarks(session.hello.edge, session.hello.epoch)
        session.marks[lane] = marks[lane]
        session.expected.setdefault(lane, marks[lane].through)

    def _session(self, edge: str, nonce: str, epoch: str) -> Session | None:
        state = self._edges.get(edge)
        if state is None:
            return None
        session = state.session
        if session is not None and session.nonce == nonce and session.hello.epoch == epoch:
            return session
        state.stranger_spoke(nonce)
        return None

    def _ask_for_hello(self, edge: str, nonce: str) -> Replies:
        """Once per second and session, since a whole window of batches may be on its way."""
        now_ns = self._clock.mono_ns()
        if now_ns - self._asked.get((edge, nonce), -_ASK_AGAIN_NS) < _ASK_AGAIN_NS:
            return []
        if len(self._asked) >= _ASKED_MAX:
            self._asked.clear()
        self._asked[edge, nonce] = now_ns
        self.counters["hello_asked"] += 1
        return [self._welcome(edge, nonce, "hello")]

    def _end_by_fork(self, edge: str, session: Session, reason: str) -> Replies:
        state = self._edges[edge]
        if state.session is session:
            state.session = None
        return [self._fork(edge, session.nonce, session.hello.epoch, reason)]

    def _fork(self, edge: str, nonce: str, epoch: str, reason: str) -> tuple[Down, bytes]:
        self.counters["forks"] += 1
        log.warning("edge must fork", extra={"edge": edge, "epoch": epoch, "reason": reason})
        return self._welcome(edge, nonce, "fork", reason=reason)

    # --- heartbeats -----------------------------------------------------------------------------------

    def _receive_heartbeat(self, topic: UpTopic, frame: bytes) -> Replies:
        heartbeat = decode_heartbeat(frame)
        session = self._session(topic.edge, heartbeat.session, heartbeat.epoch)
        if session is None:
            return self._ask_for_hello(topic.edge, heartbeat.session)
        session.heard_ns = self._clock.mono_ns()
        session.heartbeat = heartbeat
        self._on_heartbeat(topic.edge, heartbeat, session.heard_ns)
        if session.held and self._credit() > 0:
            return [self._ack(session, Lane.A)]
        return []

    # --- answers --------------------------------------------------------------------------------------

    def _credit(self) -> int:
        """Records one box may send before our next word: its share of the room, nothing once little is left."""
        room = self._group.room
        if room < self._limits.pending_records // 8 or self._group.failing:
            return 0
        now_ns = self._clock.mono_ns()
        live = sum(
            1 for state in self._edges.values() if state.session and now_ns - state.session.heard_ns < LIVE_FOR_NS
        )
        return min(CREDIT_MAX, max(BATCH_RECORDS_MAX, room // max(live, 1)))

    def _ack(self, session: Session, lane: Lane) -> tuple[Down, bytes]:
        mark, credit = session.marks[lane], self._credit()
        session.held = credit == 0
        ack = Ack(
            session=session.nonce,
            epoch=session.hello.epoch,
            lane=lane,
            through=mark.through,
            chain=mark.chain.hex(),
            credit=credit,
            time_ns=self._clock.wall_ns(),
        )
        return Down.ACK, encode_ack(ack)

    def _welcome(
        self,
        edge: str,
        nonce: str,
        verdict: Verdict,
        *,
        reason: str = "",
        session: Session | None = None,
        documents: Mapping[str, str] | None = None,
    ) -> tuple[Down, bytes]:
        lanes, credit = {}, 0
        if session is not None:
            lanes = {lane: Watermark(through=m.through, chain=m.chain.hex()) for lane, m in session.marks.items()}
            credit = self._credit()
            session.held = credit == 0
        line = encode_line(
            Welcome(
                session=nonce,
                verdict=verdict,
                time_ns=self._clock.wall_ns(),
                lanes=lanes,
                credit=credit,
                reason=reason,
                documents=dict(documents or {}),
            )
        )
        signature = ""
        if self._sign is not None:
            signature = self._sign(signing_input(down_topic(self._campus, edge, Down.WELCOME), line)).hex()
        return Down.WELCOME, encode_signed(Welcome, line, signature)

    def _drop(self, topic: UpTopic, kind: str, cause: str) -> Replies:
        self.counters[kind] += 1
        if (topic.edge, kind) not in self._complained and len(self._complained) < _COMPLAINTS_MAX:
            self._complained.add((topic.edge, kind))
            log.warning("frame dropped", extra={"edge": topic.edge, "leaf": topic.leaf.value, "cause": cause[:200]})
        return []
