"""Checking that a lane still is what its box sent: no number missing, no body changed.

A link is a number (or the range of a GAP) with its hash and the chain after it. A blanked body has nothing left to
compare, but its hash still carries the chain. A GAP is not chained over: the lane goes on from the chain it names.
"""

from typing import NamedTuple

from aggregator.ledger.rows import START, Mark
from wire.identity import chain_next, record_hash


class Link(NamedTuple):
    """What one entry of a lane contributes to its chain. body: absent when blanked or kept elsewhere."""

    seq: int
    through: int
    hash: bytes
    chain: bytes
    gap: bool
    body: bytes | None


class ChainReport(NamedTuple):
    """checked_through: the last number that is as it was sent. fault: what is wrong after it, empty if nothing is."""

    checked_through: int
    fault: str = ""


class ChainChecker:
    """Feed it the links of one lane in order, then `end` with the lane's mark. After a fault it stays with it."""

    def __init__(self) -> None:
        self._mark = START
        self._fault = ""

    @property
    def through(self) -> int:
        """The last number that was checked."""
        return self._mark.through

    def feed(self, link: Link) -> bool:
        """Whether the link follows."""
        expected = self._mark.through + 1
        if self._fault:
            return False
        if link.seq != expected:
            self._fault = f"number {expected} is missing"
        elif link.body is not None and record_hash(link.body) != link.hash:
            self._fault = f"the body of number {expected} was changed"
        elif not link.gap and chain_next(self._mark.chain, link.hash) != link.chain:
            self._fault = f"the chain breaks at number {expected}"
        else:
            self._mark = Mark(link.through, link.chain)
        return not self._fault

    def end(self, mark: Mark) -> ChainReport:
        """The report, once every link was fed. mark: where the ledger says the lane stands."""
        if not self._fault and self._mark != mark:
            self._fault = f"the lane is marked {mark.through} and ends at {self._mark.through}"
        return ChainReport(self._mark.through, self._fault)
