"""The ledger in an SQLite file. Every statement stands in `statements.sql`, every rule in `plan`.

A transaction reads through `_SqliteView`, plans and writes, all on the database's one writing thread, so that what
the plan saw is still true when it is written. What was committed last is kept in memory: all who follow the ledger ask
for the same rows a moment later.

Most records are new. So the first attempt trusts that no event id is known, which the unique index then proves or
refutes, and looks up a device's number only where it is not above all others (`recent`). When the index objects, the
transaction is rolled back and done again with everything looked up; and so are the next DOUBTS, because a box that has
to send again does not do it once.
"""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Final, Self, TypeVar

from aggregator.ledger import query
from aggregator.ledger.base import HeadSignal
from aggregator.ledger.columns import (
    ADD_BLOCK,
    INSERT_ROW,
    epoch_of,
    epoch_parameters,
    link_of,
    quarantined_of,
    row_of,
    values_of,
)
from aggregator.ledger.plan import Planner
from aggregator.ledger.recent import Tail, Tops
from aggregator.ledger.rows import (
    START,
    AdmissionGroup,
    AdmissionResult,
    EdgeEpoch,
    Filter,
    LedgerRow,
    Mark,
    OpenEpoch,
    Opening,
    Quarantined,
    Tally,
)
from aggregator.ledger.verify import ChainChecker, ChainReport
from aggregator.ledger.view import KnownEvent, KnownSource, Plan, SourceId
from aggregator.storage import Database, Statements
from wire.clock import Stamp
from wire.identity import source_space
from wire.records import Record
from wire.topics import CAMPUS_NODE, LANES, Lane

T = TypeVar("T")

PACKAGE: Final = "aggregator.ledger"
SQL: Final = Statements.load(PACKAGE)
DOUBTS: Final = 50
_LINKS_AT_ONCE: Final = 1000


class SqliteLedger:
    """Implements Ledger on a Database that was opened with `aggregator.ledger` among its packages."""

    def __init__(self, db: Database, campus_id: str, campus_epoch: str, head: int) -> None:
        """Not for callers; see `open`."""
        self._db = db
        self._campus_id = campus_id
        self._campus_epoch = campus_epoch
        self._signal = HeadSignal(head)
        self._tail = Tail()
        self._tops = Tops()
        self._doubts = 0

    @classmethod
    async def open(cls, db: Database, *, campus_id: str, random: Callable[[int], bytes]) -> Self:
        """The ledger in db. random: gives n random bytes; used once, for the epoch of @campus."""

        def prepare(connection: sqlite3.Connection) -> tuple[str, int]:
            view = _SqliteView(connection)
            for entry in view.epochs(CAMPUS_NODE):
                if entry.current:
                    return entry.epoch, view.head()
            epoch = random(16)
            entry_of_campus = {"edge": CAMPUS_NODE, "epoch": epoch, "previous": None, "reason": "", "current": 1}
            connection.execute(SQL["enter_epoch"], {**entry_of_campus, "first_seen_ns": 0})
            return epoch.hex(), view.head()

        campus_epoch, head = await db.write(prepare)
        return cls(db, campus_id, campus_epoch, head)

    # --- writing --------------------------------------------------------------------------------------

    async def commit(self, group: AdmissionGroup) -> AdmissionResult:
        """See Ledger."""
        results, head = await self._planned(group.received, lambda planner: planner.take_group(group))
        return AdmissionResult(results, head)

    async def open_epoch(self, request: OpenEpoch, received: Stamp) -> Opening:
        """See Ledger."""
        return (await self._planned(received, lambda planner: planner.open_epoch(request)))[0]

    async def append_campus(self, records: Sequence[Record], received: Stamp) -> list[int]:
        """See Ledger."""
        return (await self._planned(received, lambda planner: planner.add_campus_facts(records)))[0]

    async def _planned(self, received: Stamp, decide: Callable[[Planner], T]) -> tuple[T, int]:
        result, plan = await self._attempted(received, decide)
        self._tail.add(plan.rows)
        self._signal.move(plan.head)
        return result, plan.head

    async def _attempted(self, received: Stamp, decide: Callable[[Planner], T]) -> tuple[T, Plan]:
        if self._doubts:
            self._doubts -= 1
        else:
            try:
                return await self._db.write(lambda connection: self._transact(connection, self._tops, received, decide))
            except sqlite3.IntegrityError:
                self._doubts = DOUBTS
        return await self._db.write(lambda connection: self._transact(connection, None, received, decide))

    def _transact(
        self, connection: sqlite3.Connection, tops: Tops | None, received: Stamp, decide: Callable[[Planner], T]
    ) -> tuple[T, Plan]:
        view = _SqliteView(connection, tops)
        planner = Planner(view, campus_id=self._campus_id, campus_epoch=self._campus_epoch, received=received)
        result = decide(planner)
        _carry_out(connection, planner.plan)
        if tops is not None:
            tops.advance(planner.plan.rows, planner.plan.head)
        return result, planner.plan

    async def blank(self, positions: Collection[int]) -> int:
        """See Ledger."""
        wanted = [{"position": position} for position in positions]
        blanked = await self._db.write(lambda connection: connection.executemany(SQL["blank"], wanted).rowcount)
        self._tail.clear()
        return blanked

    # --- reading --------------------------------------------------------------------------------------

    async def watermarks(self, edge: str, epoch: str) -> dict[Lane, Mark]:
        """See Ledger."""
        rows = await self._fetch(SQL["marks"], {"edge": edge, "epoch": bytes.fromhex(epoch)})
        known = {Lane(row["lane"]): Mark(row["through"], row["chain"]) for row in rows}
        return {lane: known.get(lane, START) for lane in LANES}

    async def epochs(self, edge: str) -> list[EdgeEpoch]:
        """See Ledger."""
        return [epoch_of(row) for row in await self._fetch(SQL["epochs"], {"edge": edge})]

    async def head(self) -> int:
        """See Ledger."""
        rows = await self._fetch(SQL["head"], {})
        self._signal.move(int(rows[0][0]))
        return self._signal.head

    async def wait_beyond(self, position: int, timeout_s: float) -> int:
        """See Ledger."""
        if await self._signal.beyond(position, timeout_s):
            return self._signal.head
        return await self.head()

    async def read(self, after: int, limit: int) -> list[LedgerRow]:
        """See Ledger."""
        known = self._tail.after(after, limit)
        if known and (len(known) == limit or known[-1].position >= self._signal.head):
            return known
        return [row_of(row) for row in await self._fetch(SQL["rows_after"], {"after": after, "limit": limit})]

    async def page(
        self, wanted: Filter, *, beyond: int | None = None, descending: bool = True, limit: int = 100
    ) -> list[LedgerRow]:
        """See Ledger."""
        if wanted.topic is not None and not query.topics_under(wanted.topic):
            return []
        span = query.EVERYWHERE
        hours = query.hours_of(wanted)
        async with self._db.read() as connection:
            if hours is not None:
                (found,) = await connection.execute_fetchall(SQL["span_of_hours"], hours)
                if found["first_position"] is None:
                    return []
                span = query.Span(found["first_position"], found["last_position"])
            span = query.narrow(span, beyond, descending=descending)
            sql, parameters = query.page_sql(wanted, span, descending=descending, limit=limit)
            return [row_of(row) for row in await connection.execute_fetchall(sql, parameters)]

    async def event(self, event_id: str) -> LedgerRow | None:
        """See Ledger."""
        rows = await self._fetch(SQL["row_of_event"], {"event_id": bytes.fromhex(event_id)})
        return row_of(rows[0]) if rows else None

    async def verify_chain(self, edge: str, epoch: str, lane: Lane) -> ChainReport:
        """See Ledger."""
        stream: dict[str, object] = {"edge": edge, "epoch": bytes.fromhex(epoch), "lane": lane}
        mark = (await self.watermarks(edge, epoch))[lane]
        checker = ChainChecker()
        # The lane may grow while it is walked; what came after the mark was read is not looked at.
        while checker.through < mark.through:
            rows = await self._fetch(SQL["links"], {**stream, "after": checker.through, "limit": _LINKS_AT_ONCE})
            if not rows or not all(checker.feed(link_of(row)) for row in rows if row["seq"] <= mark.through):
                break
        return checker.end(mark)

    async def quarantined(self, limit: int) -> list[Quarantined]:
        """See Ledger."""
        return [quarantined_of(row) for row in await self._fetch(SQL["quarantined"], {"limit": limit})]

    async def tallies(self) -> list[Tally]:
        """See Ledger."""
        rows = await self._fetch(SQL["tallies"], {})
        return [Tally(row["edge"], Lane(row["lane"]), row["name"], row["value"]) for row in rows]

    async def _fetch(self, sql: str, parameters: dict[str, object]) -> list[sqlite3.Row]:
        async with self._db.read() as connection:
            return list(await connection.execute_fetchall(sql, parameters))


class _SqliteView:
    """Implements View on the writing connection, inside a transaction."""

    def __init__(self, connection: sqlite3.Connection, tops: Tops | None = None) -> None:
        """tops: absent, everything is looked up."""
        self._connection = connection
        self._tops = tops
        if tops is not None:
            tops.begin(self.head())

    def head(self) -> int:
        return int(self._connection.execute(SQL["head"]).fetchone()[0])

    def mark(self, edge: str, epoch: str, lane: Lane) -> Mark | None:
        key = {"edge": edge, "epoch": bytes.fromhex(epoch), "lane": lane}
        row = self._connection.execute(SQL["mark"], key).fetchone()
        return Mark(row[0], row[1]) if row else None

    def events(self, ids: Collection[str]) -> dict[str, KnownEvent]:
        if self._tops is not None:
            return {}
        execute, sql, known = self._connection.execute, SQL["event_known"], {}
        for event_id in ids:
            row = execute(sql, {"event_id": bytes.fromhex(event_id)}).fetchone()
            if row is not None:
                known[event_id] = KnownEvent(row[0], row[1])
        return known

    def sources(self, keys: Collection[SourceId]) -> dict[SourceId, list[KnownSource]]:
        execute, sql, known = self._connection.execute, SQL["sources_known"], {}
        for key in keys if self._tops is None else [key for key in keys if not self._is_above_all(self._tops, *key)]:
            rows = execute(sql, {"device_id": key[0], "source_no": key[1]}).fetchall()
            if rows:
                known[key] = [KnownSource(row[0], row[1], row[2], row[3]) for row in rows]
        return known

    def _is_above_all(self, tops: Tops, device_id: str, source_no: int) -> bool:
        return source_no > tops.number(self._connection, device_id, source_space(source_no))

    def series_max(self, device_id: str, start_ns: int, end_ns: int) -> int | None:
        if self._tops is not None:
            top = self._tops.series(self._connection, device_id)
            if top < end_ns:
                return top if top >= start_ns else None
        key = {"device_id": device_id, "start_ns": start_ns, "end_ns": end_ns}
        highest: int | None = self._connection.execute(SQL["series_max"], key).fetchone()[0]
        return highest

    def epochs(self, edge: str) -> list[EdgeEpoch]:
        return [epoch_of(row) for row in self._connection.execute(SQL["epochs"], {"edge": edge})]

    def chain_at(self, edge: str, epoch: str, lane: Lane, seq: int) -> bytes | None:
        key = {"edge": edge, "epoch": bytes.fromhex(epoch), "lane": lane, "seq": seq}
        row = self._connection.execute(SQL["chain_at"], key).fetchone()
        return bytes(row[1]) if row and row[0] == seq else None


def _carry_out(connection: sqlite3.Connection, plan: Plan) -> None:
    many = connection.executemany
    if plan.rows:
        many(INSERT_ROW, [values_of(row) for row in plan.rows])
        many(ADD_BLOCK, query.blocks_of(plan.rows))
        connection.execute(SQL["set_head"], {"head": plan.head})
        many(
            SQL["widen_hour"],
            [
                {"hour": hour, "first_position": first, "last_position": last}
                for hour, (first, last) in plan.hours.items()
            ],
        )
    if plan.repeats:
        many(
            SQL["insert_repeat"],
            [
                {
                    "edge": entry.edge,
                    "epoch": bytes.fromhex(entry.epoch),
                    "lane": entry.lane,
                    "seq": entry.seq,
                    "through": entry.through,
                    "hash": entry.hash,
                    "chain": entry.chain,
                    "position": entry.position,
                    "gap": int(entry.gap),
                }
                for entry in plan.repeats
            ],
        )
    if plan.quarantined:
        many(
            SQL["insert_quarantined"],
            [
                {
                    "edge": entry.edge,
                    "epoch": bytes.fromhex(entry.epoch),
                    "lane": entry.lane,
                    "seq": entry.seq,
                    "reason": entry.reason,
                    "hash": entry.hash,
                    "chain": entry.chain,
                    "length": entry.length,
                    "raw": entry.raw,
                    "received_ns": entry.received_ns,
                }
                for entry in plan.quarantined
            ],
        )
    for entry in plan.epochs:
        connection.execute(SQL["retire_epochs"], {"edge": entry.edge})
        connection.execute(SQL["enter_epoch"], epoch_parameters(entry))
    many(
        SQL["set_mark"],
        [
            {"edge": edge, "epoch": bytes.fromhex(epoch), "lane": lane, "through": mark.through, "chain": mark.chain}
            for (edge, epoch, lane), mark in plan.marks.items()
        ],
    )
    many(
        SQL["add_tally"],
        [
            {"edge": edge, "lane": lane, "name": name, "value": value}
            for (edge, lane, name), value in plan.tallies.items()
        ],
    )
