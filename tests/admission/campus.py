"""The campus's side for tests: an Admission that can be killed, over a ledger that survives it."""

from collections import defaultdict
from collections.abc import Awaitable, Callable

from aggregator.admission import Admission, EnrolledEdge, GroupLimits
from aggregator.ledger import AdmissionGroup, AdmissionResult, Ledger, LedgerRow
from tests.admission.box import CAMPUS, Box, welcome
from tests.support.clock import VirtualClock
from wire.delivery import Welcome
from wire.records import Event, decode_record
from wire.topics import CAMPUS_NODE, LANES

Backup = Callable[[], Awaitable[Ledger]]


class Faulty:
    """A ledger whose commits fail when told to: `before` them, or `after` them (done, but nobody hears)."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.fail_before: Exception | None = None
        self.fail_after: Exception | None = None
        self.groups: list[AdmissionGroup] = []

    def __getattr__(self, name: str):
        return getattr(self._ledger, name)

    async def commit(self, group: AdmissionGroup) -> AdmissionResult:
        self.groups.append(group)
        if self.fail_before is not None:
            raise self.fail_before
        result = await self._ledger.commit(group)
        if self.fail_after is not None:
            raise self.fail_after
        return result


class Campus:
    """Admission with a table of enrolled boxes. `restart` is a kill: sessions are gone, the ledger is not."""

    def __init__(self, ledger: Ledger, clock: VirtualClock, limits: GroupLimits | None = None) -> None:
        self.ledger = Faulty(ledger)
        self.clock = clock
        self.limits = limits or GroupLimits(linger_s=0.001)
        self.boxes: dict[str, EnrolledEdge] = {}
        self.heard: list[tuple[str, str]] = []
        self.restart()

    def restart(self, ledger: Ledger | None = None) -> None:
        if ledger is not None:
            self.ledger = Faulty(ledger)
        self.admission = Admission(
            self.ledger,
            campus=CAMPUS,
            clock=self.clock,
            enrolled=self._enrolled,
            on_hello=lambda edge, _hello, _ns: self.heard.append((edge, "hello")),
            on_heartbeat=lambda edge, _beat, _ns: self.heard.append((edge, "heartbeat")),
            limits=self.limits,
        )

    async def _enrolled(self, edge: str) -> EnrolledEdge | None:
        return self.boxes.get(edge)

    def enrol(self, *boxes: Box) -> None:
        for box in boxes:
            self.boxes[box.edge] = box.enrolled()

    async def greet(self, box: Box, **fields) -> Welcome:
        return welcome(await self.admission.receive(*box.hello(**fields)))

    async def rows(self, edge: str | None = None) -> list[LedgerRow]:
        rows = await self.ledger.read(0, 100_000)
        return [row for row in rows if edge is None or row.edge == edge]

    async def alarms(self) -> list[Event]:
        """What the campus itself said on lane A."""
        return [decode_record(row.body) for row in await self.rows(CAMPUS_NODE) if row.lane == "A"]

    async def check_lanes(self, *boxes: Box) -> None:
        """Every lane of every box: links without a hole, and its rows in order of position."""
        by_lane = defaultdict(list)
        for row in await self.rows():
            by_lane[row.edge, row.epoch, row.lane].append(row.seq)
        assert all(seqs == sorted(seqs) for seqs in by_lane.values())
        for box in boxes:
            for epoch in await self.ledger.epochs(box.edge):
                for lane in LANES:
                    assert (await self.ledger.verify_chain(box.edge, epoch.epoch, lane)).fault == ""
