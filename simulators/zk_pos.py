"""A ZKTeco canteen terminal (CM102): the device's side of `/iclock/cpos`, as a state machine without socket and clock.

Every sale gets the next machine number (RecNo), without holes, and takes its amount off the card that was held to the
terminal; the card's purse is in the card. A sale is taken back with a row of its own (State 9). Rows are kept until the
answer is OK. The options say up to which number the other side has everything (PosLogStampId): the terminal sends what
is above it, acknowledged or not. Its poll says its highest number.

A terminal may believe of a row that it has been sent although it has not (`forgets`): that makes a hole on the other
side, and only `SYNC POSLOG START= END=` brings the row out.

Source: 消费PUSH通讯协议（中控智慧）V1.0-20181225. Amounts are fen.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from simulators.device import Kept, Moment
from simulators.iclock_device import BAD_PARAMETER, IclockDevice

POS: Final = "pos"
SALE: Final = 0
REVERSAL: Final = 9
_SYNC: Final = re.compile(r"SYNC POSLOG START=(\d{1,10}) END=(\d{1,10})\Z")


@dataclass(slots=True)
class Purse:
    """A card. number: as printed; balance_fen: what is on it; movements: its own count."""

    number: str
    balance_fen: int = 10_000
    movements: int = 0


class ZkPos(IclockDevice):
    """One terminal. Feed it with cards."""

    forgets = 0.0

    def _reset(self) -> None:
        super()._reset()
        self._forgotten: set[int] = getattr(self, "_forgotten", set())

    # --- the world --------------------------------------------------------------------------------------

    def sell(self, purse: Purse, amount_fen: int, now: Moment, who: int | None = None) -> Kept | None:
        """A meal. None when there is no power, or not enough on the card: such a try leaves no row."""
        if not self.powered or purse.balance_fen < amount_fen:
            return None
        purse.balance_fen -= amount_fen
        return self._move(purse, amount_fen, SALE, now, who)

    def take_back(self, purse: Purse, amount_fen: int, now: Moment, who: int | None = None) -> Kept | None:
        """A sale was wrong."""
        if not self.powered:
            return None
        purse.balance_fen += amount_fen
        return self._move(purse, amount_fen, REVERSAL, now, who)

    def _move(self, purse: Purse, amount_fen: int, state: int, now: Moment, who: int | None) -> Kept:
        purse.movements += 1
        fields: dict[str, object] = {
            "card": purse.number,
            "amount": amount_fen,
            "balance": purse.balance_fen,
            "card_seq": purse.movements,
            "state": state,
        }
        record = self._keep(POS, who, str(state), fields, now)
        if self._chance.random() < self.forgets:
            self._forgotten.add(record.key.number)
        return record

    def highest(self) -> int:
        """The number of the newest row."""
        return max((record.key.number for record in self.memory.between(0, float("inf"))), default=0)

    # --- the wire ---------------------------------------------------------------------------------------

    def _base(self, endpoint: str) -> str:
        return f"/iclock/{endpoint}?SN={self.config.serial}"

    def _hello_target(self) -> str:
        return f"{self._base('cpos')}&options=all&deviceName=CM102&device_type=30&IsConsumeFunType=3&pushver=4.0.1"

    def _poll_target(self) -> str:
        return f"{self._base('posrequest')}&type=pos&devno={self.highest()}"

    def _rows_target(self, records: Sequence[Kept]) -> str:
        stamp, number = ("", 0) if not records else (records[-1].device_time, records[-1].key.number)
        return f"{self._base('cpos')}&table=BUYLOG&Stamp={stamp.replace(' ', 'T')}&StampId={number}"

    def _target(self, what: str) -> str:
        del what
        return self._base("posdevicecmd")

    def _row(self, record: Kept) -> str:
        fields = record.fields
        cells = ("1", fields["card"], record.device_time, fields["amount"], fields["balance"], fields["card_seq"])
        day = record.device_time[:10]
        return "\t".join(map(str, (*cells, fields["state"], "2", day, record.key.number, "1")))

    def _sends(self, record: Kept) -> bool:
        return record.key.number not in self._forgotten

    def _heard_options(self) -> None:
        try:
            above = int(self._options.get("PosLogStampId", "0"))
        except ValueError:
            above = 0
        held = self.memory.between(0, float("inf"))
        self._again.clear()
        self._replay([one for one in held if one.key.number > above and self._sends(one)])

    def _carry_out(self, text: str) -> int | None:
        if text in {"CHECK ALL", "CHECK OPTION"}:
            self._greeted = False
            return 0
        if text in {"CHECK POSLOG", "INFO"}:
            return 0
        sync = _SYNC.match(text)
        if sync is None:
            return None
        first, last = int(sync[1]), int(sync[2])
        if first > last:
            return BAD_PARAMETER
        found = [one for one in self.memory.between(0, float("inf")) if first <= one.key.number <= last]
        self._forgotten -= {one.key.number for one in found}
        return self._replay(found)
