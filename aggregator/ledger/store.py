"""The ledger in an SQLite file. Every statement stands in `statements.sql`, every rule in `plan`.

A transaction reads through `_SqliteView`, plans and writes, all on the database's one writing thread, so that what
the plan saw is still true when it is written. What was committed last is kept in memory: all who follow the ledger ask
for the same rows a moment later.
"""

import sqlite3
from collections.abc import Callable, Collection, Sequence
from typing import Final, Self, TypeVar

from aggregator.ledger import query
from aggregator.ledger.base import HeadSignal
from aggregator.ledger.plan import Planner
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
    Refusal,
    Tally,
)
from aggregator.ledger.verify import ChainChecker, ChainReport, Link
from aggregator.ledger.view import KnownEvent, KnownSource, Plan, SourceId
from aggregator.storage import Database, Statements
from wire.clock import ClockState, Stamp
from wire.records import Record
from wire.topics import CAMPUS_NODE, LANES, Lane

T = TypeVar("T")

PACKAGE: Final = "aggregator.ledger"
SQL: Final = Statements.load(PACKAGE)
_LINKS_AT_ONCE: Final = 1000
TAIL_ROWS: Final = 2000


class SqliteLedger:
    """Implements Ledger on a Database that was opened with `aggregator.ledger` among its packages."""

    def __init__(self, db: Database, campus_id: str, campus_epoch: str, head: int) -> None:
        """Not for callers; see `open`."""
        self._db = db
        self._campus_id = campus_id
        self._campus_epoch = campus_epoch
        self._signal = HeadSignal(head)
        self._tail = _Tail()

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
        def transact(connection: sqlite3.Connection) -> tuple[T, Plan]:
            planner = Planner(
                _SqliteView(connection),
                campus_id=self._campus_id,
                campus_epoch=self._campus_epoch,
                received=received,
            )
            result = decide(planner)
            _carry_out(connection, planner.plan)
            return result, planner.plan

        result, plan = await self._db.write(transact)
        self._tail.add(plan.rows)
        self._signal.move(plan.head)
        return result, plan.head

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
        return [_epoch(row) for row in await self._fetch(SQL["epochs"], {"edge": edge})]

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
        return [_row(row) for row in await self._fetch(SQL["rows_after"], {"after": after, "limit": limit})]

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
            return [_row(row) for row in await connection.execute_fetchall(sql, parameters)]

    async def event(self, event_id: str) -> LedgerRow | None:
        """See Ledger."""
        rows = await self._fetch(SQL["row_of_event"], {"event_id": bytes.fromhex(event_id)})
        return _row(rows[0]) if rows else None

    async def verify_chain(self, edge: str, epoch: str, lane: Lane) -> ChainReport:
        """See Ledger."""
        stream: dict[str, object] = {"edge": edge, "epoch": bytes.fromhex(epoch), "lane": lane}
        mark = (await self.watermarks(edge, epoch))[lane]
        checker = ChainChecker()
        # The lane may grow while it is walked; what came after the mark was read is not looked at.
        while checker.through < mark.through:
            rows = await self._fetch(SQL["links"], {**stream, "after": checker.through, "limit": _LINKS_AT_ONCE})
            if not rows or not all(checker.feed(_link(row)) for row in rows if row["seq"] <= mark.through):
                break
        return checker.end(mark)

    async def quarantined(self, limit: int) -> list[Quarantined]:
        """See Ledger."""
        return [_quarantined(row) for row in await self._fetch(SQL["quarantined"], {"limit": limit})]

    async def tallies(self) -> list[Tally]:
        """See Ledger."""
        rows = await self._fetch(SQL["tallies"], {})
        return [Tally(row["edge"], Lane(row["lane"]), row["name"], row["value"]) for row in rows]

    async def _fetch(self, sql: str, parameters: dict[str, object]) -> list[sqlite3.Row]:
        async with self._db.read() as connection:
            return list(await connection.execute_fetchall(sql, parameters))


class _Tail:
    """The rows that this process committed last, without a hole. Another one may write, too; then it begins anew."""

    def __init__(self) -> None:
        self._rows: list[LedgerRow] = []

    def add(self, rows: Sequence[LedgerRow]) -> None:
        """Rows of one commit, in order."""
        if not rows:
            return
        if self._rows and rows[0].position != self._rows[-1].position + 1:
            self._rows = []
        self._rows.extend(rows)
        if len(self._rows) >= 2 * TAIL_ROWS:
            del self._rows[:-TAIL_ROWS]

    def after(self, position: int, limit: int) -> list[LedgerRow]:
        """Up to limit rows after a position; none where that is not known here."""
        if not self._rows or position + 1 < self._rows[0].position:
            return []
        start = position + 1 - self._rows[0].position
        return self._rows[start : start + limit]

    def clear(self) -> None:
        """What it knows is no longer so."""
        self._rows = []


class _SqliteView:
    """Implements View on the writing connection, inside a transaction."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def head(self) -> int:
        return int(self._connection.execute(SQL["head"]).fetchone()[0])

    def mark(self, edge: str, epoch: str, lane: Lane) -> Mark | None:
        key = {"edge": edge, "epoch": bytes.fromhex(epoch), "lane": lane}
        row = self._connection.execute(SQL["mark"], key).fetchone()
        return Mark(row[0], row[1]) if row else None

    def events(self, ids: Collection[str]) -> dict[str, KnownEvent]:
        execute, sql, known = self._connection.execute, SQL["event_known"], {}
        for event_id in ids:
            row = execute(sql, {"event_id": bytes.fromhex(event_id)}).fetchone()
            if row is not None:
                known[event_id] = KnownEvent(row[0], row[1])
        return known

    def sources(self, keys: Collection[SourceId]) -> dict[SourceId, list[KnownSource]]:
        execute, sql, known = self._connection.execute, SQL["sources_known"], {}
        for key in keys:
            rows = execute(sql, {"device_id": key[0], "source_no": key[1]}).fetchall()
            if rows:
                known[key] = [KnownSource(row[0], row[1], row[2], row[3]) for row in rows]
        return known

    def series_max(self, device_id: str, start_ns: int, end_ns: int) -> int | None:
        key = {"device_id": device_id, "start_ns": start_ns, "end_ns": end_ns}
        highest: int | None = self._connection.execute(SQL["series_max"], key).fetchone()[0]
        return highest

    def epochs(self, edge: str) -> list[EdgeEpoch]:
        return [_epoch(row) for row in self._connection.execute(SQL["epochs"], {"edge": edge})]

    def chain_at(self, edge: str, epoch: str, lane: Lane, seq: int) -> bytes | None:
        key = {"edge": edge, "epoch": bytes.fromhex(epoch), "lane": lane, "seq": seq}
        row = self._connection.execute(SQL["chain_at"], key).fetchone()
        return bytes(row[1]) if row and row[0] == seq else None


def _carry_out(connection: sqlite3.Connection, plan: Plan) -> None:
    many = connection.executemany
    if plan.rows:
        many(SQL["insert_row"], [_row_parameters(row) for row in plan.rows])
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
        connection.execute(SQL["enter_epoch"], _epoch_parameters(entry))
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


def _row_parameters(row: LedgerRow) -> dict[str, object]:
    return {
        "position": row.position,
        "campus_id": row.campus_id,
        "edge": row.edge,
        "epoch": bytes.fromhex(row.epoch),
        "lane": row.lane.value,
        "seq": row.seq,
        "through": row.through,
        "event_id": bytes.fromhex(row.event_id),
        "device_id": row.device_id,
        "kind": row.kind,
        "topic": row.topic,
        "source_epoch": row.source_epoch,
        "source_no": row.source_no,
        "fingerprint": row.fingerprint,
        "occurred_ns": row.occurred_ns,
        "received_ns": row.received_ns,
        "stamp_ns": row.stamp_ns,
        "mono_ns": row.mono_ns,
        "boot_id": bytes.fromhex(row.boot_id),
        "clock": row.clock.value,
        "error_ms": row.error_ms,
        "age_ns": row.age_ns,
        "historical": int(row.historical),
        "series_time_ns": row.series_time_ns,
        "hash": row.hash,
        "chain": row.chain,
        "body": row.body,
    }


def _row(row: sqlite3.Row) -> LedgerRow:
    given = dict(row)
    given["epoch"] = row["epoch"].hex()
    given["lane"] = Lane(row["lane"])
    given["event_id"] = row["event_id"].hex()
    given["boot_id"] = row["boot_id"].hex()
    given["clock"] = ClockState(row["clock"])
    given["historical"] = bool(row["historical"])
    return LedgerRow(**given)


def _epoch_parameters(entry: EdgeEpoch) -> dict[str, object]:
    return {
        "edge": entry.edge,
        "epoch": bytes.fromhex(entry.epoch),
        "first_seen_ns": entry.first_seen_ns,
        "previous": bytes.fromhex(entry.previous) if entry.previous else None,
        "reason": entry.reason,
        "current": int(entry.current),
    }


def _epoch(row: sqlite3.Row) -> EdgeEpoch:
    return EdgeEpoch(
        edge=row["edge"],
        epoch=row["epoch"].hex(),
        first_seen_ns=row["first_seen_ns"],
        previous=row["previous"].hex() if row["previous"] else None,
        reason=row["reason"],
        current=bool(row["current"]),
    )


def _link(row: sqlite3.Row) -> Link:
    return Link(row["seq"], row["through"], row["hash"], row["chain"], bool(row["gap"]), row["body"])


def _quarantined(row: sqlite3.Row) -> Quarantined:
    given = dict(row)
    given |= {"epoch": row["epoch"].hex(), "lane": Lane(row["lane"]), "reason": Refusal(row["reason"])}
    return Quarantined(**given)
