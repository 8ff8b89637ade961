"""A look into an outbox from outside, also while the agent that owns it runs. Reads only; heals nothing."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

from edge_agent.outbox.check import Damage, load_book, refuse_newer
from edge_agent.outbox.connection import BUSY_TIMEOUT_S
from edge_agent.outbox.counters import lane_depth, lane_state
from edge_agent.outbox.files import Files
from edge_agent.outbox.model import OutboxDamaged, OutboxRefused, Quarantined
from edge_agent.outbox.quarantine import read_quarantine
from wire.clock import Stamp
from wire.delivery import LaneDepth, LaneState
from wire.topics import LANES, Lane


@dataclass(frozen=True, slots=True)
class Survey:
    """What an outbox holds. file_bytes: of the database and its log; damaged_sets: names of files set aside earlier.

    tally: see OutboxStore.tally, as of the last commit.
    """

    edge: str
    epoch: str
    previous_epoch: str | None
    fork_reason: str
    states: dict[Lane, LaneState]
    depths: dict[Lane, LaneDepth]
    tally: dict[str, int]
    quarantined: list[Quarantined]
    file_bytes: int
    damaged_sets: list[str]


def survey(path: Path, now: Stamp) -> Survey:
    """Look into an outbox. now: what ages are measured against.

    Raises FileNotFoundError when there is none, OutboxRefused when it cannot be read, OutboxDamaged when it has to be
    healed, which the agent does when it starts.
    """
    if not path.exists():
        raise FileNotFoundError(path)
    files = Files(path)
    try:
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None
        )
        try:
            # One read transaction, so that book and rows are of the same moment.
            connection.execute("BEGIN")
            refuse_newer(connection, path.name)
            book = load_book(connection)
            return Survey(
                edge=book.edge,
                epoch=book.epoch,
                previous_epoch=book.previous_epoch,
                fork_reason=book.fork_reason,
                states={lane: lane_state(book.lanes[lane]) for lane in LANES},
                depths={lane: lane_depth(connection, lane, book.lanes[lane], now) for lane in LANES},
                tally=book.tally,
                quarantined=read_quarantine(connection),
                file_bytes=sum(file.stat().st_size for file in (path, files.wal) if file.exists()),
                damaged_sets=[files.set_name(number) for number in files.sets()],
            )
        finally:
            connection.close()
    except (Damage, ValueError) as error:
        raise OutboxDamaged(f"{path}: {error}") from None
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise OutboxDamaged(f"{path}: {error}") from None
        raise OutboxRefused(f"{path}: {error}") from None
