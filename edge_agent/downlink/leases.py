"""The leases of one box: who may command it, until when. Pure; times are nanoseconds of its monotonic clock.

    issued --10 s--> run out --every use untaken or ended--> settled, and told to the campus

A lease belongs to one session with the campus and to one run of this process: `void` forgets them all, and what is not
known is not obeyed. Between running out and being told as settled a late command is still answered (`expired`); after
that it is dropped without a word, because the campus may already have written down how it ended.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from wire.clock import NS_PER_S
from wire.commands import LEASE_USES, LEASE_VALID_S, Lease, LeaseUse

# Settled leases are told again for so long, because a heartbeat can be lost.
TOLD_AGAIN_S: Final = 60


class Refusal(StrEnum):
    """Why a use of a lease gives no right. DROPPED: and no outcome may be written."""

    DROPPED = "dropped"
    EXPIRED = "expired_lease"
    USED = "used_lease"


@dataclass(slots=True)
class _Issued:
    until_ns: int
    uses: dict[int, str] = field(default_factory=dict)
    open: int = 0
    told_until_ns: int = 0


class LeaseBook:
    """See the module. Holds at most those of the last 70 s."""

    def __init__(self, random: Callable[[int], bytes]) -> None:
        self._random = random
        self._issued: dict[str, _Issued] = {}

    def issue(self, now_ns: int) -> Lease:
        """A fresh lease, for the next heartbeat."""
        lease = Lease(id=self._random(16).hex())
        self._issued[lease.id] = _Issued(now_ns + LEASE_VALID_S * NS_PER_S)
        return lease

    def void(self) -> None:
        """The session is over, and with it every lease of it."""
        self._issued.clear()

    def take(self, use: LeaseUse, command_id: str, now_ns: int) -> Refusal | None:
        """Use up one use; None when it gives the right to act. Whatever but DROPPED comes back must be `ended`."""
        issued = self._issued.get(use.lease)
        if issued is None or issued.told_until_ns or not 0 <= use.use < LEASE_USES:
            return Refusal.DROPPED
        if issued.uses.get(use.use) == command_id:
            # The same frame once more: whoever came first ends it.
            return Refusal.DROPPED
        issued.open += 1
        if use.use in issued.uses:
            return Refusal.USED
        issued.uses[use.use] = command_id
        return Refusal.EXPIRED if now_ns >= issued.until_ns else None

    def deadline_ns(self, use: LeaseUse) -> int | None:
        """Until when the lease gives the right to act; None when it is void."""
        issued = self._issued.get(use.lease)
        return None if issued is None else issued.until_ns

    def ended(self, use: LeaseUse) -> None:
        """The outcome of one that was taken is on disk."""
        issued = self._issued.get(use.lease)
        if issued is not None:
            issued.open -= 1

    def settled(self, now_ns: int) -> tuple[str, ...]:
        """The leases to tell as settled, oldest first. Nothing is taken under them from now on."""
        told = []
        for lease_id, issued in list(self._issued.items()):
            if issued.told_until_ns and now_ns >= issued.told_until_ns:
                del self._issued[lease_id]
            elif now_ns >= issued.until_ns and not issued.open:
                issued.told_until_ns = issued.told_until_ns or now_ns + TOLD_AGAIN_S * NS_PER_S
                told.append(lease_id)
        return tuple(told)
