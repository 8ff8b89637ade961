"""What could not be understood, kept on the box for a person who looks for a fault.

Only a head of at most 512 bytes, made unfit to tell who passed a door (edge_agent.redact), with the hash and length of
the whole. Kept for seven days or until newer ones need the room; never sent anywhere.
"""

import sqlite3
from typing import Final

from edge_agent.outbox.core import Core
from edge_agent.outbox.model import Quarantined
from edge_agent.redact import redact
from wire.clock import NS_PER_S
from wire.identity import record_hash

_INSERT: Final = (
    "INSERT INTO quarantine (device, reason, wall_ns, run_ns, head, sha256, length) VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_MAKE_ROOM: Final = "DELETE FROM quarantine WHERE id <= (SELECT max(id) FROM quarantine) - ?"
_EXPIRED: Final = (
    "DELETE FROM quarantine WHERE id IN (SELECT id FROM quarantine WHERE run_ns < ? OR wall_ns < ? LIMIT ?)"
)
_ALL: Final = "SELECT device, reason, wall_ns, head, sha256, length FROM quarantine ORDER BY id"

TEXT_MAX: Final = 256


def put_in_quarantine(core: Core, device: str, reason: str, raw: bytes, harmless: frozenset[str]) -> None:
    """Keep a frame, inside the caller's transaction. harmless: see edge_agent.redact."""
    row = (
        device[:TEXT_MAX],
        reason[:TEXT_MAX],
        core.clock.wall_ns(),
        core.run_ns(),
        redact(raw, harmless),
        record_hash(raw),
        len(raw),
    )
    core.connection.execute(_INSERT, row)
    core.connection.execute(_MAKE_ROOM, (core.limits.quarantine_rows_max,))


def expire_quarantine(core: Core) -> int:
    """Forget what is older than its time, by the wall clock or by running time, whichever says so first.

    Forgetting early after a step of the wall clock does no harm; keeping longer would.
    """
    age_ns = core.limits.quarantine_s * NS_PER_S
    limits = (core.run_ns() - age_ns, core.clock.wall_ns() - age_ns, core.limits.chunk_rows)
    (due,) = core.connection.execute(
        "SELECT EXISTS (SELECT 1 FROM quarantine WHERE run_ns < ? OR wall_ns < ?)", limits[:2]
    ).fetchone()
    if not due:
        return 0
    with core.transaction():
        return core.connection.execute(_EXPIRED, limits).rowcount


def list_quarantine(core: Core) -> list[Quarantined]:
    """Everything in quarantine, oldest first."""
    with core.reading() as connection:
        return read_quarantine(connection)


def read_quarantine(connection: sqlite3.Connection) -> list[Quarantined]:
    """The same over any connection. Raises sqlite3.Error."""
    rows = connection.execute(_ALL).fetchall()
    return [
        Quarantined(device, reason, wall_ns, head, sha256.hex(), length)
        for device, reason, wall_ns, head, sha256, length in rows
    ]
