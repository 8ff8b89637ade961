"""Hello, welcome and what they decide; what a connection is worth."""

import asyncio

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.outbox import OutboxLimits
from edge_agent.uplink import UplinkRefusedError
from tests.campus.virtual_loop import virtual
from tests.edge_agent.uplink_rig import CAMPUS, EDGE, Rig
from wire.delivery import HEARTBEAT_INTERVAL_S, Watermark
from wire.identity import CHAIN_START
from wire.records import Gap, decode_record
from wire.topics import LANES, Down, Lane, Up

ELSEWHERE = "ee" * 16


@virtual
async def test_hello_says_who_and_where_every_lane_stands() -> None:
    rig = Rig()
    rig.put(Lane.D, 3)
    rig.put(Lane.A, 1)
    rig.store.acknowledge({Lane.D: 2})
    rig.connect()
    await rig.settle()
    (hello,) = rig.hellos()
    assert (hello.campus, hello.edge, hello.epoch) == (CAMPUS, EDGE, rig.store.epoch)
    assert (hello.session, hello.previous_epoch, hello.fork_reason) == (rig.uplink.session, None, "")
    assert hello.lanes == rig.store.lane_states()
    assert (hello.lanes[Lane.D].last, hello.lanes[Lane.D].acked) == (3, 2)
    assert not rig.uplink.open


@virtual
async def test_hello_is_said_again_with_a_new_session_after_five_ten_twenty_seconds() -> None:
    rig = Rig()
    rig.connect()
    await rig.settle(100)
    sessions = [hello.session for hello in rig.hellos()]
    assert len(sessions) == len(set(sessions)) == 5  # at 0, 5, 15, 35, 75
    assert rig.beats() == []


@virtual
async def test_hello_is_not_repeated_into_a_socket_that_takes_nothing() -> None:
    rig = Rig()
    rig.connect().full = True
    await rig.settle(100)
    assert len(rig.hellos()) == 1


@virtual
async def test_nothing_but_hello_is_said_before_the_welcome() -> None:
    rig = Rig()
    rig.put(Lane.A, 3)
    rig.connect()
    await rig.settle(4)
    assert {leaf for leaf, _ in rig.wire.sent} == {Up.HELLO}


@virtual
async def test_a_welcome_opens_the_session_and_a_heartbeat_follows_at_once_and_every_two_seconds() -> None:
    rig = Rig()
    rig.put(Lane.D, 4)
    await rig.open()
    (first,) = rig.beats()
    assert (first.session, first.epoch) == (rig.uplink.session, rig.store.epoch)
    assert first.lanes[Lane.D].queued == 4
    assert rig.welcomed == 1
    await rig.settle(10 * HEARTBEAT_INTERVAL_S + 0.1)
    assert len(rig.beats()) == 10


@pytest.mark.parametrize("verdict", ["resume", "fork", "hello", "refused"])
def test_a_welcome_that_our_campus_did_not_sign_is_no_welcome(verdict: str) -> None:
    @virtual
    async def run() -> None:
        rig = Rig()
        rig.connect()
        await rig.settle()
        rig.welcome(verdict, signed_by=Ed25519PrivateKey.generate())
        await rig.settle()
        assert not rig.uplink.open
        assert rig.uplink.malformed_frames == 1
        assert len(rig.hellos()) == 1
        assert rig.store.previous_epoch is None

    run()


@virtual
async def test_a_welcome_to_another_session_is_ignored() -> None:
    rig = Rig()
    rig.connect()
    await rig.settle()
    for verdict in ("resume", "fork", "hello", "refused"):
        rig.welcome(verdict, session=ELSEWHERE)
    await rig.settle()
    assert not rig.uplink.open
    assert len(rig.hellos()) == 1


@virtual
async def test_a_campus_that_forgot_us_gets_a_new_hello_with_a_new_session() -> None:
    rig = Rig()
    await rig.open()
    (before,) = rig.hellos()
    rig.welcome("hello")
    await rig.settle()
    (after,) = rig.hellos()
    assert after.session != before.session
    assert not rig.uplink.open
    rig.welcome()
    await rig.settle()
    assert rig.uplink.open


@virtual
async def test_a_box_that_is_refused_ends_the_connection_and_keeps_everything() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    rig.connect()
    await rig.settle()
    rig.welcome("refused", reason="not_enrolled")
    with pytest.raises(UplinkRefusedError, match="not_enrolled"):
        await rig.serving
    assert rig.store.depths()[Lane.D].queued == 5


@virtual
async def test_a_connection_that_ends_raises_and_the_next_begins_with_a_new_session() -> None:
    rig = Rig()
    await rig.open()
    before = rig.uplink.session
    rig.wire.end()
    with pytest.raises(ConnectionResetError):
        await rig.serving
    assert not rig.uplink.open
    await rig.open()
    assert rig.uplink.session != before


# --- where to go on


@virtual
async def test_a_campus_that_has_more_than_we_knew_is_believed() -> None:
    """The acks were lost, the records were not."""
    rig = Rig()
    rig.put(Lane.D, 10)
    await rig.open(through={Lane.D: 7})
    assert rig.acked(Lane.D) == {Lane.D: 7}
    assert rig.spans(Lane.D) == [(8, 10)]


@virtual
async def test_a_campus_that_knows_less_than_it_acknowledged_gets_it_again() -> None:
    """It was restored from a backup."""
    rig = Rig()
    rig.put(Lane.D, 10)
    rig.put(Lane.M, 4)
    rig.store.acknowledge({Lane.D: 10, Lane.M: 4})
    await rig.open(through={Lane.D: 6, Lane.M: 4})
    assert rig.acked(Lane.D, Lane.M) == {Lane.D: 6, Lane.M: 4}
    assert rig.spans(Lane.D) == [(7, 10)]
    assert rig.spans(Lane.M) == []
    depth = rig.store.depths()[Lane.D]
    assert (depth.acknowledged, depth.queued) == (6, 4)
    assert rig.uplink.forks == 0


@virtual
async def test_a_campus_that_lost_more_than_we_keep_gets_a_gap_and_then_the_rest() -> None:
    rig = Rig(limits=OutboxLimits(retention_s=10, pressed_s=10, mark_interval_s=1))
    rig.put(Lane.D, 8)
    rig.store.acknowledge({Lane.D: 8})
    rig.store.maintain()
    rig.clock.advance(60)
    rig.put(Lane.D, 2)
    while rig.store.maintain().more:
        pass
    assert rig.state(Lane.D).first == 9
    await rig.open()
    ((batch, records),) = rig.batches(Lane.D)
    assert (batch.first, batch.through, batch.count) == (1, 10, 3)
    gap = decode_record(records[0])
    assert isinstance(gap, Gap)
    assert (gap.from_seq, gap.to_seq, gap.count, gap.reason) == (1, 8, 8, "retention")
    assert batch.before == CHAIN_START.hex()


@virtual
async def test_a_campus_with_another_chain_has_another_history_so_we_begin_a_new_epoch() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    before = rig.store.epoch
    rig.connect()
    await rig.settle()
    rig.hellos()
    rig.welcome(lanes={Lane.D: Watermark(through=3, chain=ELSEWHERE)})
    await rig.settle()
    (hello,) = rig.hellos()
    assert hello.epoch == rig.store.epoch != before
    assert (hello.previous_epoch, hello.fork_reason) == (before, "chain")
    assert not rig.uplink.open
    rig.welcome()
    await rig.settle()
    assert rig.spans(Lane.D) == [(1, 5)]
    assert rig.uplink.forks == 1


@virtual
async def test_a_campus_that_has_more_than_we_ever_numbered_knows_a_card_that_was_rolled_back() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    rig.connect()
    await rig.settle()
    rig.hellos()
    rig.welcome(lanes={Lane.D: Watermark(through=9, chain=ELSEWHERE)})
    await rig.settle()
    (hello,) = rig.hellos()
    assert (hello.fork_reason, hello.lanes[Lane.D].acked) == ("rollback", 0)


@virtual
async def test_a_campus_may_order_the_new_epoch_itself() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    before = rig.store.epoch
    rig.connect()
    await rig.settle()
    rig.hellos()
    rig.welcome("fork", reason="behind")
    await rig.settle()
    (hello,) = rig.hellos()
    assert (hello.previous_epoch, hello.fork_reason) == (before, "behind")


@virtual
async def test_a_campus_that_is_never_content_does_not_wear_out_the_card() -> None:
    rig = Rig()
    rig.put(Lane.D, 5)
    rig.connect()
    epochs = set()
    for _ in range(3):
        await rig.settle()
        epochs.add(rig.store.epoch)
        rig.welcome("fork")
    with pytest.raises(ConnectionError, match="agree"):
        await rig.serving
    assert len(epochs | {rig.store.epoch}) == 3


@virtual
async def test_a_second_welcome_to_the_same_session_changes_nothing() -> None:
    """The wire may say everything twice."""
    rig = Rig()
    rig.put(Lane.D, 5)
    await rig.open()
    assert rig.spans(Lane.D) == [(1, 5)]
    rig.ack(Lane.D, 5)
    await rig.settle()
    rig.welcome()
    await rig.settle(20)
    assert rig.spans(Lane.D) == []
    assert rig.acked(Lane.D) == {Lane.D: 5}


@virtual
async def test_a_campus_that_leaves_lanes_out_knows_nothing_of_them() -> None:
    rig = Rig()
    for lane in LANES:
        rig.put(lane, 2)
    await rig.open(through={Lane.D: 2})
    await rig.settle(2)
    assert {lane: rig.spans(lane) for lane in LANES} == {lane: [] if lane is Lane.D else [(1, 2)] for lane in LANES}


# --- what comes down and makes no sense


@virtual
async def test_frames_that_make_no_sense_are_counted_and_the_session_goes_on() -> None:
    rig = Rig()
    await rig.open()
    for leaf in (Down.WELCOME, Down.ACK):
        for junk in (b"", b"\x01", b"\x01\x00{}", b"\x02\x00{}", b"\x01\x01not zstd", b"\x01\x00[1]\n{}"):
            rig.wire.put(leaf, junk)
    await rig.settle()
    assert rig.uplink.malformed_frames == 12
    rig.put(Lane.A, 1)
    await rig.settle()
    assert rig.spans(Lane.A) == [(1, 1)]


@virtual
async def test_commands_and_documents_are_handed_on_unopened() -> None:
    rig = Rig()
    await rig.open()
    rig.wire.put(Down.COMMAND, b"a command")
    rig.wire.put(Down.DOCUMENT, b"a document")
    await rig.settle()
    assert rig.commanded == [(Down.COMMAND, b"a command"), (Down.DOCUMENT, b"a document")]


@virtual
async def test_serving_can_be_cancelled_at_any_moment_and_started_again() -> None:
    rig = Rig()
    for seconds in (0, 0.1, 1, 3):
        rig.connect()
        await rig.settle()
        rig.welcome()
        rig.put(Lane.D, 1)
        await rig.settle(seconds)
        rig.serving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await rig.serving
        assert not rig.uplink.open
