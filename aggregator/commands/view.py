"""The reader that says how every command stands: requested -> taken -> settled, with exactly one result.

A record of a box counts only for devices of that box. The first end stands; one that says something else is counted,
shown, and changes nothing.
"""

import json
import sqlite3
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aggregator.commands.facts import REQUESTED, SETTLED, TAKEN, arguments_of
from aggregator.ledger import Ledger, LedgerRow, record_of
from aggregator.readers import Reader
from aggregator.storage import Database, Statements
from wire.records import Event, Outcome
from wire.topics import CAMPUS_NODE

SQL: Final = Statements.load("aggregator.commands")


class CommandView(Reader):
    """See the module."""

    name = "commands"

    def __init__(self, ledger: Ledger, db: Database) -> None:
        """db: views.sqlite with the tables of this package."""
        super().__init__(ledger, db)
        self._view = db

    def apply(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        """See Reader."""
        for row in rows:
            if row.kind == "outcome":
                record = record_of(row)
                if isinstance(record, Outcome):
                    end = {"edge": row.edge, "command_id": record.command_id, "result": record.result}
                    _end(connection, {**end, "end_reason": record.reason, "end_ns": row.received_ns})
            elif row.topic in {REQUESTED, TAKEN, SETTLED}:
                record = record_of(row)
                if isinstance(record, Event):
                    self._event(connection, row, record)

    def _event(self, connection: sqlite3.Connection, row: LedgerRow, event: Event) -> None:
        values = event.values
        command_id = str(values.get("command_id", ""))
        if row.topic == TAKEN:
            connection.execute(SQL["taken"], {"command_id": command_id, "edge": row.edge})
        elif row.edge == CAMPUS_NODE and row.topic == SETTLED:
            edge = str(values.get("device", "")).partition("/")[0]
            end = {"edge": edge, "command_id": command_id, "result": str(values.get("result", ""))}
            _end(connection, {**end, "end_reason": event.reason, "end_ns": row.received_ns})
        elif row.edge == CAMPUS_NODE:
            device = str(values.get("device", ""))
            params: dict[str, Any] = {
                name: str(values.get(name, ""))
                for name in ("group_id", "name", "operator", "reason", "lease", "session", "epoch")
            }
            params |= {
                "command_id": command_id,
                "position": row.position,
                "device": device,
                "edge": device.partition("/")[0],
                "arguments": json.dumps(arguments_of(values)),
                "asked_ns": row.stamp_ns,
            }
            connection.execute(SQL["asked"], params)

    def clear(self, connection: sqlite3.Connection) -> None:
        """See Reader."""
        connection.execute(SQL["clear_commands"])

    # --- questions ------------------------------------------------------------------------------------

    async def command(self, command_id: str) -> dict[str, Any] | None:
        """One command, or None."""
        rows = await self._ask("command", {"command_id": command_id})
        return rows[0] if rows else None

    async def open_of(self, edge: str) -> list[dict[str, Any]]:
        """What was asked of a box and is not known to be taken; at most 1000, oldest first."""
        return await self._ask("open_of_edge", {"edge": edge})

    async def page(
        self, *, before: int, limit: int, device: str = "", state: str = "", group_id: str = ""
    ) -> list[dict[str, Any]]:
        """Newest first, below a position."""
        params = {"before": before, "limit": limit, "device": device, "state": state, "group_id": group_id}
        return await self._ask("page", params)

    async def _ask(self, statement: str, params: Mapping[str, object]) -> list[dict[str, Any]]:
        async with self._view.read() as connection, connection.execute(SQL[statement], dict(params)) as cursor:
            return [dict(row) for row in await cursor.fetchall()]


def _end(connection: sqlite3.Connection, params: Mapping[str, object]) -> None:
    if connection.execute(SQL["ended"], dict(params)).rowcount == 0:
        connection.execute(SQL["contradicted"], dict(params))
