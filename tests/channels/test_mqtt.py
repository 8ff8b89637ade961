import logging
from dataclasses import replace

import pytest

from edge_agent.channels.mqtt import IN_FLIGHT, MAILBOX_MAX, UNSENT_MAX
from edge_agent.channels.reception import KEPT_MAX
from edge_agent.codecs.facesluice import SPEC
from edge_agent.supervise import RefusedError
from tests.channels.rig import DEVICES, PREFIX, Rig, eventually, push_ack, rec_topic, record, settled
from tests.translate.profiles import with_mappings
from wire.errors import Malformed
from wire.mqtt_link import LinkError, LinkRefused

FIRST, SECOND = DEVICES
ONLINE = {"operator": "Online", "info": {"facesluiceId": FIRST, "time": "2026-09-01 07:30:00"}}
QR = {
    "operator": "QRCodePush",
    "info": {"facesluiceId": FIRST, "time": "2026-09-01 08:01:00", "QRCodeInfo": "VISIT-42"},
}


async def test_neither_device_nor_broker_is_told_before_the_commit() -> None:
    rig = Rig()
    async with rig.running() as link:
        rig.intake.gate.clear()
        token = link.deliver(rec_topic(), record(1))
        await eventually(lambda: rig.intake.waiting == 1)
        await settled()
        assert (link.sent, link.puback) == ([], [])
        rig.intake.gate.set()
        await eventually(lambda: link.puback == [token])
        assert link.sent == [push_ack(1)]
        assert link.order == ["told", "puback"]


async def test_repeat_and_conflict_are_told_and_stored_once() -> None:
    rig = Rig()
    async with rig.running() as link:
        link.deliver(rec_topic(), record(1))
        link.deliver(rec_topic(), record(1, Sendintime=0))
        link.deliver(rec_topic(), record(1, VerifyStatus="2"))
        await eventually(lambda: len(link.puback) == 3)
    assert link.sent == [push_ack(1)] * 3
    assert len(rig.intake.events()) == 1
    # The third event is that the device is up.
    assert rig.counted("messages", "events", "repeats", "conflicts") == [3, 2, 1, 1]


async def test_a_full_lane_is_not_told_to_the_device_as_success() -> None:
    rig = Rig()
    async with rig.running() as link:
        rig.intake.full = True
        link.deliver(rec_topic(), record(1))
        await eventually(lambda: len(link.puback) == 1)
        assert link.sent == []
        rig.intake.full = False
        link.deliver(rec_topic(), record(1))
        await eventually(lambda: len(link.puback) == 2)
    assert link.sent == [push_ack(1)]
    assert len(rig.intake.events()) == 1


async def test_a_state_that_the_full_lane_refused_is_said_later() -> None:
    rig = Rig()
    async with rig.running() as link:
        rig.intake.full = True
        link.deliver(f"{PREFIX}/basic", ONLINE)
        await eventually(lambda: len(link.puback) == 1)
        assert rig.intake.states() == []
        rig.intake.full = False
        link.deliver(f"{PREFIX}/basic", ONLINE)
        await eventually(lambda: len(link.puback) == 2)
    assert rig.intake.states() == [("gate-1/face-1", "UP", True)]


async def test_online_is_answered_and_makes_the_device_up() -> None:
    rig = Rig()
    async with rig.running() as link:
        link.deliver(f"{PREFIX}/basic", ONLINE)
        await eventually(lambda: bool(link.sent))
        link.deliver(f"{PREFIX}/basic", {"operator": "Offline", "info": {"facesluiceId": FIRST}})
        await eventually(lambda: len(link.puback) == 2)
    answer = {"operator": "Online-Ack", "info": {"facesluiceId": FIRST, "result": "ok"}}
    assert link.sent == [(f"{PREFIX}/{FIRST}", answer)]
    assert rig.intake.states() == [("gate-1/face-1", "UP", True), ("gate-1/face-1", "DOWN", False)]
    assert rig.intake.events() == []


async def test_a_device_that_no_setting_names_is_quarantined_and_never_told(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    async with rig.running() as link:
        for _ in range(2):
            link.deliver(rec_topic("999"), record(1, device="999"))
        link.deliver(f"{PREFIX}/basic", {"operator": "Online", "info": {"facesluiceId": "999"}})
        await eventually(lambda: len(link.puback) == 3)
    assert link.sent == []
    assert rig.intake.records == []
    assert rig.counters["unknown_device_total"] == 3
    assert {(device, reason) for device, reason, _ in rig.quarantine} == {("gate-1/?", "unknown_device")}
    assert [entry.message for entry in caplog.records] == ["message from a device that no setting names"]


async def test_bytes_that_make_no_sense_are_quarantined_and_the_next_message_goes_on() -> None:
    rig = Rig()
    async with rig.running() as link:
        link.deliver(rec_topic(), b"\x00\xff")
        link.deliver(rec_topic(), record(2))
        await eventually(lambda: len(link.puback) == 2)
    assert rig.quarantine == [("gate-1/face-1", "not_text", b"\x00\xff")]
    assert link.sent == [push_ack(2)]


async def test_a_flood_of_garbage_fills_only_its_share_of_the_quarantine() -> None:
    rig = Rig()
    async with rig.running() as link:
        for _ in range(KEPT_MAX + 30):
            link.deliver(rec_topic(), b"garbage")
        link.deliver(rec_topic(SECOND), b"garbage")
        await eventually(lambda: len(link.puback) == KEPT_MAX + 31)
        assert rig.counters["discarded_total"] == KEPT_MAX + 31
        assert [device for device, _, _ in rig.quarantine].count("gate-1/face-1") == KEPT_MAX
        assert rig.quarantine[-1][0] == "gate-1/face-2"
        rig.clock.advance(61)
        link.deliver(rec_topic(), b"garbage")
        await eventually(lambda: len(link.puback) == KEPT_MAX + 32)
        assert [device for device, _, _ in rig.quarantine].count("gate-1/face-1") == KEPT_MAX + 1


async def test_a_message_without_meaning_is_quarantined_and_told_so_that_the_device_goes_on() -> None:
    granted = {"source": "rec_push", "topic": "AccessControl/AccessGranted/Credential", "when": {"verify_status": 1}}
    rig = Rig(profile=with_mappings(granted))
    async with rig.running() as link:
        link.deliver(rec_topic(), record(3, VerifyStatus="77"))
        await eventually(lambda: len(link.puback) == 1)
    assert rig.counters["unmapped_total"] == 1
    assert [(device, reason) for device, reason, _ in rig.quarantine] == [("gate-1/face-1", "unmapped")]
    assert link.sent == [push_ack(3)]


async def test_our_own_fault_with_one_device_stops_no_other_and_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from edge_agent.channels import reception

    def fails_for_the_first(profile, device, message, pseudonymiser):
        if device.id == "gate-1/face-1":
            raise KeyError(message.holder.number.reveal())
        return real(profile, device, message, pseudonymiser)

    real = reception.translate
    monkeypatch.setattr(reception, "translate", fails_for_the_first)
    rig = Rig()
    async with rig.running() as link:
        for number in (1, 2):
            link.deliver(rec_topic(FIRST), record(number))
            link.deliver(rec_topic(SECOND), record(number, device=SECOND))
        await eventually(lambda: len(link.puback) == 4)
    assert link.sent == [push_ack(1, device=SECOND), push_ack(2, device=SECOND)]
    assert len(rig.intake.events(of="face-2")) == 2
    assert rig.counters["device_errors_total"] == 2
    errors = [entry for entry in caplog.records if entry.levelno == logging.ERROR]
    assert len(errors) == 1
    assert "20260001" not in str(vars(errors[0]))


async def test_a_codec_that_breaks_its_promise_does_not_end_the_link(monkeypatch: pytest.MonkeyPatch) -> None:
    rig = Rig()

    def decode(prefix, topic, payload):
        if b"poison" in payload:
            raise ZeroDivisionError
        return SPEC.decode(prefix, topic, payload)

    monkeypatch.setattr(rig.channel, "_codec", replace(SPEC, decode=decode))
    async with rig.running() as link:
        link.deliver(rec_topic(), b"poison")
        link.deliver(rec_topic(), record(1))
        await eventually(lambda: len(link.puback) == 2)
    assert link.sent == [push_ack(1)]
    assert [(device, reason) for device, reason, _ in rig.quarantine] == [("gate-1/?", "codec_error")]
    assert rig.counted("device_errors", "discarded") == [1, 1]


async def test_a_record_that_breaks_a_limit_stops_no_other() -> None:
    rig = Rig()
    async with rig.running() as link:
        rig.intake.error = Malformed("value too long")
        link.deliver(rec_topic(), record(1))
        await eventually(lambda: len(link.puback) == 1)
        rig.intake.error = None
        link.deliver(rec_topic(), record(2))
        await eventually(lambda: len(link.puback) == 2)
    assert link.sent == [push_ack(2)]
    assert rig.counters["device_errors_total"] == 1


async def test_messages_wait_for_their_commit_together() -> None:
    rig = Rig()
    async with rig.running() as link:
        rig.intake.gate.clear()
        for number in range(IN_FLIGHT + 5):
            link.deliver(rec_topic(), record(number))
        await eventually(lambda: rig.intake.waiting == IN_FLIGHT)
        await settled()
        assert rig.intake.waiting == IN_FLIGHT
        rig.intake.gate.set()
        await eventually(lambda: len(link.puback) == IN_FLIGHT + 5)
    assert [event.source and event.source.record_no for event in rig.intake.events()] == list(range(IN_FLIGHT + 5))


async def test_a_full_mailbox_stops_the_reading_and_drops_nothing() -> None:
    rig = Rig()
    count = IN_FLIGHT + MAILBOX_MAX + 3
    async with rig.running() as link:
        rig.intake.gate.clear()
        for number in range(count):
            link.deliver(rec_topic(), record(number), qos=0)
            if number % 50 == 0:
                await settled()
        await settled()
        assert link.paused
        assert rig.channel.health().waiting == count
        rig.intake.gate.set()
        await eventually(lambda: len(link.sent) == count)
        assert not link.paused
    assert link.pauses == 1
    assert len(rig.intake.events()) == count


async def test_a_backlog_that_comes_with_the_connection_is_not_read_past_the_mailbox(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A persistent session delivers before our subscription is granted; the grant must still be read."""
    rig = Rig()
    connect = rig.channel._connect

    async def with_backlog(on_message):
        link = await connect(on_message)
        for number in range(MAILBOX_MAX):
            link.deliver(rec_topic(), record(number))
        subscribe = link.subscribe

        async def granted_when_read(*filters, qos=1):
            await eventually(lambda: not link.paused)
            await subscribe(*filters, qos=qos)

        link.subscribe = granted_when_read
        return link

    monkeypatch.setattr(rig.channel, "_connect", with_backlog)
    async with rig.running() as link:
        await eventually(lambda: len(link.puback) == MAILBOX_MAX)
    assert link.pauses == 1
    assert rig.ups == 1


async def test_a_retained_message_is_a_copy_and_makes_nothing() -> None:
    rig = Rig()
    async with rig.running() as link:
        link.deliver(rec_topic(), record(1), retain=True)
        link.deliver(f"{PREFIX}/basic", ONLINE, retain=True)
        await eventually(lambda: len(link.puback) == 2)
    assert rig.intake.records == []
    assert link.sent == []


async def test_what_was_read_is_committed_when_the_link_ends_and_the_next_link_is_told() -> None:
    rig = Rig()
    rig.intake.gate.clear()
    async with rig.running() as first:
        first.deliver(rec_topic(), record(1))
        await eventually(lambda: rig.intake.waiting == 1)
        first.end()
        await settled()
        rig.intake.gate.set()
    assert isinstance(rig.ended, LinkError)
    assert (first.sent, first.puback) == ([], [])
    assert len(rig.intake.events()) == 1
    async with rig.running() as second:
        second.deliver(rec_topic(), record(1))
        await eventually(lambda: len(second.puback) == 1)
    assert second.sent == [push_ack(1)]
    assert len(rig.intake.events()) == 1


async def test_a_message_without_number_that_the_broker_sends_again_is_taken_once() -> None:
    rig = Rig()
    topic = f"{PREFIX}/{FIRST}/QRCode"
    async with rig.running() as first:
        first.deliver(topic, QR)
        await eventually(lambda: len(first.puback) == 1)
    for _ in range(2):
        async with rig.running() as link:
            link.deliver(topic, QR)
            await eventually(lambda link=link: len(link.puback) == 1)
    assert len(rig.intake.events()) == 1
    assert rig.counters["repeats_total"] == 2


async def test_the_same_code_shown_twice_on_one_link_is_two_events() -> None:
    rig = Rig()
    async with rig.running() as link:
        for _ in range(2):
            link.deliver(f"{PREFIX}/{FIRST}/QRCode", QR)
        await eventually(lambda: len(link.puback) == 2)
    assert len(rig.intake.events()) == 2


async def test_the_box_decides_between_translation_and_commit() -> None:
    seen = []

    def decide(device, message, drafts):
        seen.append((device.info.id, message.kind, len(rig.intake.records)))
        return drafts * 2

    rig = Rig(decide)
    async with rig.running() as link:
        link.deliver(f"{PREFIX}/{FIRST}/QRCode", QR)
        await eventually(lambda: len(link.puback) == 1)
    assert seen == [("gate-1/face-1", "qr_code_push", 0)]
    assert len(rig.intake.events()) == 2


async def test_silence_is_reported_while_the_broker_is_away_too() -> None:
    rig = Rig()
    async with rig.running() as link:
        link.deliver(f"{PREFIX}/basic", ONLINE)
        await eventually(lambda: len(link.puback) == 1)
    rig.connect_error = LinkError("no route")
    rig.clock.advance(rig.profile.liveness.interval_s * rig.profile.liveness.missed + 1)
    with pytest.raises(LinkError):
        await rig.channel.run(lambda: None)
    assert rig.intake.states()[-2:] == [("gate-1/face-1", "DOWN", False), ("gate-1/face-2", "DOWN", True)]
    health = rig.channel.health()
    assert (health.connected, health.devices_up, health.devices_down) == (False, 0, 2)


async def test_a_broker_that_says_no_is_tried_again_only_after_the_longest_wait() -> None:
    rig = Rig()
    rig.connect_error = LinkRefused("bad password")
    with pytest.raises(RefusedError):
        await rig.channel.run(lambda: None)


async def test_a_closed_intake_ends_the_channel_and_confirms_nothing() -> None:
    from edge_agent.intake import IntakeClosedError

    rig = Rig()
    async with rig.running() as link:
        rig.intake.error = IntakeClosedError("disk failed")
        link.deliver(rec_topic(), record(1))
        await eventually(link.closed.is_set)
    assert isinstance(rig.ended, IntakeClosedError)
    assert (link.sent, link.puback) == ([], [])


async def test_a_broker_that_has_forgotten_our_session_is_noticed(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    for remembers in (False, True, False):
        rig.broker_remembers = remembers
        async with rig.running():
            pass
    assert [entry.message for entry in caplog.records] == ["the broker has forgotten our session"]


async def test_a_broker_that_refuses_our_acknowledgements_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    async with rig.running() as link:
        link.refuse = LinkRefused
        for number in (1, 2):
            link.deliver(rec_topic(), record(number))
        await eventually(lambda: len(link.puback) == 2)
    assert [entry.message for entry in caplog.records] == [
        "the broker refuses what we say to devices; look at its access list"
    ]


async def test_the_first_acknowledgement_of_a_link_asks_whether_we_may_speak_the_others_do_not() -> None:
    rig = Rig()
    for _ in range(2):
        async with rig.running() as link:
            for number in range(3):
                link.deliver(rec_topic(), record(rig.clock.mono_ns() + number))
            await eventually(lambda: len(link.puback) == 3)
            assert [qos for qos, _ in link.how] == [1, 0, 0]
        rig.clock.advance(1)


async def test_a_broker_that_takes_nothing_gets_only_so_many_acknowledgements() -> None:
    """The devices ask again; a queue without end would help nobody."""
    rig = Rig()
    async with rig.running() as link:
        link.stuck = True
        for number in range(UNSENT_MAX + 20):
            link.deliver(rec_topic(), record(number))
        await eventually(lambda: len(link.puback) == UNSENT_MAX + 20)
        assert len(link.sent) == UNSENT_MAX
        link.stuck = False
        link.deliver(rec_topic(), record(UNSENT_MAX + 21))
        await eventually(lambda: len(link.sent) == UNSENT_MAX + 1)
