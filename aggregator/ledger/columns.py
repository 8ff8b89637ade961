"""Between Python's values and SQLite's columns: ids in hex are blobs there, truth values numbers."""

import sqlite3
from typing import Final

from aggregator.ledger.rows import EdgeEpoch, LedgerRow, Quarantined, Refusal
from aggregator.ledger.verify import Link
from aggregator.storage import Statements
from wire.clock import ClockState
from wire.topics import Lane

_INSERT_ROW, _COLUMNS = Statements.load("aggregator.ledger").in_order("insert_row")
INSERT_ROW: Final = _INSERT_ROW

ADD_BLOCK: Final = Statements.load("aggregator.ledger").in_order("add_block")[0]

# The fields of a row are the columns of its table, in one order everywhere.
if LedgerRow.__struct_fields__ != _COLUMNS:
    raise TypeError("aggregator.ledger.rows and statements.sql name other columns")


def values_of(row: LedgerRow) -> tuple[object, ...]:
    """The parameters of INSERT_ROW.

    Blobs as bytearray: sqlite3 binds that as it is, while for bytes it first searches for an adapter, which for the
    seven of a row takes as long as two indexes.
    """
    blob, from_hex = bytearray, bytearray.fromhex
    return (
        row.position,
        row.campus_id,
        row.edge,
        from_hex(row.epoch),
        row.lane.value,
        row.seq,
        row.through,
        from_hex(row.event_id),
        row.device_id,
        row.kind,
        row.topic,
        row.source_epoch,
        row.source_no,
        None if row.fingerprint is None else blob(row.fingerprint),
        row.occurred_ns,
        row.received_ns,
        row.stamp_ns,
        row.mono_ns,
        from_hex(row.boot_id),
        row.clock.value,
        row.error_ms,
        row.age_ns,
        int(row.historical),
        row.series_time_ns,
        blob(row.hash),
        blob(row.chain),
        None if row.body is None else blob(row.body),
    )


def row_of(row: sqlite3.Row) -> LedgerRow:
    """A row of the table."""
    # Not dict(row): that searches the columns by name, for every one of them.
    given = dict(zip(row.keys(), row, strict=True))
    given["epoch"] = given["epoch"].hex()
    given["lane"] = Lane(given["lane"])
    given["event_id"] = given["event_id"].hex()
    given["boot_id"] = given["boot_id"].hex()
    given["clock"] = ClockState(given["clock"])
    given["historical"] = bool(given["historical"])
    return LedgerRow(**given)


def epoch_parameters(entry: EdgeEpoch) -> dict[str, object]:
    """The parameters of `enter_epoch`."""
    return {
        "edge": entry.edge,
        "epoch": bytes.fromhex(entry.epoch),
        "first_seen_ns": entry.first_seen_ns,
        "previous": bytes.fromhex(entry.previous) if entry.previous else None,
        "reason": entry.reason,
        "current": int(entry.current),
    }


def epoch_of(row: sqlite3.Row) -> EdgeEpoch:
    """A row of `edge_epochs`."""
    return EdgeEpoch(
        edge=row["edge"],
        epoch=row["epoch"].hex(),
        first_seen_ns=row["first_seen_ns"],
        previous=row["previous"].hex() if row["previous"] else None,
        reason=row["reason"],
        current=bool(row["current"]),
    )


def link_of(row: sqlite3.Row) -> Link:
    """A row of `links`."""
    return Link(row["seq"], row["through"], row["hash"], row["chain"], bool(row["gap"]), row["body"])


def quarantined_of(row: sqlite3.Row) -> Quarantined:
    """A row of `quarantine`."""
    given = dict(row)
    given |= {"epoch": row["epoch"].hex(), "lane": Lane(row["lane"]), "reason": Refusal(row["reason"])}
    return Quarantined(**given)
