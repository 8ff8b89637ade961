"""What the readers' tables say, at one moment: everything, or what changed after the moment before."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

from aggregator.alarms import Alarm
from aggregator.alarms.reader import SQL as ALARMS_SQL
from aggregator.alarms.reader import alarm_of
from aggregator.readers.base import SQL as READERS_SQL
from aggregator.storage import Database

Row = Mapping[str, Any]

READERS: Final = ("alarms", "doors", "registry")
ALARMS_OPEN_MAX: Final = 2000
ALARMS_AT_ONCE: Final = 1000
RESOLVED_KEPT: Final = 200
NOWHERE: Final[Mapping[str, int]] = dict.fromkeys(READERS, -1)


class Tables(NamedTuple):
    """positions: of the three readers. alarms: open ones and, after the beginning, those that were resolved. whole:
    nothing was left for the next look.
    """

    positions: Mapping[str, int]
    doors: Sequence[Row]
    minutes: Sequence[Row]
    devices: Sequence[Row]
    edges: Mapping[str, int]
    alarms: Sequence[Alarm]
    whole: bool


async def read_tables(db: Database, after: Mapping[str, int], since_minute: int) -> Tables:
    """What changed after the readers stood at `after`; NOWHERE for everything. Raises sqlite3.Error, OSError.

    since_minute: passages before it are not asked for.
    """
    begin = after is NOWHERE
    async with db.read() as connection:

        async def rows(statement: str, **params: object) -> list[Row]:
            return [dict(row) for row in await connection.execute_fetchall(statement, params)]

        # One transaction sees one moment.
        await connection.execute("BEGIN")
        try:
            positions = {row["reader"]: row["position"] for row in await rows(READERS_SQL["positions_of"])}
            doors = await rows(READERS_SQL["changed_doors"], after=after["doors"])
            minutes = await rows(READERS_SQL["changed_minutes"], after=after["doors"], since=since_minute)
            devices = await rows(READERS_SQL["changed_devices"], after=after["registry"])
            edges = {row["edge"]: row["last_received_ns"] for row in await rows(READERS_SQL["known_edges"])}
            if begin:
                found = await connection.execute_fetchall(ALARMS_SQL["last_resolved"], {"limit": RESOLVED_KEPT})
                opened = await connection.execute_fetchall(ALARMS_SQL["open_alarms"], {"limit": ALARMS_OPEN_MAX})
                alarms = [alarm_of(row) for row in [*reversed(list(found)), *opened]]
            else:
                changed = {"after": after["alarms"], "limit": ALARMS_AT_ONCE}
                found = await connection.execute_fetchall(ALARMS_SQL["changed_alarms"], changed)
                alarms = [alarm_of(row) for row in found]
        finally:
            await asyncio.shield(connection.rollback())
    stood = {name: positions.get(name, 0) for name in READERS}
    whole = begin or len(alarms) < ALARMS_AT_ONCE
    if not whole:
        stood["alarms"] = min(stood["alarms"], alarms[-1].changed)
    return Tables(stood, doors, minutes, devices, edges, alarms, whole)
