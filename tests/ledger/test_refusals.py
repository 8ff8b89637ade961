"""What both ledgers do with what is no new record: repeats, conflicts, bytes that make no sense, gaps."""

import json

import msgspec
import pytest

from aggregator.admission.decode import read_run
from aggregator.ledger import (
    Ledger,
    Refusal,
)
from aggregator.ledger.plan import OCCURRED_MAX
from tests.admission.box import ALARM, DENIED, Box, Stored
from tests.ledger.runs import deliver, positions_of, run_of
from tests.support.clock import VirtualClock
from wire.codec import decode_batch
from wire.identity import CONTENT_SPACE, SourceKey, record_hash, source_no
from wire.records import DeviceTime, decode_record, encode_record
from wire.topics import CAMPUS_NODE, Lane

# --- repeats and conflicts


async def test_an_event_id_comes_in_once(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(*[box.event() for _ in range(3)])
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    box.fork()
    box.put(box.event())
    result = await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert result.runs[0].mark.through == 4
    assert [row.seq for row in await ledger.read(0, 100)] == [1, 2, 3, 4]
    assert ("gate-1", Lane.D, "repeat", 3) in await ledger.tallies()
    assert (await ledger.verify_chain("gate-1", box.epoch, Lane.D)) == (4, "")


async def test_a_repeat_within_one_group_is_seen(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    event = box.event(record_no=5)
    box.put(event, event, box.event(record_no=5, stamp=clock.stamp()))
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert [row.event_id for row in await ledger.read(0, 100)] == [event.id]
    assert (await ledger.verify_chain("gate-1", box.epoch, Lane.D)) == (3, "")


@pytest.mark.parametrize("source_epoch", [0, 29_803_680])
async def test_a_device_record_comes_in_once_in_any_device_epoch(
    ledger: Ledger, clock: VirtualClock, source_epoch: int
) -> None:
    box = Box()
    first = box.event(record_no=41, values={"mask": 1})
    box.put(first)
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    clock.advance(600)
    box.put(box.event(record_no=41, source_epoch=source_epoch, values={"mask": 1}, replayed=True))
    await deliver(ledger, run_of(box, Lane.D, 1), clock=clock)
    assert [event_id for _, event_id in await positions_of(ledger)] == [first.id]


async def test_a_restarted_index_is_another_record(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(box.event(record_no=1, values={"n": 1}), box.event(record_no=1, source_epoch=1, values={"n": 2}))
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert len(await ledger.read(0, 100)) == 2


async def test_numbers_without_order_are_no_restart_and_no_conflict(ledger: Ledger, clock: VirtualClock) -> None:
    """A device that counts nothing: high and low numbers in any order, then everything once more."""
    numbers = [source_no(number, CONTENT_SPACE) for number in (2**48 - 1, 3, 2**40, 1)]
    box = Box()
    box.put(*[box.event(record_no=number, values={"n": number % 1000}) for number in numbers])
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    clock.advance(600)
    box.put(*[box.event(record_no=number, values={"n": number % 1000}) for number in reversed(numbers)])
    await deliver(ledger, run_of(box, Lane.D, 4), clock=clock)
    assert [decode_record(row.body).source for row in await ledger.read(0, 100)] == [
        SourceKey(record_no=number) for number in numbers
    ]
    assert ("gate-1", Lane.D, "repeat", 4) in await ledger.tallies()


async def test_one_number_on_two_devices_is_two_records(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(box.event(record_no=1), box.event(record_no=1, device="gate-1/face-2"))
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert len(await ledger.read(0, 100)) == 2


@pytest.mark.parametrize("together", [True, False])
async def test_a_number_with_other_content_is_a_conflict(ledger: Ledger, clock: VirtualClock, together: bool) -> None:
    box = Box()
    first, second = box.event(record_no=41, values={"mask": 1}), box.event(record_no=41, values={"mask": 0})
    box.put(first, second, box.event(record_no=42))
    runs = [run_of(box, Lane.D)] if together else [run_of(box, Lane.D, n, 1) for n in range(3)]
    for run in runs:
        await deliver(ledger, run, clock=clock)
    rows = await ledger.read(0, 100)
    assert next(row.event_id for row in rows if row.edge == "gate-1") == first.id
    assert second.id not in {row.event_id for row in rows}
    [alarm] = [row for row in rows if row.edge == CAMPUS_NODE]
    assert (alarm.topic, alarm.lane, alarm.seq) == ("Delivery/Conflict", Lane.A, 1)
    values = decode_record(alarm.body).values
    assert (values["edge"], values["device"], values["seq"], values["first_position"]) == (
        "gate-1",
        "gate-1/face-1",
        2,
        1,
    )
    [kept] = await ledger.quarantined(10)
    assert (kept.reason, kept.seq, kept.raw) == (Refusal.CONFLICT, 2, box.lanes[Lane.D][1].body)
    assert (await ledger.verify_chain("gate-1", box.epoch, Lane.D)) == (3, "")


async def test_an_event_id_with_other_content_is_a_conflict_told_once(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    first = box.event()
    box.put(first, box.event(id=first.id, reason="Other"))
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    box.fork()
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    rows = await ledger.read(0, 100)
    assert [(row.edge, row.topic) for row in rows] == [("gate-1", DENIED), (CAMPUS_NODE, "Delivery/Conflict")]
    assert len(await ledger.quarantined(10)) == 2


async def test_money_is_keyed_like_everything_else(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    sale = {"device": "gate-1/till-1", "values": {"fen": 1250}}
    box.put(
        box.event("Payment/Sale", record_no=900, **sale),
        box.event("Payment/Sale", record_no=900, **sale),
        box.event("Payment/Reversal", record_no=901, **sale),
    )
    await deliver(ledger, run_of(box, Lane.M), clock=clock)
    assert [row.topic for row in await ledger.read(0, 100)] == ["Payment/Sale", "Payment/Reversal"]


# --- bytes that cannot become rows


async def test_bad_records_go_to_quarantine_and_the_lane_moves_on(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(box.event())
    box.put_bytes(Lane.D, b'{"kind":"event","id":"zz"}')
    box.put_bytes(Lane.D, encode_record(box.event(device="gate-2/face-1")))
    box.put_bytes(Lane.D, encode_record(box.event(ALARM)))
    box.put_bytes(Lane.D, encode_record(box.event("Door/State/Philosophy")))
    box.put(box.event())
    result = await deliver(ledger, run_of(box, Lane.D), clock=clock)
    assert result.runs[0].mark == box.end(Lane.D)
    assert [row.seq for row in await ledger.read(0, 100)] == [1, 6]
    kept = {entry.seq: entry for entry in await ledger.quarantined(10)}
    assert {seq: entry.reason for seq, entry in kept.items()} == {
        2: Refusal.MALFORMED,
        3: Refusal.OWNER,
        4: Refusal.LANE,
        5: Refusal.TOPIC,
    }
    assert all(entry.raw == box.lanes[Lane.D][seq - 1].body for seq, entry in kept.items())
    assert (await ledger.verify_chain("gate-1", box.epoch, Lane.D)) == (6, "")


async def test_quarantine_keeps_a_bounded_head(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put_bytes(Lane.D, b"x" * 40_000)
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    [kept] = await ledger.quarantined(10)
    assert (kept.length, len(kept.raw), kept.hash) == (40_000, 16 * 1024, record_hash(b"x" * 40_000))


async def test_numbers_too_large_for_a_column_do_not_stop_the_lane(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    stamp = {"wall_ns": 2**63 - 1, "mono_ns": 2**63 - 1, "boot_id": "ab" * 16, "clock": "synced", "error_ms": 2**80}
    body = encode_record(box.event(device_time=DeviceTime(raw="?", wall_ns=2**90)))
    record = json.loads(body) | {"stamp": stamp}
    box.put_bytes(Lane.D, json.dumps(record).encode())
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    [row] = await ledger.read(0, 10)
    assert (row.occurred_ns, row.stamp_ns, row.error_ms) == (OCCURRED_MAX, 2**63 - 1, 2**31 - 1)


# --- gaps


async def test_a_gap_takes_its_numbers_and_the_lane_goes_on_from_its_chain(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(*[box.reading(n) for n in range(10)])
    box.thin(Lane.T, 3, 7)
    result = await deliver(ledger, run_of(box, Lane.T), clock=clock)
    assert result.runs[0].mark == box.end(Lane.T)
    rows = await ledger.read(0, 100)
    assert [(row.kind, row.seq, row.through) for row in rows][2] == ("gap", 3, 7)
    assert [row.seq for row in rows] == [1, 2, 3, 8, 9, 10]
    assert (await ledger.verify_chain("gate-1", box.epoch, Lane.T)) == (10, "")
    assert ("gate-1", Lane.T, "gone", 5) in await ledger.tallies()


async def test_a_gap_may_begin_below_what_is_committed(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(*[box.reading(n) for n in range(10)])
    await deliver(ledger, run_of(box, Lane.T, 0, 5), clock=clock)
    mark = (await ledger.watermarks("gate-1", box.epoch))[Lane.T]
    box.thin(Lane.T, 3, 8)
    # The box no longer knows the chain at 5 and says what the welcome told it.
    run = read_run("gate-1", *decode_batch(box.batch(Lane.T, 5, before=mark.chain.hex())[1]))
    assert (await deliver(ledger, run, clock=clock)).runs[0].mark == box.end(Lane.T)
    gap = [row for row in await ledger.read(0, 100) if row.kind == "gap"]
    assert [(row.seq, row.through) for row in gap] == [(6, 8)]
    assert (await ledger.verify_chain("gate-1", box.epoch, Lane.T)) == (10, "")


@pytest.mark.parametrize(("reason", "incidents"), [("retention", 1), ("damaged", 1), ("thinned", 0), ("dropped", 0)])
async def test_records_lost_against_our_will_are_an_incident(
    ledger: Ledger, clock: VirtualClock, reason: str, incidents: int
) -> None:
    box = Box()
    box.put(*[box.event() for _ in range(4)])
    box.thin(Lane.D, 1, 3, reason)
    await deliver(ledger, run_of(box, Lane.D), clock=clock)
    told = [row for row in await ledger.read(0, 100) if row.topic == "Delivery/Incident"]
    assert len(told) == incidents
    for row in told:
        event = decode_record(row.body)
        assert (row.edge, row.lane, event.reason) == (CAMPUS_NODE, Lane.A, reason)
        assert event.values == {"edge": "gate-1", "lane": "D", "from_seq": 1, "to_seq": 3, "count": 3}


async def test_a_gap_that_grew_under_its_id_still_closes_the_hole(ledger: Ledger, clock: VirtualClock) -> None:
    box = Box()
    box.put(*[box.reading(n) for n in range(6)])
    narrow = box.copy()
    gap = decode_record(narrow.thin(Lane.T, 1, 2).body)
    await deliver(ledger, run_of(narrow, Lane.T, 0, 1), clock=clock)
    wide = encode_record(msgspec.structs.replace(gap, to_seq=5, count=5, chain=box.lanes[Lane.T][4].chain.hex()))
    box.lanes[Lane.T][:5] = [Stored(1, 5, wide, box.lanes[Lane.T][4].chain)]
    run = read_run("gate-1", *decode_batch(box.batch(Lane.T, 2, before=narrow.lanes[Lane.T][0].chain.hex())[1]))
    assert (await deliver(ledger, run, clock=clock)).runs[0].mark == box.end(Lane.T)
    assert [(row.kind, row.seq, row.through) for row in await ledger.read(0, 9)] == [
        ("gap", 1, 2),
        ("gap", 3, 5),
        ("reading", 6, 6),
    ]
