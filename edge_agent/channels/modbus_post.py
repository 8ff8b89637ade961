"""What turns have brought, on its way to the disk, while the line goes on.

With MAILBOX_MAX letters waiting nobody is asked. What only tells of measured values waits COMPANY_S for that of the
units after it, because a commit costs as much as what is in it; whatever something follows from goes at once, and takes
along what waits.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from edge_agent.channels.modbus_station import Station
from edge_agent.channels.reception import Parcel, Reception
from edge_agent.message import Message
from edge_agent.wakeup import Signal
from wire.clock import Stamp
from wire.records import Value

MAILBOX_MAX: Final = 256
TOGETHER: Final = 64
COMPANY_S: Final = 0.2


@dataclass(frozen=True, slots=True)
class Letter:
    """What one turn has to tell."""

    station: Station
    parcel: Parcel
    received: Stamp
    states: Sequence[Message]
    measured: Sequence[Value]

    @property
    def hurries(self) -> bool:
        """Whether it tells of more than measured values."""
        return bool(self.states) or self.parcel.change is not None


class Post:
    """See the module. One task delivers."""

    def __init__(self, reception: Reception) -> None:
        self._reception = reception
        self._letters: deque[Letter] = deque()
        self._in_flight = 0
        self._hurries = False
        self._called = Signal()
        self._room = Signal()

    @property
    def waiting(self) -> int:
        """Letters that are not committed yet."""
        return len(self._letters) + self._in_flight

    async def room(self) -> None:
        """Return when one more may come."""
        while len(self._letters) >= MAILBOX_MAX:
            await self._room.wait()

    def post(self, letter: Letter) -> None:
        """Take one on its way."""
        self._letters.append(letter)
        self._hurries = self._hurries or letter.hurries
        if self._hurries or len(self._letters) in {1, TOGETHER}:
            self._called.tell()

    async def deliver(self) -> None:
        """Until cancelled."""
        while True:
            while not self._letters:
                await self._called.wait()
            if not self._hurries and len(self._letters) < TOGETHER:
                await self._called.wait(COMPANY_S)
            await self._commit()

    async def _commit(self) -> None:
        letters = [self._letters.popleft() for _ in range(min(TOGETHER, len(self._letters)))]
        self._hurries = any(letter.hurries for letter in self._letters)
        self._in_flight = len(letters)
        try:
            kept = await self._reception.settle_each([(letter.parcel, letter.received) for letter in letters])
        finally:
            self._in_flight = 0
        for letter, is_kept in zip(letters, kept, strict=True):
            if not is_kept:
                letter.station.forget(letter.states, letter.measured)
        self._room.tell()
