"""Hello and welcome: who is let in, where lanes go on, and how rollback, clone and restore show."""

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from aggregator.admission import Admission
from tests.admission.box import ALARM, CAMPUS, Box, ack, welcome
from tests.admission.campus import Backup, Campus
from tests.support.clock import VirtualClock
from wire.codec import decode_signed, encode_signed, signing_input
from wire.delivery import Hello, Welcome
from wire.identity import CHAIN_START
from wire.topics import LANES, Down, Lane, Up, UpTopic, down_topic


async def deliver_all(campus: Campus, box: Box) -> None:
    """Hand everything over that the campus lacks, and believe its acks."""
    said = await campus.greet(box)
    assert said.verdict == "resume"
    for lane in LANES:
        through = said.lanes[lane].through
        if box.end(lane)[0] > through:
            through = ack(await campus.admission.receive(*box.batch(lane, through))).through
        box.acked[lane] = through


# --- who is let in


async def test_a_new_box_starts_at_zero_without_alarm(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    said = await campus.greet(box)
    assert (said.verdict, said.session, said.time_ns) == ("resume", box.nonce, campus.clock.wall_ns())
    assert {lane: (mark.through, mark.chain) for lane, mark in said.lanes.items()} == dict.fromkeys(
        LANES, (0, CHAIN_START.hex())
    )
    assert said.credit > 0
    assert await campus.alarms() == []
    assert [(row.topic, row.lane) for row in await campus.rows()] == [("Audit/Entry", Lane.S)]


async def test_a_box_that_is_not_enrolled_is_refused(campus: Campus) -> None:
    said = await campus.greet(Box())
    assert (said.verdict, said.reason, dict(said.lanes)) == ("refused", "not_enrolled", {})
    assert await campus.ledger.head() == 0


async def test_a_hello_without_signature_is_refused(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    assert (await campus.greet(box, sign=False)).reason == "unsigned"


async def test_a_hello_signed_with_another_key_is_refused(campus: Campus) -> None:
    box, thief = Box(seed=1), Box(seed=2)
    campus.enrol(box)
    assert (await campus.greet(thief)).reason == "signature"


async def test_a_signature_does_not_fit_another_line(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    topic, frame = box.hello()
    _, signed = decode_signed(frame, Hello)
    forged = encode_signed(Hello, signed.line.replace(box.epoch.encode(), b"0" * 32), signed.signature)
    assert welcome(await campus.admission.receive(topic, forged)).reason == "signature"


async def test_a_refused_box_is_told_of_once_in_the_log(campus: Campus, caplog: pytest.LogCaptureFixture) -> None:
    box = Box()
    for _ in range(3):
        await campus.greet(box)
    assert [record.message for record in caplog.records] == ["edge refused"]
    assert campus.admission.counters["refused"] == 3


async def test_a_hello_for_another_edge_is_dropped(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    _, frame = box.hello()
    assert await campus.admission.receive(UpTopic(CAMPUS, "gate-2", Up.HELLO), frame) == []
    assert await campus.admission.receive(UpTopic("other-school", "gate-1", Up.HELLO), frame) == []
    assert campus.admission.counters == {"malformed": 1, "campus": 1}


async def test_garbage_is_counted_and_dropped(campus: Campus, caplog: pytest.LogCaptureFixture) -> None:
    for leaf in Up:
        for frame in (b"", b"\x01", b"\x01\x00{}", b"\x01\x01garbage", b"\x02\x00{}", b"\x01\x00{}\n{}"):
            assert await campus.admission.receive(UpTopic(CAMPUS, "gate-1", leaf), frame) == []
    assert campus.admission.counters["malformed"] == 42
    assert len(caplog.records) == 1


async def test_a_welcome_is_signed_when_there_is_a_key(campus: Campus) -> None:
    box, key = Box(), Ed25519PrivateKey.generate()
    campus.enrol(box)

    async def enrolled(_edge: str):
        return box.enrolled()

    admission = Admission(campus.ledger, campus=CAMPUS, clock=campus.clock, enrolled=enrolled, sign=key.sign)
    [(_, frame)] = await admission.receive(*box.hello())
    _, signed = decode_signed(frame, Welcome)
    topic = down_topic(CAMPUS, "gate-1", Down.WELCOME)
    key.public_key().verify(bytes.fromhex(signed.signature), signing_input(topic, signed.line))


async def test_a_welcome_tells_which_documents_are_wanted(campus: Campus) -> None:
    box = Box()

    async def enrolled(_edge: str):
        return box.enrolled()

    async def documents(edge: str):
        return {"bundle": f"{edge}-7"}

    admission = Admission(campus.ledger, campus=CAMPUS, clock=campus.clock, enrolled=enrolled, documents=documents)
    assert welcome(await admission.receive(*box.hello())).documents == {"bundle": "gate-1-7"}


# --- where lanes go on


async def test_a_known_epoch_goes_on_where_the_ledger_stands(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    box.put(*[box.event() for _ in range(5)], box.event(ALARM))
    await deliver_all(campus, box)
    campus.restart()
    said = await campus.greet(box)
    assert said.verdict == "resume"
    assert {lane: mark.through for lane, mark in said.lanes.items()} == {"A": 1, "M": 0, "D": 5, "S": 0, "T": 0}
    assert said.lanes[Lane.D].chain == box.end(Lane.D)[1].hex()
    assert await campus.alarms() == []


async def test_a_box_whose_acks_were_lost_is_told_the_higher_mark(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    box.put(*[box.event() for _ in range(5)])
    await deliver_all(campus, box)
    box.acked = dict.fromkeys(LANES, 0)
    assert (await campus.greet(box)).lanes[Lane.D].through == 5


async def test_a_ledger_restored_from_a_backup_gets_everything_again(campus: Campus, backup: Backup) -> None:
    box = Box()
    campus.enrol(box)
    box.put(*[box.event() for _ in range(3)])
    await deliver_all(campus, box)
    yesterday = await backup()
    box.put(*[box.event() for _ in range(4)])
    await deliver_all(campus, box)
    lost = [row.event_id for row in await campus.rows("gate-1")]
    campus.restart(yesterday)
    said = await campus.greet(box)
    assert (said.verdict, said.lanes[Lane.D].through) == ("resume", 3)
    await deliver_all(campus, box)
    assert [row.event_id for row in await campus.rows("gate-1")] == lost
    await campus.check_lanes(box)


async def test_a_campus_that_forgot_all_takes_what_is_left_and_an_incident(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    box.put(*[box.event() for _ in range(10)])
    box.acked[Lane.D] = 10
    # Retention took 1 to 6; the box says so with a gap.
    box.thin(Lane.D, 1, 6, "retention")
    await deliver_all(campus, box)
    gap = (await campus.rows("gate-1"))[0]
    assert (gap.kind, gap.seq, gap.through) == ("gap", 1, 6)
    [incident] = await campus.alarms()
    assert (incident.topic, incident.reason, incident.values["to_seq"]) == ("Delivery/Incident", "retention", 6)
    await campus.check_lanes(box)


# --- rollback and clone


async def test_a_rolled_back_card_must_fork_and_loses_nothing(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    box.put(*[box.event() for _ in range(5)])
    image = box.copy()
    box.put(*[box.event() for _ in range(5)])
    await deliver_all(campus, box)
    image.random = Box(seed=77).random
    image.put(*[image.event() for _ in range(2)])
    said = await campus.greet(image)
    assert (said.verdict, said.reason) == ("fork", "behind")
    assert await campus.admission.receive(*image.batch(Lane.D, 5)) != []
    image.fork()
    campus.clock.advance(1)
    await deliver_all(campus, image)
    ids = [row.event_id for row in await campus.rows("gate-1")]
    assert len(ids) == len(set(ids)) == 12
    [alarm] = await campus.alarms()
    assert (alarm.topic, alarm.values["epoch"]) == ("Delivery/EpochForked", image.epoch)
    await campus.check_lanes(box)


async def test_a_rolled_back_card_that_wrote_as_much_again_is_seen_by_its_chain(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    box.put(*[box.event() for _ in range(5)])
    image = box.copy()
    box.put(*[box.event() for _ in range(2)])
    await deliver_all(campus, box)
    image.random = Box(seed=77).random
    image.put(*[image.event() for _ in range(2)])
    said = await campus.greet(image)
    assert (said.verdict, said.reason) == ("fork", "chain")


async def test_a_rolled_back_card_that_wrote_more_is_seen_by_its_first_batch(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    box.put(*[box.event() for _ in range(5)])
    image = box.copy()
    box.put(*[box.event() for _ in range(2)])
    await deliver_all(campus, box)
    image.random = Box(seed=77).random
    image.put(*[image.event() for _ in range(6)])
    assert (await campus.greet(image)).verdict == "resume"
    said = welcome(await campus.admission.receive(*image.batch(Lane.D, 7)))
    assert (said.verdict, said.reason, said.session) == ("fork", "chain", image.nonce)
    # The session is over: nothing more of it is taken.
    campus.clock.advance(2)
    assert welcome(await campus.admission.receive(*image.batch(Lane.D, 7))).verdict == "hello"


async def test_a_box_that_believes_in_another_past_is_seen_at_its_acked_number(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    box.put(*[box.event() for _ in range(6)])
    await deliver_all(campus, box)
    box.put(box.event())
    states = {lane: box.lane_state(lane) for lane in LANES}
    told = msgspec.structs.replace(states[Lane.D], acked=3, acked_chain="ab" * 16)
    said = await campus.greet(box, lanes=states | {Lane.D: told})
    assert (said.verdict, said.reason) == ("fork", "chain")
    told = msgspec.structs.replace(told, acked_chain=box.lanes[Lane.D][2].chain.hex())
    assert (await campus.greet(box, lanes=states | {Lane.D: told})).verdict == "resume"


async def test_a_lane_the_hello_leaves_out_counts_as_empty(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    box.put(box.event())
    await deliver_all(campus, box)
    assert (await campus.greet(box, lanes={})).reason == "behind"


async def test_an_epoch_that_was_replaced_and_comes_back_is_an_alarm(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    old = box.copy()
    await deliver_all(campus, box)
    box.fork()
    campus.clock.advance(1)
    await deliver_all(campus, box)
    campus.clock.advance(1)
    assert (await campus.greet(old)).verdict == "resume"
    assert [alarm.values["standing"] for alarm in await campus.alarms()] == ["new", "returned"]


async def test_two_boxes_with_one_identity_are_an_alarm(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    clone = box.copy()
    clone.clock = VirtualClock(boot_id="cc" * 16)
    for _ in range(2):
        for twin in (box, clone):
            await campus.greet(twin)
            campus.clock.advance(1)
    [alarm] = await campus.alarms()
    assert (alarm.topic, alarm.reason, alarm.values["edge"]) == ("Delivery/Incident", "takeover", "gate-1")


async def test_a_displaced_box_that_speaks_on_counts_as_a_second_one(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    clone = box.copy()
    clone.random = Box(seed=50).random
    await campus.greet(box)
    for _ in range(2):
        for newcomer, displaced in ((clone, box), (box, clone)):
            await campus.greet(newcomer)
            campus.clock.advance(1)
            await campus.admission.receive(*displaced.heartbeat())
    assert [alarm.reason for alarm in await campus.alarms()] == ["takeover"]


async def test_a_box_that_reconnects_often_is_no_alarm(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    for _ in range(20):
        assert (await campus.greet(box)).verdict == "resume"
        campus.clock.advance(1)
        await campus.admission.receive(*box.heartbeat())
    assert await campus.alarms() == []


async def test_takeovers_far_apart_are_no_alarm(campus: Campus) -> None:
    box = Box()
    campus.enrol(box)
    for number in range(8):
        box.clock.reboot(f"{number:032x}")
        await campus.greet(box)
        campus.clock.advance(9)
        await campus.admission.receive(*box.heartbeat())
        campus.clock.advance(150)
        await campus.admission.receive(*box.heartbeat())
    assert await campus.alarms() == []
