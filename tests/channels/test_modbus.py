"""The Modbus channel on virtual time, against units that the test holds in its hands."""

import asyncio
import logging

import pytest

from device_profiles.model import AutoEvent
from edge_agent.channels.modbus_link import ModbusLink
from edge_agent.channels.modbus_post import MAILBOX_MAX, TOGETHER
from edge_agent.codecs.kinds.modbus import Write
from edge_agent.orders import Performed
from simulators.modbus_wire import Unit
from tests.campus.virtual_loop import until, virtual
from tests.channels.modbus_rig import PROFILES, Kind, Peer, Registers, Rig, board, make_link, now_s
from wire.documents import DeviceTuning


@virtual
async def test_a_sensor_is_read_in_its_own_rhythm_without_drift() -> None:
    unit = Registers()
    unit.values = {1: 253, 2: 547}
    rig = Rig({1: ("xy-md02", unit)})
    rig.start()
    await asyncio.sleep(100.5)
    assert rig.values("temperature") == [25.3] * 11
    assert rig.values("humidity") == [54.7] * 11
    # Both in one request, each time.
    assert rig.link.asked == [(1, "input_registers", 1, 2)] * 11
    assert rig.counters["polls_overrun_total"] == 0
    assert rig.up == 1


@virtual
async def test_another_rhythm_is_kept_at_once_and_not_only_after_the_old_one_is_over() -> None:
    unit = Registers()
    rig = Rig({1: ("sdm-meter", unit)})
    rig.start()
    await asyncio.sleep(5)
    reads = unit.reads
    rig.tuned = DeviceTuning(poll_interval_ms=500)
    await asyncio.sleep(10)
    # Energy is asked for every minute by the profile.
    assert len(rig.values("total_energy")) == pytest.approx(1 + 10 / 0.5, abs=3)
    assert unit.reads > reads


@virtual
async def test_a_unit_that_is_alone_on_its_line_is_soon_asked_again() -> None:
    """A door whose board was disturbed for two seconds is not left alone for a minute."""
    door = board()
    rig = Rig({1: ("waveshare-relay-di", door)})
    rig.start()
    await asyncio.sleep(5)
    rig.link.dead = {1}
    await asyncio.sleep(2.5)
    rig.link.dead.clear()
    door.open = True
    await until(lambda: rig.intake.topics("Door/State/DoorPhysicalState") == ["Closed", "Open"], within_s=2)


@virtual
async def test_what_is_no_value_and_what_is_out_of_range_is_told_as_such() -> None:
    unit = Registers()
    unit.values = {1: 0xFFCB, 2: 1500}
    rig = Rig({1: ("xy-md02", unit)})
    rig.start()
    await asyncio.sleep(1)
    assert rig.values("temperature") == [-5.3]
    assert rig.values("humidity", "out_of_range") == [150.0]


@virtual
async def test_a_change_of_a_state_is_told_once_and_the_first_as_known_before() -> None:
    door = board()
    rig = Rig({1: ("waveshare-relay-di", door)})
    rig.start()
    await asyncio.sleep(2)
    door.open = True
    await asyncio.sleep(2)
    door.open = False
    door.pressed = True
    await asyncio.sleep(2)
    contact = [event for event in rig.intake.events if event.topic == "Door/State/DoorPhysicalState"]
    assert [(event.values["state"], event.initialized) for event in contact] == [
        ("Closed", True),
        ("Open", False),
        ("Closed", False),
    ]
    assert [event.topic for event in rig.intake.events].count("Door/RequestToExit") == 1
    assert rig.intake.readings == []


@virtual
async def test_a_contact_that_is_wired_the_other_way_round() -> None:
    rig = Rig({1: ("waveshare-relay-di", board())}, inverted=["contact"])
    rig.start()
    await asyncio.sleep(1)
    assert rig.intake.topics("Door/State/DoorPhysicalState") == ["Open"]


@virtual
async def test_a_state_that_could_not_be_kept_is_told_again() -> None:
    door = board()
    rig = Rig({1: ("waveshare-relay-di", door)})
    rig.start()
    await asyncio.sleep(1)
    rig.intake.full = True
    door.open = True
    await asyncio.sleep(1)
    rig.intake.full = False
    await asyncio.sleep(1)
    contact = [event for event in rig.intake.events if event.topic == "Door/State/DoorPhysicalState"]
    assert [(event.values["state"], event.initialized) for event in contact] == [("Closed", True), ("Open", False)]


@pytest.mark.parametrize(("kind", "count", "turn_s"), [("rtu", 32, 0.02), ("tcp", 10, 0.05)])
@virtual
async def test_one_dead_unit_costs_its_neighbours_less_than_a_twentieth(kind: Kind, count: int, turn_s: float) -> None:
    """Of thirty-two on a line, of ten behind one endpoint; pymodbus in between, bytes on the wire."""
    units = {number: Registers() for number in range(1, count + 1)}
    for number, unit in units.items():
        unit.values = {1: 10 * number}
    peer = Peer(kind, dict(units))
    peer.spoil = lambda frame: [(turn_s, frame)]

    async def dial() -> ModbusLink:
        return await peer.connect(make_link(kind, reply_within_s=0.5))

    rig = Rig({number: ("xy-md02", unit) for number, unit in units.items()}, dial=dial)
    rig.tuned = DeviceTuning(poll_interval_ms=1000)
    rig.start()
    await asyncio.sleep(10)
    peer.line.dead.add(7)
    before = {number: unit.reads for number, unit in units.items()}
    span_s = 200
    await asyncio.sleep(span_s)
    missed = {number: 1 - (unit.reads - before[number]) / span_s for number, unit in units.items() if number != 7}
    assert max(missed.values()) < 0.05, missed
    # Nobody was told what another one said.
    assert all(set(rig.values("temperature", device=f"gate-1/u{number}")) == {number} for number in units)
    # Asked now and then, less and less, and back as soon as it answers.
    asked_in_vain = peer.line.asked[7] - before[7]
    assert 3 <= asked_in_vain < 20
    assert rig.intake.topics("Device/State/Operating") == ["UP"] * count + ["DOWN"]
    peer.line.dead.clear()
    await asyncio.sleep(62)
    assert rig.intake.topics("Device/State/Operating")[-1] == "UP"


@virtual
async def test_a_unit_that_comes_back_is_read_again() -> None:
    unit = Registers()
    rig = Rig({1: ("xy-md02", unit)})
    rig.link.dead = {1}
    rig.start()
    await asyncio.sleep(195)
    assert rig.values("temperature") == []
    assert rig.link.pauses == len(rig.link.asked)
    rig.link.dead.clear()
    await until(lambda: rig.values("temperature"), within_s=90)
    assert rig.intake.topics("Device/State/Operating") == ["DOWN", "UP"]


@virtual
async def test_an_old_value_is_told_once_as_stale_and_never_as_good() -> None:
    unit = Registers()
    unit.values = {1: 253}
    rig = Rig({1: ("xy-md02", unit)})
    rig.start()
    await asyncio.sleep(25)
    told = len(rig.values("temperature"))
    rig.link.dead = {1}
    await asyncio.sleep(600)
    assert len(rig.values("temperature")) == told
    assert rig.values("temperature", "stale") == [25.3]
    rig.link.dead.clear()
    await asyncio.sleep(90)
    assert len(rig.values("temperature")) > told
    assert rig.values("temperature", "stale") == [25.3]


@virtual
async def test_a_refused_register_is_found_its_neighbours_are_read_and_it_is_two_log_lines(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="edge_agent.channels.modbus")
    # voltage 0-1, current 6-7, active_power 12-13, power_factor 30-31: none at 0x0C.
    unit = Registers(missing=frozenset({0x0C}))
    unit.values = {0x46: 0x4248, 0x47: 0}
    rig = Rig({1: ("sdm-meter", unit)})
    rig.start()
    await asyncio.sleep(25)
    assert rig.values("active_power") == []
    for resource in ("voltage", "current", "power_factor", "frequency"):
        assert len(rig.values(resource)) == 3, resource
    # Found in the first turn; later turns ask for the others only.
    first = len([one for one in rig.link.asked if one[2] <= 0x46])
    await asyncio.sleep(10)
    assert len([one for one in rig.link.asked if one[2] <= 0x46]) - first <= 4
    # Tried again, and refused again, without another word.
    await asyncio.sleep(1300)
    unit.missing = frozenset()
    await asyncio.sleep(620)
    assert rig.values("active_power")
    lines = [record for record in caplog.records if "refuse" in record.message]
    assert [line.message for line in lines] == ["device refuses a resource", "device refuses no more"]
    assert {line.resource for line in lines} == {"active_power"}


@virtual
async def test_what_a_device_must_not_be_asked_in_vain_is_never_asked() -> None:
    plain = PROFILES["sdm-meter"]
    forbidden = {"primary_table": "input_registers", "first": 0x08, "last": 0x0B}
    careful = plain.model_copy(update={"attributes": {"forbidden": [forbidden], "registers_max": 10}})
    for profile, reads_it in ((plain, True), (careful, False)):
        rig = Rig({1: (profile, Registers())})
        rig.start()
        await asyncio.sleep(1)
        asked = {spot for _, _, first, count in rig.link.asked for spot in range(first, first + count)}
        assert bool(asked & set(range(0x08, 0x0C))) == reads_it
        assert {0x06, 0x07, 0x0C, 0x0D} <= asked
    assert max(count for _, _, _, count in rig.link.asked) <= 10


@virtual
async def test_a_value_is_told_when_it_changes_and_besides_every_minute() -> None:
    plain = PROFILES["xy-md02"]
    quick = AutoEvent(source="temperature", interval_ms=1000, on_change=True)
    profile = plain.model_copy(update={"auto_events": (quick, AutoEvent(source="temperature", interval_ms=60_000))})
    unit = Registers()
    unit.values = {1: 200}
    rig = Rig({1: (profile, unit)})
    rig.start()
    await asyncio.sleep(30.5)
    unit.values = {1: 210}
    await asyncio.sleep(1.0)
    # At the start by both rhythms, then the change.
    assert rig.values("temperature") == [20.0, 20.0, 21.0]
    await asyncio.sleep(100)
    assert rig.values("temperature") == [20.0, 20.0, 21.0, 21.0, 21.0]


@virtual
async def test_a_button_that_comes_with_the_door_is_told_before_it() -> None:
    door = board()
    rig = Rig({1: ("waveshare-relay-di", door)})
    rig.start()
    await asyncio.sleep(1)
    door.open = door.pressed = True
    await asyncio.sleep(1)
    assert [event.topic for event in rig.intake.events][-2:] == ["Door/RequestToExit", "Door/State/DoorPhysicalState"]


@virtual
async def test_polls_of_a_unit_never_overlap_and_wait_while_the_disk_does() -> None:
    unit = Registers()
    rig = Rig({1: ("xy-md02", unit)})
    rig.tuned = DeviceTuning(poll_interval_ms=100)
    rig.intake.stuck = asyncio.Event()
    rig.start()
    await asyncio.sleep(600)
    # What waits is bounded; what was not asked meanwhile is counted.
    assert unit.reads <= MAILBOX_MAX + 2 * TOGETHER
    assert rig.channel.health().waiting <= MAILBOX_MAX + TOGETHER
    assert rig.link.at_once == 1
    rig.intake.stuck.set()
    await asyncio.sleep(1)
    assert rig.counters["polls_overrun_total"] + unit.reads == pytest.approx(6010, abs=3)


@virtual
async def test_an_overrun_is_said_once_and_its_end_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="edge_agent.channels.modbus")
    units = {number: Registers() for number in range(1, 11)}
    rig = Rig({number: ("xy-md02", unit) for number, unit in units.items()})
    rig.tuned = DeviceTuning(poll_interval_ms=100)
    rig.start()
    await asyncio.sleep(30)
    rig.tuned = DeviceTuning(poll_interval_ms=1000)
    await asyncio.sleep(120)
    said = [record.message for record in caplog.records if "line" in record.message]
    assert said == ["line too slow for its intervals; turns are left out", "line keeps up again"]


@virtual
async def test_turns_that_a_slow_line_cannot_serve_are_counted_and_do_not_pile_up() -> None:
    units = {number: Registers() for number in range(1, 11)}
    rig = Rig({number: ("xy-md02", unit) for number, unit in units.items()})
    rig.tuned = DeviceTuning(poll_interval_ms=100)
    rig.start()
    await asyncio.sleep(60)
    # Fifty requests a second are possible, a hundred are wanted; everybody gets the same share.
    reads = [unit.reads for unit in units.values()]
    assert max(reads) / min(reads) < 1.1
    served = sum(reads)
    assert served == pytest.approx(60 / 0.02, rel=0.02)
    assert served + rig.counters["polls_overrun_total"] == pytest.approx(10 * 60 / 0.1, rel=0.02)


@virtual
async def test_the_door_is_opened_by_the_boards_own_timer() -> None:
    door = board()
    rig = Rig({1: ("waveshare-relay-di", door)})
    rig.start()
    await asyncio.sleep(1)
    assert await rig.channel.perform(rig.order()) == Performed("succeeded")
    assert rig.link.written == [(1, Write("coils", 0x0200, (50,)))]
    await asyncio.sleep(1)
    assert rig.intake.topics("Door/State/LockPhysicalState") == ["Locked", "Unlocked"]
    await asyncio.sleep(6)
    assert rig.intake.topics("Door/State/LockPhysicalState") == ["Locked", "Unlocked", "Locked"]
    assert door.strikes == 1


@virtual
async def test_an_order_waits_for_one_request_at_most() -> None:
    units: dict[int, tuple[str, Unit]] = {number: ("xy-md02", Registers()) for number in range(2, 30)}
    rig = Rig({1: ("waveshare-relay-di", board()), **units})
    rig.tuned = DeviceTuning(poll_interval_ms=50)
    rig.start()
    await asyncio.sleep(5)
    began = now_s()
    assert (await rig.channel.perform(rig.order())).result == "succeeded"
    assert now_s() - began <= 2 * rig.link.turn_s + 1e-6


@virtual
async def test_nothing_is_sent_after_the_deadline_nor_to_a_unit_that_is_silent_nor_without_a_line() -> None:
    rig = Rig({1: ("waveshare-relay-di", board())})
    assert (await rig.channel.perform(rig.order())).result == "unreachable"
    task = rig.start()
    await asyncio.sleep(1)
    assert (await rig.channel.perform(rig.order(within_s=0))).result == "unreachable"
    rig.link.dead = {1}
    await asyncio.sleep(5)
    assert (await rig.channel.perform(rig.order())).result == "unreachable"
    assert rig.link.written == []
    task.cancel()


@virtual
async def test_an_order_without_an_answer_is_unknown_and_never_sent_again() -> None:
    rig = Rig({1: ("waveshare-relay-di", board())})
    rig.start()
    await asyncio.sleep(1)
    rig.link.dead = {1}
    assert await rig.channel.perform(rig.order()) == Performed("unknown", "no_answer")
    await asyncio.sleep(60)
    assert len(rig.link.written) == 1


@virtual
async def test_an_order_that_the_unit_refuses_is_rejected() -> None:
    rig = Rig({1: ("waveshare-relay-di", Registers())})
    rig.start()
    await asyncio.sleep(1)
    assert await rig.channel.perform(rig.order()) == Performed("rejected", "illegal_function")


@virtual
async def test_a_line_that_goes_away_ends_the_run_and_what_was_sent_on_it_is_unknown() -> None:
    rig = Rig({1: ("waveshare-relay-di", board())})
    task = rig.start()
    await asyncio.sleep(1.001)
    rig.link.gone = True
    assert (await rig.channel.perform(rig.order())).result == "unknown"
    with pytest.raises(ConnectionError):
        await task
    assert rig.link.closed
    assert not rig.channel.health().connected
