"""The delivery protocol as the box speaks it, over any carrier.

One `Uplink.serve(carrier)` is one connection: hello, welcome, then batches up, acks down and heartbeats, until the
carrier ends. Nothing of it outlives the connection except what the outbox keeps; the next connection starts with a new
session nonce and asks the campus where to go on.

Does: compare the campus' history with ours by chain and open a new epoch when they differ, keep windows, lose
patience and resend, hold when told to. Does not: touch a socket, a clock or a file by itself, retry the dial, or look
into a record.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from edge_agent.outbox import Row
from edge_agent.uplink.seams import Carrier, Spool, UplinkRefusedError
from edge_agent.uplink.turns import Goodput, Turns
from edge_agent.uplink.window import Flight, LaneWindow
from edge_agent.wakeup import Signal
from wire import codec
from wire.clock import Clock
from wire.delivery import (
    BATCH_BYTES_MAX,
    BATCH_RECORDS_MAX,
    HEARTBEAT_INTERVAL_S,
    Ack,
    Batch,
    Heartbeat,
    Hello,
    LaneState,
    Watermark,
    Welcome,
)
from wire.errors import Malformed
from wire.identity import CHAIN_START
from wire.records import RECORD_BYTES_MAX
from wire.topics import LANES, Down, Lane, Up, down_topic, up_topic

log = logging.getLogger(__name__)

HELLO_RESEND_S_MIN: Final = 5.0
HELLO_RESEND_S_MAX: Final = 60.0

# With credit 0 the campus owes us a word; if that word is lost, one batch after this long asks again.
HOLD_PROBE_S: Final = 5.0

# A fork rewrites the outbox; a campus that is never content must not wear out the card.
FORKS_PER_CONNECTION: Final = 2


class Uplink:
    """See the module."""

    def __init__(
        self,
        spool: Spool,
        *,
        campus: str,
        edge: str,
        clock: Clock,
        random: Callable[[int], bytes],
        sign: Callable[[bytes], str],
        verify: Callable[[bytes, str], bool],
        software: str = "",
        heartbeat: Callable[[Heartbeat], Heartbeat] = lambda plain: plain,
        commanded: Callable[[Down, bytes], Awaitable[None]] | None = None,
        welcomed: Callable[[], None] = lambda: None,
        ended: Callable[[], None] = lambda: None,
        documents: Callable[[], Mapping[str, str]] = dict,
    ) -> None:
        """sign: Ed25519 over the signing input, hex. verify: whether the campus signed that.

        heartbeat: adds lease, documents and counters. commanded: takes cmd and doc frames. welcomed: told when the
        campus has accepted the session. ended: told when a connection is over. documents: name -> version in force.
        """
        self._spool = spool
        self._campus = campus
        self._edge = edge
        self._clock = clock
        self._random = random
        self._sign = sign
        self._verify = verify
        self._software = software
        self._decorate = heartbeat
        self._commanded = commanded
        self._welcomed = welcomed
        self._ended = ended
        self._documents = documents
        self._wake = Signal()
        self._accepted = Signal()
        self._hello_topic = up_topic(campus, edge, Up.HELLO)
        self._welcome_topic = down_topic(campus, edge, Down.WELCOME)
        self.session = ""
        self.epoch = ""
        self.open = False
        self.forks = 0
        self.resent_batches = 0
        self.malformed_frames = 0
        self._windows = {lane: LaneWindow(lane) for lane in LANES}
        # The chain at each lane's cursor and at its acked number: what the next batch must say comes before it.
        self._cursor_chain = dict.fromkeys(LANES, CHAIN_START)
        self._acked_chain = dict.fromkeys(LANES, CHAIN_START)
        self._forks_here = 0
        self._turns = Turns()
        self._goodput = Goodput()
        self._credit = 0
        self._hold_from_s = 0.0
        self._hello_due_s = 0.0
        self._hello_wait_s = HELLO_RESEND_S_MIN

    def grew(self, lanes: set[Lane]) -> None:
        """The outbox has new records in these lanes."""
        now = asyncio.get_running_loop().time()
        for lane in lanes:
            self._windows[lane].grew(now)
        self._wake.tell()

    async def serve(self, carrier: Carrier) -> None:
        """Speak over one connection until it ends. Raises what ended it: OSError, or UplinkRefusedError."""
        self.open = False
        self._turns, self._goodput, self._forks_here = Turns(), Goodput(), 0
        await self._say_hello(carrier)
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self._listen(carrier))
                group.create_task(self._pump(carrier))
                group.create_task(self._beat(carrier))
        except ExceptionGroup as failed:
            # Not `except*`: Python before 3.11.4, Debian 12's among them, would put what is raised there in a group.
            ended, bugs = failed.split((OSError, UplinkRefusedError))
            if ended is None or bugs is not None:
                raise
            raise _first(ended) from None
        finally:
            self.open = False
            self._ended()

    # --- down -----------------------------------------------------------------------------------------

    async def _listen(self, carrier: Carrier) -> None:
        while True:
            leaf, frame = await carrier.receive()
            try:
                if leaf is Down.WELCOME:
                    await self._on_welcome(carrier, frame)
                elif leaf is Down.ACK:
                    await self._on_ack(carrier, codec.decode_ack(frame))
                elif self._commanded is not None:
                    await self._commanded(leaf, frame)
            except Malformed as error:
                self.malformed_frames += 1
                log.debug("frame from the campus made no sense", extra={"leaf": leaf, "cause": str(error)})

    async def _on_welcome(self, carrier: Carrier, frame: bytes) -> None:
        welcome, signed = codec.decode_signed(frame, Welcome)
        if not self._verify(codec.signing_input(self._welcome_topic, signed.line), signed.signature):
            raise Malformed("welcome is not signed by our campus")
        if welcome.session != self.session:
            return
        match welcome.verdict:
            case "refused":
                raise UplinkRefusedError(welcome.reason)
            case "hello":
                await self._say_hello(carrier)
            case "fork":
                await self._fork(carrier, welcome.reason or "campus")
            case "resume":
                await self._resume(carrier, welcome)

    async def _resume(self, carrier: Carrier, welcome: Welcome) -> None:
        if self.open:
            return
        start = Watermark(through=0, chain=CHAIN_START.hex())
        marks = {lane: welcome.lanes.get(lane, start) for lane in LANES}
        states = await self._spool.lane_states()
        for lane, mark in marks.items():
            if not await self._same_history(lane, mark, states[lane]):
                await self._fork(carrier, "rollback" if mark.through > states[lane].last else "chain")
                return
        ahead = {lane: mark.through for lane, mark in marks.items() if mark.through > states[lane].acked}
        behind = {lane: mark.through for lane, mark in marks.items() if mark.through < states[lane].acked}
        if ahead:
            await self._spool.acknowledge(ahead)
        if behind:
            log.warning(
                "campus knows less than before; sending again",
                extra={"lanes": " ".join(f"{lane}:{seq}" for lane, seq in sorted(behind.items()))},
            )
            await self._spool.resume(behind)
        now = asyncio.get_running_loop().time()
        for lane, mark in marks.items():
            self._windows[lane].start(mark.through, now)
            self._cursor_chain[lane] = self._acked_chain[lane] = bytes.fromhex(mark.chain)
        self._credit, self._hold_from_s = welcome.credit, now
        self._hello_wait_s = HELLO_RESEND_S_MIN
        self.open = True
        self._welcomed()
        self._accepted.tell()
        self._wake.tell()

    async def _same_history(self, lane: Lane, mark: Watermark, state: LaneState) -> bool:
        if mark.through > state.last:
            return False
        ours = await self._spool.chain_at(lane, mark.through)
        # None: below what is kept, or inside a GAP of ours. There is nothing to compare with, and the next batch
        # says what the campus believes comes before it.
        return ours is None or ours.hex() == mark.chain

    async def _fork(self, carrier: Carrier, reason: str) -> None:
        self.open = False
        self.forks += 1
        self._forks_here += 1
        if self._forks_here > FORKS_PER_CONNECTION:
            raise ConnectionError("campus and box cannot agree on a history")
        before = self.epoch
        self.epoch = await self._spool.fork(reason)
        log.error(
            "history differs from the campus'; new epoch", extra={"reason": reason, "from": before, "to": self.epoch}
        )
        await self._say_hello(carrier)

    async def _on_ack(self, carrier: Carrier, ack: Ack) -> None:
        if ack.session != self.session or ack.epoch != self.epoch or not self.open:
            return
        now = asyncio.get_running_loop().time()
        window = self._windows[ack.lane]
        self._credit, self._hold_from_s = ack.credit, now
        if ack.through <= window.acked:
            self._wake.tell()
            return
        expected = window.chain_at(ack.through)
        if expected is None or expected.hex() != ack.chain:
            # Not one of the batches under way: an old one that came late, or a number that we never gave.
            mark = Watermark(through=ack.through, chain=ack.chain)
            state = (await self._spool.lane_states())[ack.lane]
            if not await self._same_history(ack.lane, mark, state):
                await self._fork(carrier, "rollback" if ack.through > state.last else "chain")
                return
        await self._spool.acknowledge({ack.lane: ack.through})
        self._acked_chain[ack.lane] = bytes.fromhex(ack.chain)
        if ack.through > window.cursor:
            # A batch that we had given up on was committed after all; go on behind it.
            self._cursor_chain[ack.lane] = bytes.fromhex(ack.chain)
        for flight in window.acknowledge(ack.through, now):
            self._goodput.confirmed(flight.size, flight.sent_s, now)
        self._wake.tell()

    # --- up -------------------------------------------------------------------------------------------

    async def _say_hello(self, carrier: Carrier) -> None:
        self.open = False
        self.session = self._random(16).hex()
        self.epoch, previous, fork_reason = await self._spool.identity()
        hello = Hello(
            session=self.session,
            campus=self._campus,
            edge=self._edge,
            epoch=self.epoch,
            previous_epoch=previous,
            fork_reason=fork_reason[:64],
            stamp=self._clock.stamp(),
            lanes=await self._spool.lane_states(),
            software=self._software,
            documents=dict(self._documents()),
        )
        line = codec.encode_line(hello)
        signature = self._sign(codec.signing_input(self._hello_topic, line))
        carrier.send(Up.HELLO, codec.encode_signed(Hello, line, signature))
        self._hello_due_s = asyncio.get_running_loop().time() + self._hello_wait_s
        self._hello_wait_s = min(self._hello_wait_s * 2, HELLO_RESEND_S_MAX)

    async def _beat(self, carrier: Carrier) -> None:
        while True:
            # At once when welcomed, so that the campus knows our counters; else by the clock, so that a campus that
            # forgot us asks for a hello.
            await self._accepted.wait(HEARTBEAT_INTERVAL_S)
            if not self.open:
                # A campus that is slow to welcome us would take it for a stranger's and have us begin again.
                continue
            session = self.session
            plain = Heartbeat(
                session=session, epoch=self.epoch, stamp=self._clock.stamp(), documents=dict(self._documents())
            )
            # What it says of commands must be older than what it says of the lanes, see Heartbeat.
            decorated = self._decorate(plain)
            depths = await self._spool.depths()
            if self.open and session == self.session:
                carrier.send(Up.HEARTBEAT, codec.encode_heartbeat(msgspec.structs.replace(decorated, lanes=depths)))

    async def _pump(self, carrier: Carrier) -> None:
        loop = asyncio.get_running_loop()
        while True:
            now = loop.time()
            if not self.open:
                if now >= self._hello_due_s and not carrier.unsent():
                    await self._say_hello(carrier)
                await self._wake.wait(max(self._hello_due_s - now, 0.05))
                continue
            self._lose_patience(carrier, now)
            lane = self._turns.next(self._ready(now))
            if lane is None:
                await self._wake.wait(self._sleep_s(now))
            else:
                await self._send_batch(carrier, self._windows[lane])

    def _ready(self, now: float) -> list[Lane]:
        if self._credit <= 0 and now < self._hold_from_s + HOLD_PROBE_S:
            return []
        budget = self._goodput.budget()
        used = sum(window.bytes_in_flight for lane, window in self._windows.items() if lane is not Lane.A)
        ready: list[Lane] = []
        for lane, window in self._windows.items():
            at = window.ready_at()
            # One batch may always go, however thin the line: a batch is cut to the budget in _send_batch.
            if at is not None and at <= now and (lane is Lane.A or used == 0 or used < budget):
                ready.append(lane)
        return ready

    def _sleep_s(self, now: float) -> float | None:
        times = [window.due_at() for window in self._windows.values()]
        times += [at for window in self._windows.values() if (at := window.ready_at()) is not None and at > now]
        if self._credit <= 0:
            times.append(self._hold_from_s + HOLD_PROBE_S)
        waits = [at - now for at in times if at is not None]
        return max(min(waits), 0.001) if waits else None

    def _lose_patience(self, carrier: Carrier, now: float) -> None:
        for window in self._windows.values():
            due = window.due_at()
            if due is None or due > now:
                continue
            if carrier.unsent():
                window.postpone(now)
            else:
                self.resent_batches += len(window.flights)
                window.rewind(now)
                self._cursor_chain[window.lane] = self._acked_chain[window.lane]

    async def _send_batch(self, carrier: Carrier, window: LaneWindow) -> None:
        lane, session, after = window.lane, self.session, window.cursor
        bytes_max = BATCH_BYTES_MAX if lane is Lane.A else min(BATCH_BYTES_MAX, self._goodput.budget())
        window.reading()
        before = self._cursor_chain[lane]
        rows = await self._spool.read(lane, after, BATCH_RECORDS_MAX, bytes_max)
        # While we read, an ack, a fork or a new session may have moved the window; its mover has set it ready again.
        if session != self.session or after != window.cursor or not self.open:
            return
        if not rows:
            return
        now = asyncio.get_running_loop().time()
        frame = self._frame(lane, after, before, rows)
        carrier.send(lane, frame)
        window.sent(Flight(after + 1, rows[-1].through, len(frame), rows[-1].chain, now))
        # Where one more record of the largest size would not have fitted, the read may have ended at its limit.
        size = sum(len(row.body) + 1 for row in rows)
        if len(rows) == BATCH_RECORDS_MAX or size + RECORD_BYTES_MAX + 1 > bytes_max:
            window.more(now)
        self._cursor_chain[lane] = rows[-1].chain
        if self._credit <= 0:
            # That was the one that asks again; the next may go when this has had its time.
            self._hold_from_s = now
        self._credit -= len(rows)

    def _frame(self, lane: Lane, after: int, before: bytes, rows: Sequence[Row]) -> bytes:
        batch = Batch(
            session=self.session,
            epoch=self.epoch,
            lane=lane,
            first=after + 1,
            through=rows[-1].through,
            count=len(rows),
            before=before.hex(),
            sent=self._clock.stamp(),
        )
        return codec.encode_batch(batch, [row.body for row in rows])


def _first(group: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
