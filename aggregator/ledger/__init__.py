"""The ledger: every record of a campus once, in the order of its position. Everything downstream reads from here."""

from aggregator.ledger.base import Ledger
from aggregator.ledger.rows import (
    START,
    AdmissionGroup,
    AdmissionResult,
    Arrival,
    EdgeEpoch,
    Fate,
    Filter,
    LedgerRow,
    Mark,
    OpenEpoch,
    Opening,
    Quarantined,
    Refusal,
    Run,
    RunResult,
    Standing,
    Tally,
    record_of,
)
from aggregator.ledger.store import SqliteLedger
from aggregator.ledger.twin import MemoryLedger
from aggregator.ledger.verify import ChainReport

__all__ = [
    "START",
    "AdmissionGroup",
    "AdmissionResult",
    "Arrival",
    "ChainReport",
    "EdgeEpoch",
    "Fate",
    "Filter",
    "Ledger",
    "LedgerRow",
    "Mark",
    "MemoryLedger",
    "OpenEpoch",
    "Opening",
    "Quarantined",
    "Refusal",
    "Run",
    "RunResult",
    "SqliteLedger",
    "Standing",
    "Tally",
    "record_of",
]
