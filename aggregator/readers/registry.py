"""The first reader: which boxes and devices there are, how they are, when they were last heard of."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from aggregator.ledger import LedgerRow, record_of
from aggregator.readers.base import SQL, Reader
from wire.records import Event
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
        heard = _Heard()
        for row in rows:
            if row.edge != CAMPUS_NODE:
                heard.add(row)
            meant = row.topic in (_OF_CAMPUS if row.edge == CAMPUS_NODE else _MEANINGS)
            event = record_of(row) if meant else None
            if isinstance(event, Event):
                # What it changes must be there, as it was before this row.
                heard.write(connection)
                if row.edge == CAMPUS_NODE:
                    params = {"edge": event.values.get("edge"), "event_id": event.id}
                    connection.execute(SQL[_OF_CAMPUS[row.topic](event)], params)
                else:
                    _MEANINGS[row.topic](connection, row, event)
        heard.write(connection)

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


class _Heard:
    """Of whom was heard, and not written yet: one line for each box and device, however many its records are."""

    def __init__(self) -> None:
        self._edges: dict[str, _Tally] = {}
        self._devices: dict[str, _Tally] = {}

    def add(self, row: LedgerRow) -> None:
        """A record of a box."""
        _count(self._edges, row.edge, row)
        if row.device_id != row.edge:
            _count(self._devices, row.device_id, row)

    def write(self, connection: sqlite3.Connection) -> None:
        """Everything so far."""
        connection.executemany(SQL["touch_edge"], map(_parameters, self._edges.values()))
        connection.executemany(SQL["touch_device"], map(_parameters, self._devices.values()))
        self._edges.clear()
        self._devices.clear()


@dataclass(slots=True)
class _Tally:
    """How many records of one box or device there were, the first of them and the last."""

    first: LedgerRow
    last: LedgerRow
    records: int = 1


def _count(heard: dict[str, _Tally], name: str, row: LedgerRow) -> None:
    tally = heard.get(name)
    if tally is None:
        heard[name] = _Tally(row, row)
    else:
        tally.last = row
        tally.records += 1


def _parameters(tally: _Tally) -> dict[str, Any]:
    row = tally.last
    return {
        "edge": row.edge,
        "epoch": row.epoch,
        "device_id": row.device_id,
        "first_position": tally.first.position,
        "position": row.position,
        "received_ns": row.received_ns,
        "occurred_ns": row.occurred_ns,
        "topic": row.topic,
        "records": tally.records,
    }


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
