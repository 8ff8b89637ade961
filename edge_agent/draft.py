"""A record before its birth: everything that the device said, nothing that the box adds.

`translate` is pure and so cannot know when a record is accepted or which random bits name it. It makes a draft;
intake gives it id and stamp in the moment of the append.
"""

from typing import Final

import msgspec

from wire.clock import ClockState, Stamp
from wire.records import ClockMark, Event, Outcome, Reading

# Both are outside of what the device owns, so `wire.records.fingerprint` of a draft is that of its record.
NO_ID: Final = "0" * 32
NO_STAMP: Final = Stamp(wall_ns=0, mono_ns=0, boot_id="0" * 32, clock=ClockState.UNSYNCED, error_ms=0)


class Draft(msgspec.Struct, frozen=True):
    """A record whose stamp is NO_STAMP and whose id is NO_ID, unless it follows from another fact (wire.derived_id)."""

    record: Event | Reading | Outcome | ClockMark

    def stamped(self, event_id: str, stamp: Stamp) -> Event | Reading | Outcome | ClockMark:
        """The record itself. event_id: 32 hex digits, see wire.identity."""
        return msgspec.structs.replace(self.record, id=event_id, stamp=stamp)
