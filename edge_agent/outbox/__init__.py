"""The outbox: the box's one durable log, between what devices say and what the campus has committed.

Promise. What `append` returned as STORED is on disk and stays, over a kill and over a power cut, until the campus has
committed it and a week has passed. What cannot be kept is refused before a device is told anything. What must be given
up is counted and explained in the lane itself. A damaged file heals itself and says what it lost.

Layout. One SQLite file, WAL with synchronous=FULL (connection.py), one row per record (schema.sql), one document with
all heads and counters (book.py) that is written by the same commit as the rows it counts. Five lanes, each its own
gap-free numbering and its own chain of hashes, so that two sides can compare a whole history by sixteen bytes. Numbers
are worth something only within an epoch; a record's id and bytes outlive it.

Written by append.py, one transaction per group. Read by store.py, every row verified against the chain on its way out.
Forgotten by evict.py: after acknowledgement by age, under pressure by a fixed order, in small steps. Numbered anew by
renumber.py when the campus does not recognise our history. Checked at every start by check.py; if that fails, carve.py
finds what verifies and salvage.py makes a new file of it (opening.py, files.py).

Is: the only place where a record waits. Is not: a queue for other parts of the box, a place for people's data (only
pseudonyms come here), or something a person ever has to repair or delete.

One thread owns the store (facade.py is its face to the event loop). Time, randomness and, for a simulation, the
connection itself are arguments.
"""

from edge_agent.outbox.facade import Hop, InlineHop, Outbox, ThreadHop, open_outbox
from edge_agent.outbox.inspection import Survey, survey
from edge_agent.outbox.interrupted import outcome_id, taken_id
from edge_agent.outbox.model import (
    Appended,
    Entry,
    Fate,
    Maintenance,
    OutboxBusy,
    OutboxDamaged,
    OutboxError,
    OutboxGone,
    OutboxLimits,
    OutboxRefused,
    Pressure,
    Quarantined,
    Recovery,
    Row,
)
from edge_agent.outbox.store import OutboxStore

__all__ = [
    "Appended",
    "Entry",
    "Fate",
    "Hop",
    "InlineHop",
    "Maintenance",
    "Outbox",
    "OutboxBusy",
    "OutboxDamaged",
    "OutboxError",
    "OutboxGone",
    "OutboxLimits",
    "OutboxRefused",
    "OutboxStore",
    "Pressure",
    "Quarantined",
    "Recovery",
    "Row",
    "Survey",
    "ThreadHop",
    "open_outbox",
    "outcome_id",
    "survey",
    "taken_id",
]
