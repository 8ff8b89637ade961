"""Batches up, acks down: windows, patience, holding, the bytes of a thin line."""

from collections import deque
from unittest import mock

import msgspec
import pytest

from edge_agent.uplink.session import HOLD_PROBE_S
from tests.campus.virtual_loop import virtual
from tests.edge_agent.uplink_rig import PLENTY, Rig
from wire import codec
from wire.delivery import BATCH_BYTES_MAX, BATCH_RECORDS_MAX
from wire.identity import CHAIN_START, chain_next, record_hash
from wire.topics import LANES, Lane

ELSEWHERE = "ee" * 16
SMALL = 29


@virtual
async def test_a_batch_is_a_run_of_stored_bytes_with_the_chain_before_it() -> None:
    rig = Rig()
    rig.put(Lane.D, 6)
    await rig.open(through={Lane.D: 2})
    ((batch, records),) = rig.batches(Lane.D)
    assert (batch.session, batch.epoch, batch.lane) == (rig.uplink.session, rig.store.epoch, Lane.D)
    assert (batch.first, batch.through, batch.count) == (3, 6, 4)
    assert records == [row.body for row in rig.store.read(Lane.D, 2, 500, BATCH_BYTES_MAX)]
    chain = bytes.fromhex(batch.before)
    for body in records:
        chain = chain_next(chain, record_hash(body))
    assert chain.hex() == rig.chain(Lane.D, 6)


@virtual
async def test_two_batches_of_a_lane_are_under_way_and_each_follows_on_the_one_before() -> None:
    rig = Rig()
    rig.put(Lane.T, 3 * BATCH_RECORDS_MAX)
    await rig.open()
    one, two = rig.batches(Lane.T)
    assert (one[0].first, one[0].before) == (1, CHAIN_START.hex())
    assert two[0].first == one[0].through + 1
    assert two[0].before == rig.chain(Lane.T, one[0].through)
    await rig.settle(4)
    assert rig.spans(Lane.T) == []
    rig.ack(Lane.T, one[0].through)
    await rig.settle()
    assert len(rig.spans(Lane.T)) == 1


@virtual
async def test_no_batch_passes_the_limits_of_the_protocol() -> None:
    rig = Rig()
    rig.put(Lane.A, 1_200)
    rig.put(Lane.A, 40, bytes_each=8_000)
    await rig.open()
    acked = 0
    while acked < 1_240:
        for batch, records in rig.batches(Lane.A):
            assert len(records) == batch.count <= BATCH_RECORDS_MAX
            assert sum(len(body) + 1 for body in records) <= BATCH_BYTES_MAX
            assert batch.first == acked + 1
            acked = batch.through
        rig.ack(Lane.A, acked)
        await rig.settle()


@virtual
async def test_acks_reach_the_outbox_and_are_cumulative() -> None:
    rig = Rig()
    rig.put(Lane.D, 9)
    rig.put(Lane.M, 2)
    await rig.open()
    rig.ack(Lane.D, 4)
    rig.ack(Lane.D, 9)
    rig.ack(Lane.D, 4)
    await rig.settle()
    assert rig.acked(Lane.D, Lane.M) == {Lane.D: 9, Lane.M: 0}


@pytest.mark.parametrize("fields", [{"session": ELSEWHERE}, {"epoch": ELSEWHERE}], ids=["session", "epoch"])
def test_an_ack_of_another_session_or_epoch_is_nobodys(fields: dict[str, str]) -> None:
    @virtual
    async def run() -> None:
        rig = Rig()
        rig.put(Lane.D, 5)
        await rig.open()
        rig.ack(Lane.D, 5, **fields)
        await rig.settle()
        assert rig.acked(Lane.D) == {Lane.D: 0}

    run()


# --- patience


@virtual
async def test_a_lost_batch_is_sent_again_after_five_seconds_then_ten_up_to_a_minute() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    await rig.open()
    seconds = []
    for second in range(200):
        seconds += [second] * len(rig.spans(Lane.D))
        await rig.settle(1)
    assert seconds == [0, 5, 15, 35, 75, 135, 195]
    assert rig.uplink.resent_batches == 6


@virtual
async def test_everything_after_the_lost_one_is_sent_again_in_order_on_the_chain_that_is_acknowledged() -> None:
    rig = Rig()
    rig.put(Lane.T, 3 * BATCH_RECORDS_MAX)
    await rig.open()
    first, second = rig.batches(Lane.T)
    await rig.settle(5.1)
    assert rig.batches(Lane.T) == [
        (msgspec.structs.replace(batch, sent=rig.clock.stamp()), records) for batch, records in (first, second)
    ]


@virtual
async def test_progress_renews_patience() -> None:
    rig = Rig()
    rig.put(Lane.T, 300)
    await rig.open()
    one, two = rig.spans(Lane.T)
    await rig.settle(4)
    rig.ack(Lane.T, one[1])
    await rig.settle(4.9)
    assert rig.spans(Lane.T) == []
    await rig.settle(0.2)
    again = rig.spans(Lane.T)
    assert (again[0][0], again[-1][1]) == two


@virtual
async def test_nothing_is_sent_again_while_the_socket_still_has_bytes_of_ours() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    await rig.open()
    assert len(rig.spans(Lane.D)) == 1
    rig.wire.full = True
    await rig.settle(120)
    assert rig.spans(Lane.D) == []
    rig.wire.full = False
    await rig.settle(5.1)
    assert len(rig.spans(Lane.D)) == 1


@virtual
async def test_an_ack_that_comes_just_after_we_gave_up_spares_the_rest() -> None:
    rig = Rig()
    rig.put(Lane.T, 300)
    await rig.open()
    assert len(rig.spans(Lane.T)) == 2
    rewound: list[int] = []
    real = rig.uplink._windows[Lane.T].rewind

    def rewind(now: float) -> None:
        real(now)
        rewound.append(rig.uplink._windows[Lane.T].cursor)
        rig.uplink._goodput.confirmed(10, sent_s=0.0, now=60.0)  # what goes again goes in small batches
        rig.ack(Lane.T, 300)

    with mock.patch.object(rig.uplink._windows[Lane.T], "rewind", rewind):
        await rig.settle(5.1)
    assert rewound == [0]
    assert rig.acked(Lane.T) == {Lane.T: 300}
    rig.spans(Lane.T)
    rig.put(Lane.T, 3)
    await rig.settle(1.1)
    ((batch, _),) = rig.batches(Lane.T)
    assert (batch.first, batch.through, batch.before) == (301, 303, rig.chain(Lane.T, 300))
    assert rig.uplink.forks == 0


# --- histories that part while the session is open


@virtual
async def test_an_ack_with_another_chain_means_another_history() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    await rig.open()
    rig.hellos()
    rig.ack(Lane.D, 5, chain=ELSEWHERE)
    await rig.settle()
    (hello,) = rig.hellos()
    assert hello.fork_reason == "chain"
    assert rig.acked(Lane.D) == {Lane.D: 0}


@virtual
async def test_an_ack_beyond_the_last_number_means_that_the_card_was_rolled_back() -> None:
    """The last batch of the life before was still being committed when we were welcomed."""
    rig = Rig()
    rig.put(Lane.D, 5)
    await rig.open()
    rig.hellos()
    rig.ack(Lane.D, 8, chain=ELSEWHERE)
    await rig.settle()
    (hello,) = rig.hellos()
    assert hello.fork_reason == "rollback"
    rig.welcome()
    await rig.settle()
    rig.put(Lane.D, 6)
    await rig.settle(1)
    assert [span for span in rig.spans(Lane.D) if span[0] <= 11][-1][1] == 11, "no number is passed over"


@virtual
async def test_an_ack_in_the_middle_of_a_batch_is_checked_against_the_outbox() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    await rig.open()
    rig.ack(Lane.D, 3)
    await rig.settle()
    assert rig.acked(Lane.D) == {Lane.D: 3}
    assert rig.uplink.forks == 0
    rig.ack(Lane.D, 4, chain=ELSEWHERE)
    await rig.settle()
    assert rig.uplink.forks == 1


# --- being told to hold


@virtual
async def test_credit_zero_holds_every_lane_and_one_batch_asks_again_after_a_while() -> None:
    rig = Rig()
    for lane in LANES:
        rig.put(lane, 5)
    await rig.open(credit=0)
    await rig.settle(HOLD_PROBE_S - 0.1)
    assert [rig.spans(lane) for lane in LANES] == [[]] * 5
    await rig.settle(0.2)
    assert [len(rig.spans(lane)) for lane in LANES] == [1, 0, 0, 0, 0]
    await rig.settle(4)
    assert [len(rig.spans(lane)) for lane in LANES] == [0, 0, 0, 0, 0]


@virtual
async def test_an_ack_with_credit_lifts_the_hold_even_when_it_confirms_nothing() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    await rig.open(credit=0)
    rig.ack(Lane.A, 0, credit=PLENTY)
    await rig.settle()
    assert rig.spans(Lane.D) == [(1, 5)]


@virtual
async def test_an_ack_without_credit_stops_what_has_not_been_sent() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    await rig.open()
    rig.spans(Lane.D)
    rig.ack(Lane.D, 5, credit=0)
    await rig.settle()
    rig.put(Lane.D, 5)
    await rig.settle(HOLD_PROBE_S - 0.1)
    assert rig.spans(Lane.D) == []
    await rig.settle(0.2)
    assert rig.spans(Lane.D) == [(6, 10)]


@virtual
async def test_credit_that_is_used_up_holds_until_the_next_word() -> None:
    rig = Rig()
    rig.put(Lane.A, 4 * BATCH_RECORDS_MAX)
    await rig.open(credit=700)
    assert len(rig.spans(Lane.A)) == 2
    rig.ack(Lane.A, 500, credit=10_000)
    await rig.settle()
    assert len(rig.spans(Lane.A)) == 2


# --- a thin line


@virtual
async def test_before_the_line_is_known_other_lanes_keep_to_a_guess_and_alarms_do_not() -> None:
    rig = Rig()
    rig.put(Lane.D, 400, bytes_each=1000)
    rig.put(Lane.A, 400, bytes_each=1000)
    await rig.open()
    alarms, doors = rig.heard(Lane.A), rig.heard(Lane.D)
    assert sum(map(len, alarms)) > 128 * 1024
    assert sum(map(len, doors)) < 2 * 64 * 1024


@virtual
async def test_on_a_thin_line_batches_shrink_to_half_a_second_of_it() -> None:
    rig = Rig()
    rig.put(Lane.D, 600, bytes_each=1000)
    await rig.open()
    sizes, line = list[int](), deque[bytes]()
    while rig.acked(Lane.D)[Lane.D] < 600:
        line.extend(rig.heard(Lane.D))
        frame = line.popleft()
        sizes.append(len(frame))
        # 40 kB/s: each frame takes its time on the line before the ack comes.
        await rig.settle(len(frame) / 40_000)
        batch, _ = codec.decode_batch(frame)
        rig.ack(Lane.D, batch.through)
        await rig.settle()
    assert max(sizes[:2]) > 20_000
    # Half a second of the line before compression, so less than that on it.
    assert max(sizes[5:]) < 12_000
    assert rig.uplink.resent_batches == 0


@virtual
async def test_a_large_record_behind_small_ones_does_not_stop_its_lane() -> None:
    """The read ends where the large one no longer fits. That is not the end of the lane."""
    rig = Rig()
    await rig.open()
    rig.uplink._goodput.confirmed(10, sent_s=0.0, now=60.0)  # a very thin line: 16 KiB a batch
    rig.put(Lane.D, SMALL, tell=False)
    rig.put(Lane.D, 1, bytes_each=8_448, tell=False)
    rows = rig.store.read(Lane.D, 0, 500, 16 * 1024)
    assert len(rows) == SMALL
    assert sum(len(row.body) for row in rows) < 8 * 1024, "the case: less than half, and still full"
    rig.uplink.grew({Lane.D})
    await rig.settle(1)
    assert rig.spans(Lane.D) == [(1, SMALL), (SMALL + 1, SMALL + 1)]


# --- company


@virtual
async def test_alarms_leave_at_once_and_telemetry_after_telemetry_waits_a_second_for_company() -> None:
    rig = Rig()
    await rig.open()
    for _ in range(3):
        rig.put(Lane.T, 1)
        rig.put(Lane.A, 1)
        await rig.settle(0.01)
    assert rig.spans(Lane.A) == [(1, 1), (2, 2), (3, 3)]
    assert rig.spans(Lane.T) == [(1, 1)]
    await rig.settle(1)
    assert rig.spans(Lane.T) == [(2, 3)]


@virtual
async def test_lanes_do_not_wait_for_each_other() -> None:
    rig = Rig()
    for lane in LANES:
        rig.put(lane, 2)
    await rig.open()
    for lane in (Lane.D, Lane.S):
        rig.ack(lane, 2)
    await rig.settle()
    assert rig.acked() == {Lane.A: 0, Lane.M: 0, Lane.D: 2, Lane.S: 2, Lane.T: 0}
