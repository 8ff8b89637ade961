"""Runs of a box into a ledger."""

from aggregator.admission.decode import read_run
from aggregator.ledger import AdmissionGroup, AdmissionResult, Ledger, Run
from tests.admission.box import Box
from tests.support.clock import VirtualClock
from wire.codec import decode_batch
from wire.topics import Lane


def run_of(box: Box, lane: Lane, after: int = 0, count: int = 500) -> Run:
    return read_run(box.edge, *decode_batch(box.batch(lane, after, count)[1]))


async def deliver(ledger: Ledger, *runs: Run, clock: VirtualClock) -> AdmissionResult:
    return await ledger.commit(AdmissionGroup(runs, clock.stamp()))


async def positions_of(ledger: Ledger) -> list[tuple[int, str]]:
    return [(row.position, row.event_id) for row in await ledger.read(0, 1000)]
