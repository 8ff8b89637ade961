"""The campus' page for Prometheus."""

from aggregator.accounts import Role
from aggregator.alarms import State
from aggregator.silence import EDGE_SILENT_S
from tests.api.rig import CARD, HOLDER, TAIL, Rig
from tests.support.prometheus import samples, value
from wire.codec import encode_heartbeat
from wire.delivery import Heartbeat, LaneDepth
from wire.records import Event
from wire.topics import Lane, Up


async def page(rig: Rig) -> str:
    async with await rig.ask(Role.OPS) as client:
        answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    return answer.text


async def beat(rig: Rig, **counters: float) -> None:
    box = rig.box
    heartbeat = Heartbeat(
        session=box.nonce,
        epoch=box.epoch,
        stamp=box.clock.stamp(),
        lanes={Lane.D: LaneDepth(accepted=5, acknowledged=1, queued=4, oldest_age_s=9)},
        counters=counters,
    )
    await rig.campus.admission.receive(box.topic(Up.HEARTBEAT), encode_heartbeat(heartbeat))


async def test_it_says_how_the_campus_its_readers_its_boxes_and_its_devices_are(rig: Rig) -> None:
    device = f"{rig.box.edge}/face-1"
    state = {"device": device, "topic": "Device/State/Operating", "values": {"state": "UP", "cause": "heard"}}
    await rig.deliver(rig.passage(), rig.box.event(**state))
    await beat(rig, events_total=17, made_up_total=1)
    found = samples(await page(rig))
    assert value(found, "campus_aggregator_up") == 1
    assert value(found, "campus_aggregator_broker_up") == 1
    assert value(found, "campus_aggregator_ledger_position") == await rig.ledger.head()
    assert value(found, "campus_aggregator_reader_lag", reader="series") == 3
    assert value(found, "campus_aggregator_reader_failing", reader="series") == 1
    assert value(found, "campus_aggregator_admission_total", kind="records") == 2
    assert value(found, "campus_edge_live", edge=rig.box.edge) == 1
    assert value(found, "campus_edge_events_total", edge=rig.box.edge) == 17
    assert value(found, "campus_edge_lane_queued_records", edge=rig.box.edge, lane="D") == 4
    assert value(found, "campus_device_up", device=device) == 1
    assert value(found, "process_start_time_seconds") == rig.campus.started_ns / 1e9
    assert not any("made_up" in name for name, _ in found)


async def test_open_alarms_are_counted_by_kind_and_by_who_has_seen_them(rig: Rig) -> None:
    doors = [f"{rig.box.edge}/door-{number}" for number in (1, 2)]
    forced = [
        rig.box.event(topic="Door/State/DoorAlarm", device=one, values={"state": "DoorForcedOpen"}) for one in doors
    ]
    await rig.deliver(*forced)
    found, *_ = await rig.campus.alarms.page((State.NEW,))
    await rig.campus.alarm_desk.acknowledge(found, "chen")
    counted = samples(await page(rig))
    assert value(counted, "campus_aggregator_alarms_open", kind="door_forced", state="new") == 1
    assert value(counted, "campus_aggregator_alarms_open", kind="door_forced", state="acked") == 1


async def test_nothing_of_a_box_that_is_not_heard_any_more_is_shown_as_new(rig: Rig) -> None:
    state = {"topic": "Device/State/Operating", "values": {"state": "UP", "cause": "heard"}}
    await rig.deliver(rig.box.event(**state))
    await beat(rig, events_total=17)
    rig.clock.advance(EDGE_SILENT_S + 1)
    found = samples(await page(rig))
    assert not any(name.startswith(("campus_edge_", "campus_device_")) for name, _ in found)


async def test_nothing_of_a_person_stands_in_it(rig: Rig) -> None:
    event = rig.passage()
    assert isinstance(event, Event)
    await rig.deliver(event)
    text = await page(rig)
    assert not any(secret in text for secret in (HOLDER, CARD, TAIL, event.id))
