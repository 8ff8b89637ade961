"""The reader that keeps the alarms. Rows become changes of alarms in memory, and each alarm is written once a batch."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from typing import Any, Final

from aggregator.alarms.alarm import Alarm, Moment, State, ended, raised, stepped
from aggregator.alarms.denials import DENIED, NOBODY_TRIED, counted
from aggregator.alarms.facts import TRANSITION, step_of
from aggregator.alarms.rules import TOPICS, Signal, signals_of
from aggregator.ledger import Ledger, LedgerRow, record_of
from aggregator.readers import Reader
from aggregator.storage import Database, Statements
from wire.records import Event
from wire.topics import CAMPUS_NODE

SQL: Final = Statements.load("aggregator.alarms")
OPENED, REOPENED = "opened", "reopened"
_COLUMNS: Final = tuple(field.name for field in fields(Alarm))


class AlarmReader(Reader):
    """See the package."""

    name = "alarms"

    def __init__(self, ledger: Ledger, db: Database) -> None:
        """db: views.sqlite with the tables of this package."""
        super().__init__(ledger, db)
        self._view = db

    def apply(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        """See Reader."""
        book = _Book(connection)
        for row in rows:
            refusal = row.topic.startswith(DENIED)
            event = record_of(row) if refusal or row.topic in TOPICS or row.topic == TRANSITION else None
            if not isinstance(event, Event):
                continue
            if refusal:
                book.refused(row, event)
            elif row.topic != TRANSITION:
                for signal in signals_of(row, event):
                    book.told(signal, _moment(row, event))
            elif row.edge == CAMPUS_NODE:
                book.stepped(row, event)
        book.close()

    def clear(self, connection: sqlite3.Connection) -> None:
        """See Reader."""
        connection.execute(SQL["clear_alarms"])
        connection.execute(SQL["clear_steps"])
        connection.execute(SQL["clear_denials"])

    # --- questions ------------------------------------------------------------------------------------

    async def alarm(self, alarm_id: str) -> Alarm | None:
        """One alarm, or None."""
        rows = await self._ask("alarm", {"id": alarm_id})
        return alarm_of(rows[0]) if rows else None

    async def steps(self, alarm_id: str) -> list[dict[str, Any]]:
        """What happened to an alarm, oldest first: step, at_ns, operator, cause, note."""
        return [dict(row) for row in await self._ask("steps", {"alarm": alarm_id})]

    async def page(
        self, states: Sequence[State], *, beyond: tuple[int, str] | None = None, limit: int = 100
    ) -> list[Alarm]:
        """Newest first. states: one to three of them. beyond: (opened, id) of the last alarm of the page before."""
        first, second, third = (states[min(index, len(states) - 1)] for index in range(3))
        opened, alarm_id = beyond or (2**63 - 1, "")
        params = {"first": first, "second": second, "third": third, "opened": opened, "id": alarm_id, "limit": limit}
        return [alarm_of(row) for row in await self._ask("page", params)]

    async def open_counts(self) -> dict[tuple[str, State], int]:
        """How many alarms are not resolved, by kind and state; what there is none of is left out."""
        return {(row["kind"], State(row["state"])): row["alarms"] for row in await self._ask("open_counts", {})}

    async def _ask(self, statement: str, params: Mapping[str, object]) -> list[sqlite3.Row]:
        async with self._view.read() as connection:
            return list(await connection.execute_fetchall(SQL[statement], dict(params)))


class _Book:
    """The alarms that one batch of rows touches."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._alarms: dict[str, Alarm] = {}
        self._last: dict[tuple[str, str], str | None] = {}
        self._changed: set[str] = set()
        self._steps: list[dict[str, object]] = []
        self._denials: dict[str, list[int]] = {}

    def told(self, signal: Signal, at: Moment) -> None:
        """A source said something."""
        before = self._last_of(signal.kind, signal.source)
        if signal.raises:
            after = raised(before, signal, at)
            self._last[signal.kind, signal.source] = after.id
            if before is None or before.id != after.id:
                self._note(after.id, at.position, OPENED, at.received_ns)
            elif before.round != after.round:
                self._note(after.id, at.position, REOPENED, at.received_ns)
        elif before is not None:
            after = ended(before, signal, at)
        else:
            return
        if after is not before:
            self._keep(after)

    def refused(self, row: LedgerRow, event: Event) -> None:
        """Somebody was not let in. Old news of it is no sign that somebody is at the door."""
        moment = _moment(row, event)
        if moment.quiet or event.reason == NOBODY_TRIED:
            return
        source = row.device_id
        if source not in self._denials:
            known = self._connection.execute(SQL["denials"], {"source": source}).fetchone()
            self._denials[source] = [] if known is None else json.loads(known["moments"])
        self._denials[source], too_many = counted(self._denials[source], row.occurred_ns)
        if too_many:
            self.told(Signal("repeated_denials", row.device_id, True, None), moment)  # noqa: FBT003  a NamedTuple

    def stepped(self, row: LedgerRow, event: Event) -> None:
        """Somebody did something."""
        alarm, step = self._alarm(str(event.values.get("alarm", ""))), step_of(row, event.values)
        if alarm is None or step is None:
            return
        after = stepped(alarm, step)
        if after is not alarm:
            self._keep(after)
            said = {"operator": step.operator, "cause": step.cause, "note": step.note}
            self._note(alarm.id, step.position, step.state, step.at_ns, **said)

    def close(self) -> None:
        """Write what changed."""
        many = self._connection.executemany
        if self._changed:
            many(SQL["set_alarm"], (_parameters(self._alarms[alarm_id]) for alarm_id in sorted(self._changed)))
        if self._steps:
            many(SQL["add_step"], self._steps)
        if self._denials:
            many(
                SQL["set_denials"],
                [{"source": source, "moments": json.dumps(at)} for source, at in self._denials.items()],
            )

    def _last_of(self, kind: str, source: str) -> Alarm | None:
        key = (kind, source)
        if key not in self._last:
            row = self._connection.execute(SQL["last_of_source"], {"kind": kind, "source": source}).fetchone()
            self._last[key] = None if row is None else self._take(row).id
        known = self._last[key]
        return None if known is None else self._alarms[known]

    def _alarm(self, alarm_id: str) -> Alarm | None:
        if alarm_id not in self._alarms:
            row = self._connection.execute(SQL["alarm"], {"id": alarm_id}).fetchone()
            if row is None:
                return None
            self._take(row)
        return self._alarms[alarm_id]

    def _take(self, row: sqlite3.Row) -> Alarm:
        # What this batch made of it stands above what was read.
        return self._alarms.setdefault(row["id"], alarm_of(row))

    def _keep(self, alarm: Alarm) -> None:
        self._alarms[alarm.id] = alarm
        self._changed.add(alarm.id)

    def _note(self, alarm_id: str, position: int, step: str, at_ns: int, **said: str) -> None:
        nothing = {"operator": "", "cause": "", "note": ""}
        self._steps.append({"alarm": alarm_id, "position": position, "step": step, "at_ns": at_ns, **nothing, **said})


def _moment(row: LedgerRow, event: Event) -> Moment:
    quiet = row.historical or event.initialized or event.replayed
    return Moment(row.position, row.event_id, row.occurred_ns, row.received_ns, quiet, event.initialized)


def alarm_of(row: sqlite3.Row) -> Alarm:
    """An alarm from its row."""
    given = dict(row)
    given |= {
        "state": State(row["state"]),
        "historical": bool(row["historical"]),
        "conditions": tuple(json.loads(row["conditions"])),
    }
    return Alarm(**given)


def _parameters(alarm: Alarm) -> dict[str, object]:
    params: dict[str, object] = dict(_values(alarm))
    return params | {"historical": int(alarm.historical), "conditions": json.dumps(alarm.conditions)}


def _values(alarm: Alarm) -> Iterator[tuple[str, object]]:
    for name in _COLUMNS:
        yield name, getattr(alarm, name)
