"""OutboxStore: the operations of the outbox over one SQLite connection. The package's docstring tells the idea."""

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, Self

from edge_agent.outbox import append as appending
from edge_agent.outbox import evict, opening, quarantine, renumber
from edge_agent.outbox.book import SEQ_MASK, key_of
from edge_agent.outbox.core import Core
from edge_agent.outbox.counters import lane_depth, lane_state
from edge_agent.outbox.files import Lock
from edge_agent.outbox.gaps import GapNote, decode_note, gap_body
from edge_agent.outbox.interrupted import interrupted
from edge_agent.outbox.model import Appended, Entry, Maintenance, OutboxLimits, Quarantined, Recovery, Row
from wire.clock import Clock
from wire.delivery import LaneDepth, LaneState
from wire.identity import chain_next, record_hash
from wire.records import Event
from wire.topics import LANES, Lane

_READ: Final = "SELECT key, through, gap, chain, body FROM record WHERE key >= ? AND key <= ? ORDER BY key LIMIT ?"
_NO_HARMLESS: Final[frozenset[str]] = frozenset()


class OutboxStore:
    """Synchronous; every call from the thread that opened it. Every call but `close` raises OutboxGone once the disk
    has failed.
    """

    def __init__(self, core: Core, recovery: Recovery | None, lock: Lock | None) -> None:
        """Use `open`. recovery: what the opening had to save from a damaged file."""
        self._core = core
        self._lock = lock
        self.recovery = recovery

    @classmethod
    def open(
        cls,
        path: Path,
        *,
        clock: Clock,
        random: Callable[[int], bytes],
        edge: str,
        limits: OutboxLimits = OutboxLimits(),  # noqa: B008  frozen
        connect: Callable[[], sqlite3.Connection] | None = None,
    ) -> Self:
        """Open or make the outbox of one edge node. A damaged file is set aside and what verifies is saved from it.

        random: like os.urandom. connect: gives a connection to a database in memory, for a simulation that keeps its
        own disk; there are then no files, no log, no lock and no recovery (damage raises OutboxDamaged).
        Raises OutboxRefused when a person has to act, OutboxBusy when another process has it open, OutboxGone when
        the disk fails.
        """
        opened = opening.open_outbox_file(
            path, opening.Surroundings(clock=clock, random=random, edge=edge, limits=limits), connect
        )
        return cls(opened.core, opened.recovery, opened.lock)

    @property
    def epoch(self) -> str:
        """The present epoch, 32 hex digits."""
        return self._core.book.epoch

    @property
    def previous_epoch(self) -> str | None:
        """The epoch before this one; None in the first."""
        return self._core.book.previous_epoch

    @property
    def fork_reason(self) -> str:
        """Why the present epoch began; "" in the first."""
        return self._core.book.fork_reason

    @property
    def tally(self) -> dict[str, int]:
        """Counted since the file was made, though no records of it: repeats, conflicts, restarts (of a device's
        count), refused_<lane>. Survives a restart with the next commit.
        """
        tally = dict(self._core.book.tally)
        for what, count in self._core.unsaved.items():
            tally[what] = tally.get(what, 0) + count
        return tally

    # --- in ---------------------------------------------------------------------------------------------

    def append(self, entries: Sequence[Entry]) -> list[Appended]:
        """Store entries in one transaction and say what became of each, in order; what is STORED is on disk.

        All or nothing: an error (UnknownTopic, Malformed, OutboxGone) leaves none of them stored.
        """
        return appending.append(self._core, entries)

    def quarantine(self, device: str, reason: str, raw: bytes, harmless: frozenset[str] = _NO_HARMLESS) -> None:
        """Keep the redacted head of a frame that made no sense. harmless: keys whose values may stay readable."""
        with self._core.transaction():
            quarantine.put_in_quarantine(self._core, device, reason, raw, harmless)

    def quarantined(self) -> list[Quarantined]:
        """What is in quarantine, oldest first."""
        return quarantine.list_quarantine(self._core)

    # --- out --------------------------------------------------------------------------------------------

    def lane_states(self) -> dict[Lane, LaneState]:
        """What HELLO says of each lane."""
        self._core.refuse_when_gone()
        return {lane: lane_state(self._core.book.lanes[lane]) for lane in LANES}

    def chain_at(self, lane: Lane, seq: int) -> bytes | None:
        """The chain at a number; None when it is trimmed away, inside a gap, or not assigned yet."""
        with self._core.reading():
            return self._core.chain_at(lane, seq)

    def read(self, lane: Lane, after: int, records_max: int, bytes_max: int) -> list[Row]:
        """The rows that follow a number, contiguous, each verified against the chain; [] when there are none.

        The first row covers after + 1: where that was trimmed away or lies inside a gap, it is a GAP record made for
        exactly what remains of it. At least one row is given if there is one, however small bytes_max.
        Raises OutboxDamaged when a stored record is not what was written.
        """
        with self._core.reading():
            return self._read(lane, after, records_max, bytes_max)

    def _read(self, lane: Lane, after: int, records_max: int, bytes_max: int) -> list[Row]:
        book = self._core.book.lanes[lane]
        if after >= book.last:
            return []
        rows: list[Row] = []
        if after < book.base:
            note = GapNote("retention", book.base_stamp or self._core.clock.stamp())
            rows.append(self._gap(lane, (after + 1, book.base), book.base - after, book.base_chain, note))
            after = book.base
        covering = self._core.row_at(lane, after + 1)
        first = covering[0] if covering else after + 1
        chain = self._core.chain_at(lane, first - 1)
        size = sum(len(row.body) + 1 for row in rows)
        limit = records_max - len(rows)
        for key, through, gap, stored, body in self._core.connection.execute(
            _READ, (key_of(lane, first), key_of(lane, book.last), limit)
        ):
            seq = key & SEQ_MASK
            if gap is None:
                if seq != after + 1 or (chain is not None and chain_next(chain, record_hash(body)) != stored):
                    self._core.damaged(f"lane {lane}: record {after + 1} is not what was written")
                row = Row(seq, seq, body, stored)
            else:
                row = self._gap(lane, (after + 1, through), gap, stored, decode_note(body))
            size += len(row.body) + 1
            if rows and size > bytes_max:
                break
            rows.append(row)
            after, chain = row.through, stored
        if not rows and limit > 0:
            self._core.damaged(f"lane {lane}: record {after + 1} is missing")
        return rows

    def _gap(self, lane: Lane, span: tuple[int, int], count: int, chain: bytes, note: GapNote) -> Row:
        book = self._core.book
        first, through = span
        body = gap_body(
            note, edge=book.edge, epoch=book.epoch, lane=lane, first=first, through=through, count=count, chain=chain
        )
        return Row(first, through, body, chain)

    def interrupted(self) -> list[Event]:
        """Commands that an earlier run took and did not end: their Command/Taken records, in order."""
        with self._core.reading():
            return interrupted(self._core)

    # --- acknowledged -----------------------------------------------------------------------------------

    def acknowledge(self, through: Mapping[Lane, int]) -> None:
        """The campus has committed these lanes through these numbers. Cumulative; a lower number changes nothing, and
        one that was never assigned is not believed. A number inside a gap counts as the last one before it.
        """
        with self._core.reading():
            moves = {lane: self._known(lane, seq) for lane, seq in through.items()}
            moves = {lane: seq for lane, seq in moves.items() if seq > self._core.book.lanes[lane].acked}
            self._move(moves)

    def resume(self, through: Mapping[Lane, int]) -> None:
        """The campus, restored from a backup, knows these lanes only through these numbers: what lies above and is
        still kept waits again. Below the first kept row nothing can be taken back; `read` explains that with a GAP.
        """
        with self._core.reading():
            moves = {lane: self._known(lane, seq) for lane, seq in through.items()}
            moves = {lane: seq for lane, seq in moves.items() if seq != self._core.book.lanes[lane].acked}
            self._move(moves)

    def _known(self, lane: Lane, seq: int) -> int:
        """The highest number not above seq at which the chain is known; what is acked when seq makes no sense."""
        book = self._core.book.lanes[lane]
        if seq > book.last:
            return book.acked
        if seq <= book.base:
            return book.base
        covering = self._core.row_at(lane, seq)
        return seq if covering is None or covering[1] == seq else covering[0] - 1

    def _move(self, moves: Mapping[Lane, int]) -> None:
        if not moves:
            return
        with self._core.transaction() as draft:
            for lane, seq in moves.items():
                book = draft.book.lanes[lane]
                chain = self._core.chain_at(lane, seq)
                if chain is None:
                    self._core.damaged(f"lane {lane}: record {seq} is missing")
                forward = self._core.count_records(lane, book.acked, seq) if seq > book.acked else 0
                back = self._core.count_records(lane, seq, book.acked) if seq < book.acked else 0
                book.acknowledged += forward - back
                book.queued -= forward - back
                if seq < book.acked:
                    self._core.connection.execute(
                        "DELETE FROM ack_mark WHERE lane = ? AND seq > ?", (LANES.index(lane), seq)
                    )
                book.acked, book.acked_chain = seq, chain

    def fork(self, reason: str) -> str:
        """Open a new epoch in which everything kept waits again, and return it. reason: at most 64 characters count."""
        return renumber.fork(self._core, reason)

    # --- upkeep -----------------------------------------------------------------------------------------

    def maintain(self) -> Maintenance:
        """One small step of retention, eviction or giving back room; call again while it says more."""
        return evict.maintain(self._core)

    def depths(self) -> dict[Lane, LaneDepth]:
        """Counters of each lane since the file was made: accepted = acknowledged + queued + dropped + quarantined.

        acknowledged counts records, each once: one that has to be sent again (resume, fork) is queued, not
        acknowledged. dropped, by reason: thinned and dropped under pressure, damaged when a file lost them.
        quarantined: device records kept out because their number was taken by other content.
        oldest_age_s: of the oldest record that waits.
        """
        now = self._core.clock.stamp()
        with self._core.reading():
            return {lane: lane_depth(self._core.connection, lane, self._core.book.lanes[lane], now) for lane in LANES}

    def snapshot(self) -> bytes:
        """The whole database as bytes (sqlite3's serialize), for a simulation that keeps its own disk."""
        self._core.refuse_when_gone()
        return self._core.connection.serialize()

    def close(self) -> None:
        """Close the file and let the next process in. Calling it again does nothing."""
        self._core.close()
        if self._lock is not None:
            self._lock.release()
