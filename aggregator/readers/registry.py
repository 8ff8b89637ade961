"""The first reader: which boxes and devices there are, how they are, when they were last heard of."""

import sqlite3
from collections.abc import Sequence
from typing import Any, Final

from aggregator.ledger import LedgerRow
from aggregator.readers.base import SQL, Reader
from wire.records import Event, decode_record
from wire.topics import CAMPUS_NODE

_DESCRIBED: Final = (
    "profile",
    "device_class",
    "systems",
    "protocol",
    "contract",
    "display_name",
    "display_name_en",
    "place",
)


class Registry(Reader):
    """Boxes and devices."""

    name = "registry"

    def apply(self, connection: sqlite3.Connection, rows: Sequence[LedgerRow]) -> None:
        """See Reader."""
        for row in rows:
            if row.edge == CAMPUS_NODE:
                self._campus_fact(connection, row)
                continue
            seen = {
                "edge": row.edge,
                "epoch": row.epoch,
                "device_id": row.device_id,
                "position": row.position,
                "received_ns": row.received_ns,
                "occurred_ns": row.occurred_ns,
                "topic": row.topic,
                "records": 1,
            }
            connection.execute(SQL["touch_edge"], seen)
            if row.device_id != row.edge:
                connection.execute(SQL["touch_device"], seen)
            if row.topic in _MEANINGS and row.body is not None:
                event = decode_record(row.body)
                if isinstance(event, Event):
                    _MEANINGS[row.topic](connection, row, event)

    def clear(self, connection: sqlite3.Connection) -> None:
        """See Reader."""
        connection.execute(SQL["clear_edges"])
        connection.execute(SQL["clear_devices"])

    async def edges(self) -> list[dict[str, Any]]:
        """All boxes that ever delivered."""
        return await self._fetch("edges")

    async def devices(self) -> list[dict[str, Any]]:
        """All devices that boxes announced or spoke for."""
        return await self._fetch("devices")

    async def _fetch(self, name: str) -> list[dict[str, Any]]:
        async with self._db.read() as connection, connection.execute(SQL[name]) as cursor:
            return [dict(row) for row in await cursor.fetchall()]

    def _campus_fact(self, connection: sqlite3.Connection, row: LedgerRow) -> None:
        if row.topic not in _OF_CAMPUS or row.body is None:
            return
        event = decode_record(row.body)
        if isinstance(event, Event):
            params = {"edge": event.values.get("edge"), "event_id": event.id}
            connection.execute(SQL[_OF_CAMPUS[row.topic](event)], params)


def _born(connection: sqlite3.Connection, row: LedgerRow, event: Event) -> None:
    connection.execute(SQL["edge_born"], {"edge": row.edge, "software": str(event.values.get("software", ""))})


def _described(connection: sqlite3.Connection, row: LedgerRow, event: Event) -> None:
    params: dict[str, Any] = {name: str(event.values.get(name, "")) for name in _DESCRIBED}
    liveness = event.values.get("liveness_s", 0)
    params |= {"device_id": row.device_id, "liveness_s": liveness if isinstance(liveness, int) else 0}
    connection.execute(SQL["describe_device"], params)


def _operating(connection: sqlite3.Connection, row: LedgerRow, event: Event) -> None:
    state = str(event.values.get("state", "UNKNOWN"))
    params = {"device_id": row.device_id, "state": state, "received_ns": row.received_ns}
    connection.execute(SQL["device_state"], params)


def _silence(event: Event) -> str:
    return "edge_silent" if event.values.get("state") == "silent" else "edge_heard"


_OF_CAMPUS: Final = {
    "Delivery/EpochForked": lambda _event: "edge_forked",
    "EdgeNode/State/Silence": _silence,
}
_MEANINGS: Final = {
    "EdgeNode/State/Birth": _born,
    "Device/State/Info": _described,
    "Device/State/Operating": _operating,
}
