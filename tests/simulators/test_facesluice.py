"""The terminal on virtual time."""

import json

import pytest

from simulators.device import DeviceClock, Memory
from simulators.facesluice import Phase
from simulators.people import Shown, Verdict
from simulators.picture import CANARY
from tests.simulators.rig import PEOPLE, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def online(rig: Rig) -> Rig:
    rig.go_online()
    return rig


def numbers(rig: Rig) -> list[str]:
    return [info.get("RecordID") or "S" + info["SnapID"] for operator, info in rig.sent() if operator.endswith("Push")]


# --- life cycle -----------------------------------------------------------------------------------------


def test_online_is_repeated_until_it_is_acknowledged_and_nothing_else_is_said_before(rig: Rig) -> None:
    rig.swipe()
    rig.terminal.connected(rig.now)
    said = []
    for _ in range(12):
        said += [operator for operator, _ in rig.sent()]
        rig.advance(1.0)
    assert said == ["Online", "Online", "Online"]
    rig.tell("Online-Ack", {"facesluiceId": "1026701", "result": "ok"})
    assert [operator for operator, _ in rig.sent()] == ["RecPush"]


def test_an_online_ack_that_says_fail_does_not_let_the_terminal_in(rig: Rig) -> None:
    rig.terminal.connected(rig.now)
    rig.sent()
    rig.tell("Online-Ack", {"facesluiceId": "1026701", "result": "fail"})
    assert rig.terminal.phase is Phase.ANNOUNCING


def test_heartbeats_come_at_their_interval(online: Rig) -> None:
    beats = []
    for _ in range(185):
        beats += [(online.mono_s, operator) for operator, _ in online.sent()]
        online.advance(1.0)
    assert beats == [(60.0, "HeartBeat"), (120.0, "HeartBeat"), (180.0, "HeartBeat")]


def test_wake_at_names_the_next_moment_something_is_due(online: Rig) -> None:
    assert online.terminal.wake_at() == 60.0
    online.advance(3.0)
    online.swipe()
    online.sent()
    assert online.terminal.wake_at() == 13.0
    online.terminal.disconnected()
    assert online.terminal.wake_at() is None


def test_the_will_says_offline_on_the_shared_topic(rig: Rig) -> None:
    will = rig.terminal.will(rig.now)
    assert will.topic == "mqtt/face/basic"
    assert json.loads(will.payload)["operator"] == "Offline"


# --- records --------------------------------------------------------------------------------------------


def test_a_record_has_the_json_types_of_the_captured_one(online: Rig) -> None:
    online.swipe(PEOPLE[3])
    (message,) = online.raw()
    assert message.topic == "mqtt/face/1026701/Rec"
    info = json.loads(message.payload)["info"]
    for name in ("RecordID", "VerifyStatus", "PersonType", "similarity1", "isNoMask", "customId", "personId"):
        assert isinstance(info[name], str), name
    for name in ("Sendintime", "PushType"):
        assert isinstance(info[name], int), name
    assert [type(edge) for edge in info["targetPosInScene"]] == [int] * 4
    assert info["time"] == "2026-09-01 07:55:10"
    assert info["direction"] == "entr"


def test_a_record_waits_for_its_push_ack_and_is_sent_again_unchanged_but_for_its_lateness(online: Rig) -> None:
    online.swipe()
    (first,) = online.sent()
    online.advance(9.9)
    assert online.sent() == []
    online.advance(0.2)
    (again,) = online.sent()
    assert first[1].pop("Sendintime") == 1
    assert again[1].pop("Sendintime") == 0
    assert again == first


def test_records_go_one_at_a_time_oldest_first(online: Rig) -> None:
    for person in PEOPLE[:3]:
        online.swipe(person)
        online.advance(0.1)
    order = []
    while sent := numbers(online):
        order += sent
        online.push_ack(int(sent[0]))
    assert order == ["1", "2", "3"]
    assert online.memory.owed() == 0


def test_a_window_lets_several_wait_for_their_acks_in_any_order() -> None:
    rig = Rig(window=3)
    rig.go_online()
    for person in PEOPLE[:5]:
        rig.swipe(person)
    assert numbers(rig) == ["1", "2", "3"]
    rig.push_ack(2)
    assert numbers(rig) == ["4"]
    rig.push_ack("1")
    assert numbers(rig) == ["5"]
    rig.advance(10.0)
    assert numbers(rig) == ["3", "4", "5"]


def test_a_push_ack_of_another_kind_or_number_releases_nothing(online: Rig) -> None:
    online.swipe()
    online.sent()
    online.push_ack(1, kind=1)
    online.push_ack(2)
    online.push_ack("one")
    online.terminal.received(b"\xff{", online.now)
    online.terminal.received(b'["PushAck"]', online.now)
    assert online.memory.owed() == 1
    online.push_ack("1")
    assert online.memory.owed() == 0


def test_the_witness_hears_of_a_record_before_the_wire_and_of_its_release_once(online: Rig) -> None:
    record = online.swipe()
    assert record is not None
    assert online.seen.facts == [("produced", record.key)]
    online.sent()
    online.push_ack(1)
    online.push_ack(1)
    assert online.seen.facts == [("produced", record.key), ("released", record.key)]


def test_strangers_are_snaps_in_a_numbering_of_their_own(online: Rig) -> None:
    online.swipe(PEOPLE[0])
    online.swipe(None, Verdict.STRANGER)
    (_, rec), *_ = online.sent()
    assert rec["RecordID"] == "1"
    online.push_ack(1)
    ((operator, snap),) = online.sent()
    assert (operator, snap["SnapID"]) == ("StrSnapPush", "1")
    assert not {"customId", "RecordID", "Sendintime"} & snap.keys()
    online.push_ack(1, kind=1)
    assert online.memory.owed() == 0


def test_verdicts_are_the_protocols_strings(online: Rig) -> None:
    said = []
    for verdict in (Verdict.ALLOWED, Verdict.REFUSED, Verdict.UNREGISTERED):
        online.swipe(PEOPLE[0], verdict)
        ((_, info),) = online.sent()
        said.append((info["VerifyStatus"], bool(info["personName"])))
        online.push_ack(info["RecordID"])
    assert said == [("1", True), ("2", True), ("3", False)]


def test_somebody_enrolled_at_the_terminal_has_no_site_number(online: Rig) -> None:
    guest = next(person for person in PEOPLE if not person.enrolled_on_site)
    online.swipe(guest)
    ((_, info),) = online.sent()
    assert (info["customId"], info["personId"]) == ("", str(guest.index + 1))


def test_a_shown_card_rides_in_the_record(online: Rig) -> None:
    online.swipe(PEOPLE[0], shown=Shown.CARD)
    ((_, info),) = online.sent()
    assert info["RFIDCard"] == PEOPLE[0].card


def test_old_firmware_misspells_the_name() -> None:
    rig = Rig(old_firmware=True)
    rig.go_online()
    rig.swipe()
    ((_, info),) = rig.sent()
    assert "persionName" in info
    assert "personName" not in info


def test_every_picture_carries_the_mark(online: Rig) -> None:
    rig = Rig(scene=True)
    rig.go_online()
    rig.swipe()
    rig.swipe(None, Verdict.STRANGER)
    (rec,) = rig.raw()
    rig.push_ack(1)
    (snap,) = rig.raw()
    for message in (rec, snap):
        info = json.loads(message.payload)["info"]
        assert CANARY in info["pic"]
        assert CANARY in info["scene"]
    assert len(json.loads(rec.payload)["info"]["pic"]) == pytest.approx(2000, abs=4)


# --- outage, power ----------------------------------------------------------------------------------------


def test_a_terminal_off_line_records_on_and_flushes_the_backlog_oldest_first_with_old_times(online: Rig) -> None:
    online.terminal.disconnected()
    for person in PEOPLE[:4]:
        online.swipe(person)
        online.advance(30.0)
    online.go_online()
    flushed = []
    while sent := [info for operator, info in online.sent() if operator == "RecPush"]:
        flushed += [(info["RecordID"], info["time"][-8:], info["Sendintime"]) for info in sent]
        online.push_ack(sent[0]["RecordID"])
    assert flushed == [("1", "07:55:10", 0), ("2", "07:55:40", 0), ("3", "07:56:10", 0), ("4", "07:56:40", 0)]


def test_what_was_in_flight_when_the_connection_broke_is_sent_first_after_it(online: Rig) -> None:
    online.swipe()
    online.swipe()
    assert numbers(online) == ["1"]
    online.terminal.disconnected()
    online.go_online()
    assert numbers(online) == ["1"]


def test_a_power_cut_keeps_the_records_and_the_numbering(rig: Rig) -> None:
    rig.go_online()
    rig.swipe()
    rig.sent()
    rig.terminal.power_off()
    assert rig.swipe() is None
    rig.terminal.power_on()
    after = Rig(memory=rig.memory, clock=rig.clock)
    after.swipe(PEOPLE[1])
    after.go_online()
    assert numbers(after) == ["1"]
    after.push_ack(1)
    assert numbers(after) == ["2"]


def test_a_full_memory_overwrites_the_oldest_and_says_so() -> None:
    rig = Rig(memory=Memory(capacity=3))
    for person in PEOPLE[:5]:
        rig.swipe(person)
    assert [key.number for key in rig.seen.of("overwritten")] == [1, 2]
    rig.go_online()
    assert numbers(rig) == ["3"]


def test_overwriting_an_acknowledged_record_is_no_loss() -> None:
    rig = Rig(memory=Memory(capacity=2))
    rig.go_online()
    for number in range(1, 5):
        rig.swipe()
        assert numbers(rig) == [str(number)]
        rig.push_ack(number)
    assert rig.seen.of("overwritten") == []


def test_a_factory_reset_begins_at_one_again_and_an_old_ack_does_not_touch_the_new_record(online: Rig) -> None:
    online.swipe()
    online.sent()
    online.push_ack(1)
    online.swipe()
    online.terminal.wipe(online.now)
    assert [key.number for key in online.seen.of("wiped")] == [2]
    online.terminal.disconnected()
    online.advance(20)
    online.swipe(PEOPLE[5])
    online.go_online()
    online.push_ack(1)
    assert numbers(online) == ["1"]
    assert online.memory.owed() == 1
    online.push_ack(1)
    assert online.memory.owed() == 0
    assert online.seen.of("released")[-1].run == 1


# --- faults ---------------------------------------------------------------------------------------------


def test_a_device_that_repeats_itself_sends_the_same_bytes_twice() -> None:
    rig = Rig(twice=1.0)
    rig.go_online()
    rig.swipe()
    first, second = rig.raw()
    assert first == second


def test_garbage_is_counted_and_holds_no_readable_record() -> None:
    rig = Rig(garbage=1.0)
    rig.go_online()
    for number in range(1, 200):
        rig.swipe()
        record, noise = rig.raw()
        assert json.loads(record.payload)["info"]["RecordID"] == str(number)
        try:
            message = json.loads(noise.payload)
        except (ValueError, RecursionError):
            message = None
        if isinstance(message, dict) and isinstance(message.get("info"), dict):
            assert not str(message["info"].get("RecordID", "")).isdecimal()
        rig.push_ack(number)
    assert len(rig.seen.of("garbled")) == 199


def test_a_deaf_device_keeps_asking() -> None:
    rig = Rig(deaf=1.0)
    rig.go_online()
    rig.swipe()
    for _ in range(3):
        assert numbers(rig) == ["1"]
        rig.push_ack(1)
        rig.advance(10.0)
    assert rig.memory.owed() == 1


def test_a_wrong_clock_shows_in_every_time_and_can_be_set() -> None:
    rig = Rig(clock=DeviceClock(wrong_by_s=-3600))
    rig.go_online()
    rig.swipe()
    ((_, info),) = rig.sent()
    assert info["time"] == "2026-09-01 06:55:10"
    rig.tell("SetSysTime", {"SysTime": "2026-09-01 07:55:10"}, messageId="m-9")
    rig.push_ack(1)
    rig.swipe()
    times = {info["time"] for operator, info in rig.sent() if operator == "RecPush"}
    assert times == {"2026-09-01 07:55:10"}


def test_a_clock_that_jumps_back_makes_a_later_record_look_earlier(online: Rig) -> None:
    first = online.swipe()
    online.clock.wrong_by_s -= 600
    second = online.swipe()
    assert first is not None
    assert second is not None
    assert second.device_time < first.device_time
    assert second.key.number == first.key.number + 1


def test_qos_is_the_installers() -> None:
    rig = Rig(qos=0)
    rig.terminal.connected(rig.now)
    assert {message.qos for message in rig.raw()} == {0}


def test_without_resume_mode_records_are_said_once_and_only_on_line() -> None:
    rig = Rig(resume=False)
    rig.swipe()
    rig.go_online()
    rig.swipe()
    assert numbers(rig) == ["2"]
    rig.advance(60)
    assert numbers(rig) == []
    assert rig.seen.facts == [("said", "RecPush")]


def test_qr_card_and_alarm_are_said_once_on_their_topics(online: Rig) -> None:
    online.terminal.show_qr("Q-1", online.now)
    online.terminal.show_card("0134217729", online.now)
    online.terminal.alarm("tamper", online.now)
    assert [message.topic.rpartition("/")[2] for message in online.raw()] == ["QRCode", "Card", "Alarm"]
    online.terminal.disconnected()
    online.terminal.alarm("tamper", online.now)
    assert online.seen.of("said") == ["QRCodePush", "CardPush", "AlarmInfoPush"]


# --- commands -------------------------------------------------------------------------------------------


def answer(rig: Rig, operator: str, info: dict[str, object]) -> dict[str, object]:
    rig.tell(operator, info, messageId="m-7")
    (message,) = [one for one in rig.raw() if one.topic.endswith("/Ack")]
    assert message.topic == "mqtt/face/1026701/Ack"
    reply: dict[str, object] = json.loads(message.payload)
    assert reply["messageId"] == "m-7"
    assert reply["operator"] == f"{operator}-Ack"
    return reply


def test_unlock_opens_and_answers_with_a_string_code(online: Rig) -> None:
    assert answer(online, "Unlock", {"openDoor": 1, "showInfo": "hello"})["code"] == "200"
    assert online.terminal.unlocked == 1
    assert answer(online, "Unlock", {})["code"] == "414"
    assert online.terminal.unlocked == 1


def test_get_sys_time_tells_the_local_time(online: Rig) -> None:
    info = answer(online, "GetSysTime", {})["info"]
    assert info == {"facesluiceId": "1026701", "result": "ok", "SysTime": "2026-09-01 07:55:10"}


def test_an_unknown_operator_is_refused(online: Rig) -> None:
    assert answer(online, "MakeCoffee", {})["code"] == "414"


def test_manual_push_sends_a_span_again_marked_as_replayed(online: Rig) -> None:
    for number, person in enumerate(PEOPLE[:3], start=1):
        online.swipe(person)
        online.sent()
        online.push_ack(number)
        online.advance(11)
    reply = answer(online, "ManualPushRecords", {"TimeS": "2026-09-01 07:55:15", "TimeE": "2026-09-01 07:55:32"})
    assert reply["code"] == "200"
    # `answer` polled once already: the first replayed record went out beside the reply and waits for its ack.
    online.push_ack(2)
    ((operator, info),) = online.sent()
    assert (operator, info["RecordID"], info["PushType"], info["Sendintime"]) == ("RecPush", "3", 2, 0)
    online.push_ack(3)
    assert online.sent() == []
    assert answer(online, "ManualPushRecords", {"TimeS": "soon"})["code"] == "414"


def test_reboot_is_asked_of_whoever_runs_the_device(online: Rig) -> None:
    assert answer(online, "RebootDevice", {})["code"] == "200"
    assert online.terminal.reboot_wanted
    online.terminal.power_off()
    assert not online.terminal.reboot_wanted
