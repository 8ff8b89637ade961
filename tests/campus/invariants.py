"""What must hold when everything is at rest, each one a function that gives the sentences in which it is broken."""

from collections.abc import Iterator

from aggregator.ledger import Ledger, LedgerRow
from tests.campus.box import Box
from tests.campus.office import Office
from tests.campus.truth import Truth, serial_of
from wire.records import Gap, decode_record
from wire.topics import CAMPUS_NODE, LANES, Lane

SHOWN = 5
GIVEN_UP = frozenset({Lane.S, Lane.T})


def nothing_lost(truth: Truth, boxes: list[Box]) -> Iterator[str]:
    """What a maker was told it may forget is in the ledger; states and telemetry too, unless a card ran full."""
    ran_full = any(depth.dropped for box in boxes for depth in box.depths.values())
    missing = truth.missing(GIVEN_UP if ran_full else frozenset())
    for serial in missing[:SHOWN]:
        made = truth.made[serial]
        cards = [place for place, serials in truth.on_card.items() if serial in serials]
        yield f"lost: {made}, promised at {truth.promised[serial]:.3f} s, accepted on {cards} ({len(missing)} in all)"


def nothing_doubled(truth: Truth, office: Office) -> Iterator[str]:
    """One row per record, by the observer's serial, by event id and by the device's own number."""
    seen: dict[object, int] = {}
    for row in office.rows:
        assert row.body is not None
        serial = serial_of(decode_record(row.body))
        keys: list[object] = [("event", row.event_id)]
        if serial is not None:
            keys.append(("serial", serial))
        if row.source_no is not None:
            keys.append(("source", row.device_id, row.source_epoch, row.source_no))
            keys.append(("print", row.device_id, row.source_no, row.fingerprint))
        for key in keys:
            if key in seen:
                yield f"doubled: {key} at positions {seen[key]} and {row.position}"
            seen[key] = row.position


def only_what_was_accepted(truth: Truth, office: Office) -> Iterator[str]:
    """Each row of a box stands under a number which that box gave to it, and to nothing else of that history."""
    for row in office.rows:
        if row.edge == CAMPUS_NODE or row.kind == "gap":
            continue
        given = truth.numbers.get((row.edge, row.epoch, row.lane, row.seq), set())
        if row.event_id not in given:
            yield f"{row.edge} {row.lane} {row.seq} holds {row.event_id}, the box had {given}"


async def lanes_without_unexplained_holes(ledger: Ledger, office: Office, edges: list[str]) -> tuple[list[str], int]:
    """Every number of every lane is there, in order, chained; what is not is covered by a GAP. Also counts lanes."""
    broken, lanes = [], 0
    for edge in [*edges, CAMPUS_NODE]:
        epochs = {row.epoch for row in office.rows if row.edge == edge} | {e.epoch for e in await ledger.epochs(edge)}
        for epoch in sorted(epochs):
            for lane in LANES:
                report = await ledger.verify_chain(edge, epoch, lane)
                lanes += 1
                if report.fault:
                    broken.append(f"{edge} {epoch[:8]} {lane}: {report.fault}")
    return broken, lanes


def lanes_in_order_of_acceptance(truth: Truth, office: Office) -> Iterator[str]:
    """Within a history, higher numbers have higher positions; and who waits for each answer is heard in order."""
    last_position: dict[tuple[str, str, Lane], tuple[int, int]] = {}
    last_serial: dict[tuple[str, str, Lane, str], int] = {}
    for row in office.rows:
        key = (row.edge, row.epoch, row.lane)
        seq, through = last_position.get(key, (0, 0))
        if row.seq <= through:
            yield f"{key}: number {row.seq} at position {row.position} comes after {seq}..{through}"
        last_position[key] = (row.seq, row.through)
        assert row.body is not None
        serial = serial_of(decode_record(row.body))
        made = truth.made.get(serial or 0)
        if made is None or not made.stop_and_wait or made.clash:
            continue
        if last_serial.get((*key, made.maker), 0) > made.serial:
            yield f"{key}: {made.maker}'s record {made.serial} comes after {last_serial[*key, made.maker]}"
        last_serial[*key, made.maker] = made.serial


def what_was_given_up_is_accounted_for(truth: Truth, office: Office, box: Box) -> Iterator[str]:
    """In a history that nobody changed: records that are not in the ledger, the box's counters of what it dropped, and
    the GAPs at the campus are three times the same number. Only telemetry and superseded states are ever given up.
    """
    store = box.store
    if store is None or store.previous_epoch is not None or box.edge in truth.history_changed:
        return
    stood = {row.event_id for row in office.rows}
    for lane in LANES:
        given = [
            ids
            for (edge, epoch, of, _), ids in truth.numbers.items()
            if (edge, epoch, of) == (box.edge, store.epoch, lane)
        ]
        gone = sum(not any(truth.stands(event_id, stood) for event_id in ids) for ids in given)
        counted = sum(box.depths[lane].dropped.values())
        told = sum(_gap(row).count for row in office.rows if (row.edge, row.lane, row.kind) == (box.edge, lane, "gap"))
        if not gone == counted == told or (gone and lane not in GIVEN_UP):
            yield f"{box.place} {lane}: {gone} records are gone, counted are {counted}, GAPs stand for {told}"
    for (edge, epoch, device), event_id in truth.latest_state.items():
        if (edge, epoch) == (box.edge, store.epoch) and not truth.stands(event_id, stood):
            yield f"the latest state of {device} was given up"


def conflicts_raise_an_alarm(truth: Truth, office: Office) -> Iterator[str]:
    """In histories that nobody changed: each record kept out because its number was taken has its alarm, once."""
    if truth.history_changed:
        return
    alarms = sum(row.topic == "Delivery/Conflict" for row in office.rows)
    told = sum(truth.made[serial].clash for serial in truth.promised)
    clashes = sum(made.clash for made in truth.made.values())
    if not told <= alarms <= clashes:
        yield f"{told} of {clashes} records with a taken number were accepted, {alarms} alarms were raised"


def _gap(row: LedgerRow) -> Gap:
    assert row.body is not None
    gap = decode_record(row.body)
    assert isinstance(gap, Gap)
    return gap
