"""A device's own numbers: which record is new, which is the same again, which only pretends to be.

A device that numbers its records sends one again until it hears "got it". It may also be reset and count from the start
again, or be replaced by another of the same name. So a number alone proves nothing: what counts is the fingerprint of
the fields the device owns, and, where the content differs, whether the device's own clock has gone on.

    same fingerprint under this number, in any epoch           repeat
    number not above the highest, device's clock later         its count restarted: next epoch, store
    number taken in this epoch, device's clock later           its count restarted: next epoch, store
    number taken in this epoch                                 conflict
    otherwise                                                  store

Numbers made of the content (wire.identity.CONTENT_SPACE) come in no order, so no count can have restarted. What is left
are two contents that happen to share a number:

    same fingerprint under this number, in any epoch           repeat
    number taken in this epoch, another device time            next epoch, store
    number taken in this epoch, same time or none              conflict
    otherwise                                                  store

A backlog sent after newer records has lower numbers *and* earlier times, so it is stored, not taken for a restart.
A device that counts its kinds of records apart is judged in each space of numbers for itself (wire.identity.source_no).
"""

from collections.abc import Sequence
from enum import Enum
from typing import Final, NamedTuple

import msgspec

from edge_agent.outbox.book import Space
from wire.clock import NS_PER_S, ClockState, Stamp
from wire.identity import is_ordered
from wire.records import Event, Reading, Record, decode_record, fingerprint

EPOCH_MAX: Final = 2**31 - 1


class Known(NamedTuple):
    """A kept record with the number in question. wall_ns: the device's own time of it, None when it gave none."""

    epoch: int
    print: bytes
    wall_ns: int | None = None


class Verdict(Enum):
    """What a device's record is."""

    STORE = 1
    RESTART = 2
    REPEAT = 3
    CONFLICT = 4


def judge(space: Space, record_no: int, print_: bytes, wall_ns: int | None, known: Sequence[Known]) -> Verdict:
    """See the module. wall_ns: the device's own time of the record, None when it gave none that can be read."""
    if known and any(one.print == print_ for one in known):
        return Verdict.REPEAT
    if not is_ordered(record_no):
        return _judge_unordered(wall_ns, [one.wall_ns for one in known if one.epoch == space.epoch])
    if record_no <= space.max_no and _is_later(wall_ns, space.max_wall_ns):
        return Verdict.RESTART
    taken = [one for one in known if one.epoch == space.epoch]
    if not taken:
        return Verdict.STORE
    # Nobody gives one number twice in one count. A reset device that sends its newest record first is known only by
    # this: that record stood above the highest and looked like the old count going on.
    return Verdict.RESTART if all(_is_later(wall_ns, one.wall_ns) for one in taken) else Verdict.CONFLICT


def _judge_unordered(wall_ns: int | None, taken_ns: Sequence[int | None]) -> Verdict:
    if not taken_ns:
        return Verdict.STORE
    return Verdict.CONFLICT if wall_ns is None or wall_ns in taken_ns else Verdict.RESTART


def _is_later(wall_ns: int | None, than_ns: int | None) -> bool:
    return wall_ns is not None and than_ns is not None and wall_ns > than_ns


def after(space: Space, record_no: int, wall_ns: int | None, *, restarted: bool) -> Space:
    """How far the device has counted once the record is stored."""
    top_no = max(space.top_no, record_no)
    if not is_ordered(record_no):
        moved = restarted or top_no != space.top_no
        return Space(epoch=space.epoch + restarted, top_no=top_no) if moved else space
    if restarted:
        return Space(epoch=space.epoch + 1, max_no=record_no, max_wall_ns=wall_ns, top_no=top_no)
    if record_no > space.max_no:
        return Space(epoch=space.epoch, max_no=record_no, max_wall_ns=wall_ns, top_no=top_no)
    return space


def device_wall_ns(record: Event | Reading) -> int | None:
    """The device's own time of a record, in UTC."""
    return record.device_time.wall_ns if isinstance(record, Event) and record.device_time else None


def stored_wall_ns(body: bytes) -> int | None:
    """The device's own time of a stored record."""
    record = decode_record(body)
    return device_wall_ns(record) if isinstance(record, Event | Reading) else None


def with_epoch(record: Event | Reading, epoch: int) -> Event | Reading:
    """The record filed under an epoch of its device's count."""
    source = record.source
    if source is None or source.epoch == epoch:
        return record
    return msgspec.structs.replace(record, source=msgspec.structs.replace(source, epoch=epoch))


def same_content(one: Record, other: Record) -> bool:
    """Whether two records are the same thing said twice by a device."""
    if not (isinstance(one, Event | Reading) and isinstance(other, Event | Reading)):
        return False
    return fingerprint(one) == fingerprint(other)


def first_epoch(stamp: Stamp, random_30_bits: int, beyond: int) -> int:
    """Where device epochs begin in a file that replaces a damaged one, so that no key is used twice.

    Minutes since 1970, and above every epoch that was found (beyond). A box that does not know the time draws lots
    from a range that minutes reach in the year 4011.
    """
    if stamp.clock is ClockState.UNSYNCED:
        return min(max(1 << 30 | random_30_bits & (1 << 30) - 1, beyond + 1), EPOCH_MAX)
    return min(max(stamp.wall_ns // (60 * NS_PER_S), beyond + 1), EPOCH_MAX)
