"""What the outbox takes, gives and refuses with. What there is one of for every record is a struct."""

from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

import msgspec

from wire.records import Record
from wire.topics import Lane

HOUR_S: Final = 3600
DAY_S: Final = 24 * HOUR_S
MIB: Final = 1024 * 1024


class OutboxError(Exception):
    """The outbox cannot do what it was asked to."""


class OutboxGone(OutboxError):
    """The disk failed under a write or a read. Nothing further is accepted by this store: after a failed flush the
    kernel may forget what it could not write, so a later success would prove nothing. End the process and start again.
    """


class OutboxDamaged(OutboxGone):
    """Stored bytes are not what was written. The next open sets the file aside and saves what can be verified."""


class OutboxRefused(OutboxError):
    """The file cannot be used as it must; a person has to act. The text names the file and the reason."""


class OutboxBusy(OutboxRefused):
    """Another process has this outbox open."""


class Entry(msgspec.Struct, frozen=True):
    """What intake hands over. body: encode_record(record); record has its id and stamp."""

    record: Record
    body: bytes


class Fate(StrEnum):
    """What became of an entry. Only REFUSED means that the device must keep its record."""

    STORED = "stored"
    REPEAT = "repeat"  # already stored; the device may be told so
    CONFLICT = "conflict"  # its number is taken by other content; kept in quarantine, an alarm was stored instead
    REFUSED = "refused"  # the lane is full


class Appended(msgspec.Struct, frozen=True):
    """The answer to one entry. seq: 0 unless stored."""

    fate: Fate
    lane: Lane
    seq: int
    event_id: str


class Row(msgspec.Struct, frozen=True):
    """One record of a lane as it goes up. through: seq, or for a GAP record the last number it stands for.

    chain: the lane's chain at through.
    """

    seq: int
    through: int
    body: bytes
    chain: bytes


class Pressure(IntEnum):
    """How full the outbox is, in percent of its quota, and what that makes it do."""

    CALM = 0
    WARN = 70
    TRIM = 80  # acknowledged records older than a day go
    THIN = 85  # of telemetry one record in ten stays
    DROP_TELEMETRY = 90  # oldest first
    DROP_STATES = 94  # all but the latest of each device
    REFUSE = 97  # doors, states and telemetry are not accepted; alarms and money use the reserve


@dataclass(frozen=True, slots=True)
class Maintenance:
    """What one step of `maintain` did. more: call again soon, there may be further work.

    trimmed: acknowledged rows forgotten. thinned, dropped: unacknowledged ones given up, each explained by a GAP
    record. expired: quarantined frames forgotten. pages_freed: given back to the file system.
    """

    pressure: Pressure
    used_bytes: int
    trimmed: int = 0
    thinned: int = 0
    dropped: int = 0
    expired: int = 0
    pages_freed: int = 0
    more: bool = False


@dataclass(frozen=True, slots=True)
class Quarantined:
    """A frame that made no sense. head: redacted, at most 512 bytes; sha256: of the whole frame, hex; length: its
    bytes; wall_ns: when it came.
    """

    device: str
    reason: str
    wall_ns: int
    head: bytes
    sha256: str
    length: int


@dataclass(frozen=True, slots=True)
class Recovery:
    """What was saved from a damaged file. missing: unacknowledged records known to be gone, by lane; None when nobody
    can know, because the counters were lost too. set_aside: name of the damaged file beside the new one, "" if there
    was none left to keep.
    """

    cause: str
    set_aside: str
    salvaged: dict[Lane, int]
    missing: dict[Lane, int] | None


@dataclass(frozen=True, slots=True)
class OutboxLimits:
    """Quotas and retention.

    bytes_max: live bytes of the file, to which the percentages of Pressure refer. reserve_bytes: what alarms and money
    may use beyond it; more than three write-ahead logs, so that eviction itself has room to work.
    retention_s: how long A, M, D, S stay after their acknowledgement, in running time of the box; pressed_s: the same
    under pressure, where that is less. telemetry_bytes_max: bodies of lane T kept beyond acknowledgement.
    in_flight_rows: that many unacknowledged rows at the head of a lane are never thinned or dropped, because they may
    be on their way and nobody could say which side of the cut they fell on.
    check_rows: at start the chain of at most that many rows per lane is recomputed, the newest.
    """

    bytes_max: int = 256 * MIB
    reserve_bytes: int = 16 * MIB
    retention_s: int = 7 * DAY_S
    pressed_s: int = DAY_S
    telemetry_bytes_max: int = 64 * MIB
    in_flight_rows: int = 1000
    check_rows: int = 20_000
    chunk_rows: int = 200
    thin_keep_one_in: int = 10
    quarantine_s: int = 7 * DAY_S
    quarantine_rows_max: int = 2000
    wal_pages: int = 1000
    slack_pages: int = 256
    mark_interval_s: int = HOUR_S

    def __post_init__(self) -> None:
        """Raises ValueError when a limit could never work."""
        if self.bytes_max < 1 or self.reserve_bytes < 0 or self.retention_s < 0 or self.chunk_rows < 2:
            raise ValueError(f"outbox limits make no sense: {self}")

    def pressure(self, used_bytes: int) -> Pressure:
        """The level that a number of live bytes means."""
        percent = used_bytes * 100 // self.bytes_max
        return max(level for level in Pressure if level <= percent)
