import ast
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge_agent import translate as module
from edge_agent.cards import card_text
from edge_agent.draft import NO_ID, NO_STAMP, Draft
from edge_agent.message import Holder, Message, RawCredential, Secret
from edge_agent.translate import DeviceInfo, Unmapped, read_device_time, translate
from tests.support.clock import VirtualClock
from tests.translate.profiles import facesluice_profile, with_mappings
from wire.clock import NS_PER_S, parse_utc
from wire.identity import Pseudonymiser, SourceKey, is_ordered
from wire.records import CredentialKind, Event, encode_record, fingerprint

DEVICE = DeviceInfo("gate-1/face-1", "Asia/Shanghai")
OTHER_DEVICE = DeviceInfo("gate-1/face-2", "Asia/Shanghai")
KEY = Pseudonymiser(bytes(range(32)))
GRANTED, DENIED, STATE = (
    "AccessControl/AccessGranted/Credential",
    "AccessControl/Denied/Credential",
    "Door/State/DoorPhysicalState",
)


def event(*mappings: dict, device: DeviceInfo = DEVICE, **message: object) -> Event:
    """The one event of a message of kind rec_push."""
    profile = with_mappings(*({"source": "rec_push", "topic": GRANTED} | mapping for mapping in mappings))
    drafts = translate(profile, device, Message(kind="rec_push", **message), KEY)
    assert not isinstance(drafts, Unmapped)
    (draft,) = drafts
    assert isinstance(draft.record, Event)
    return draft.record


# --- which mapping -----------------------------------------------------------------------------------


def test_the_first_mapping_that_matches_is_taken() -> None:
    mappings = [{"when": {"verify_status": 2}, "topic": DENIED}, {"when": {"verify_status": [1, 2]}}, {"topic": STATE}]
    assert event(*mappings, fields={"verify_status": 2}).topic == DENIED
    assert event(*mappings, fields={"verify_status": 1}).topic == GRANTED
    assert event(*mappings, fields={"verify_status": 9}).topic == STATE
    assert event(*mappings).topic == STATE


def test_all_of_when_must_match() -> None:
    mappings = [{"when": {"verify_status": 1, "person_type": 0}}, {"topic": DENIED}]
    assert event(*mappings, fields={"verify_status": 1, "person_type": 0}).topic == GRANTED
    assert event(*mappings, fields={"verify_status": 1, "person_type": 1}).topic == DENIED
    assert event(*mappings, fields={"verify_status": 1}).topic == DENIED


def test_true_is_not_one() -> None:
    mappings = [{"when": {"verify_status": 1}}, {"topic": DENIED}]
    assert event(*mappings, fields={"verify_status": True}).topic == DENIED


def test_a_message_that_no_mapping_wants_is_not_lost_silently() -> None:
    profile = with_mappings({"source": "rec_push", "topic": GRANTED, "when": {"verify_status": 1}})
    assert translate(profile, DEVICE, Message(kind="rec_push", fields={"verify_status": 2}), KEY) == Unmapped(
        "rec_push"
    )
    assert translate(profile, DEVICE, Message(kind="card_push", fields={"verify_status": 1}), KEY) == Unmapped(
        "card_push"
    )


# --- what it becomes ---------------------------------------------------------------------------------


def test_only_the_named_values_are_carried() -> None:
    fields = {"mask": "missing", "temperature": 36.5, "otype": 3}
    assert event({"values": ["mask", "alarm_type"]}, fields=fields).values == {"mask": "missing"}
    assert event({"values": {"body": "temperature"}}, fields=fields).values == {"body": 36.5}


DIRECTION = {"direction": {"field": "direction", "values": {"entr": "in", 2: "out"}}}


@pytest.mark.parametrize(
    ("fields", "direction", "values"),
    [
        ({"direction": "entr"}, "in", {}),
        ({"direction": 2}, "out", {}),
        ({"direction": "sideways"}, "", {"direction": "sideways"}),
        ({}, "", {}),
    ],
)
def test_an_unknown_direction_is_left_open_and_kept(fields: dict, direction: str, values: dict) -> None:
    made = event(DIRECTION, fields=fields)
    assert (made.direction, made.values) == (direction, values)


@pytest.mark.parametrize(
    ("fields", "values"),
    [
        ({"alarm_type": 0}, {"state": "Closed"}),
        ({"alarm_type": "x"}, {"state": "Open"}),
        ({"alarm_type": 7}, {"state": "Unknown", "state_raw": 7}),
        ({"alarm_type": False}, {"state": "Unknown", "state_raw": False}),
        ({}, {"state": "Unknown"}),
    ],
)
def test_an_unknown_state_is_unknown_and_its_code_kept(fields: dict, values: dict) -> None:
    state = {"topic": STATE, "state": {"field": "alarm_type", "values": {0: "Closed", "x": "Open"}}}
    assert event(state, fields=fields).values == values


def test_a_draft_has_neither_id_nor_stamp_and_its_record_differs_in_nothing_else() -> None:
    made = event({"values": ["mask"]}, fields={"mask": "missing"}, record_no=7, device_time="2026-09-01 07:55:10")
    assert (made.id, made.stamp) == (NO_ID, NO_STAMP)
    record = Draft(made).stamped("ab" * 16, VirtualClock().stamp())
    assert isinstance(record, Event)
    assert record.id == "ab" * 16
    assert fingerprint(record) == fingerprint(made)
    encode_record(record)


def test_sent_again_late_or_by_hand_it_is_the_same_record() -> None:
    first, again = (event({}, record_no=7, replayed=replayed) for replayed in (False, True))
    assert again.replayed
    assert fingerprint(first) == fingerprint(again)


# --- people ------------------------------------------------------------------------------------------


def holder_of(number: str, scope: str, device: DeviceInfo = DEVICE, **mapping: bool) -> str | None:
    return event({"holder": True} | mapping, device=device, holder=Holder(Secret(number), scope)).holder_ref


def test_a_number_of_the_school_is_one_person_on_every_device_and_a_device_s_own_number_is_not() -> None:
    assert holder_of("17", "site") == holder_of("17", "site", OTHER_DEVICE)
    assert len({holder_of("17", "site"), holder_of("17", "device"), holder_of("17", "device", OTHER_DEVICE)}) == 3


def test_people_and_credentials_are_left_out_unless_the_mapping_asks() -> None:
    message = {"holder": Holder(Secret("17")), "credential": RawCredential(CredentialKind.CARD, Secret("0012345678"))}
    bare = event({}, **message)
    assert (bare.holder_ref, bare.credential) == (None, None)
    full = event({"holder": True, "credential": True}, **message)
    assert full.holder_ref is not None
    assert full.credential is not None


def card(number: str, kind: CredentialKind = CredentialKind.CARD) -> tuple[str | None, str]:
    credential = event({"credential": True}, credential=RawCredential(kind, Secret(number))).credential
    assert credential is not None
    return credential.ref, credential.tail


def test_a_card_is_one_card_however_it_is_spelled() -> None:
    assert card("0012345678") == card("12345678")
    assert card("04:a1:b2:c3") == card("04A1B2C3") == card("04-A1-b2-C3")
    assert card("12345678") != card("12345679")


@pytest.mark.parametrize(
    ("number", "tail"), [("0012345678", "5678"), ("1234567", ""), ("00001234", ""), ("04A1B2C3", "B2C3")]
)
def test_the_tail_never_shows_more_than_half(number: str, tail: str) -> None:
    assert card(number)[1] == tail


def test_only_cards_have_a_tail_and_kinds_are_kept_apart() -> None:
    assert card("12345678", CredentialKind.QR)[1] == ""
    assert card("12345678", CredentialKind.QR)[0] != card("12345678")[0]


def test_a_face_has_a_kind_and_nothing_else() -> None:
    credential = event({"credential": True}, credential=RawCredential(CredentialKind.FACE)).credential
    assert credential is not None
    assert (credential.kind, credential.ref, credential.tail) == (CredentialKind.FACE, None, "")


@given(st.text(max_size=40))
def test_card_text_is_stable(number: str) -> None:
    """Spelled in its normal form, a card number is not changed again."""
    assert card_text(card_text(number)) == card_text(number)


@given(number=st.from_regex(r"[1-9][0-9]{7,17}", fullmatch=True))
def test_no_number_in_clear_leaves_translate(number: str) -> None:
    message = Message(
        kind="rec_push",
        fields={"verify_status": 1},
        holder=Holder(Secret(number)),
        credential=RawCredential(CredentialKind.CARD, Secret(number)),
    )
    drafts = translate(facesluice_profile(), DEVICE, message, KEY)
    assert number not in repr(drafts)


# --- time --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "utc"),
    [
        ("2026-09-01 07:55:10", "2026-08-31T23:55:10Z"),
        ("2026/9/1 7:55:10", "2026-08-31T23:55:10Z"),
        ("2026-09-01T07:55:10.25", "2026-08-31T23:55:10.250000Z"),
        ("2026-09-01T07:55:10Z", "2026-09-01T07:55:10Z"),
        ("2026-09-01 07:55:10-0330", "2026-09-01T11:25:10Z"),
        ("1788220510", "2026-08-31T23:55:10Z"),
        ("1788220510250", "2026-08-31T23:55:10.250000Z"),
    ],
)
def test_device_time_is_read(raw: str, utc: str) -> None:
    time = read_device_time(raw, "Asia/Shanghai")
    assert (time.raw, time.wall_ns) == (raw, parse_utc(utc))


@pytest.mark.parametrize(
    "raw",
    [
        "",
        "yesterday",
        "2026-02-30 07:00:00",
        "2026-09-01",
        "2026-09-01 24:00:00",
        "0001-01-01 00:00:00",
        "99",
        "x" * 64,
    ],
)
def test_a_time_that_cannot_be_read_is_kept_as_it_was_said(raw: str) -> None:
    time = read_device_time(raw, "Asia/Shanghai")
    assert (time.raw, time.wall_ns) == (raw, None)


@pytest.mark.parametrize("zone", ["Nowhere/City", "", "../etc/passwd"])
def test_an_unknown_zone_costs_the_reading_and_not_the_record(zone: str) -> None:
    assert read_device_time("2026-09-01 07:55:10", zone).wall_ns is None


def test_a_local_time_that_exists_twice_is_the_first_of_the_two() -> None:
    """Berlin, 25 October 2026: 02:30 in summer time, an hour later 02:30 in winter time."""
    assert read_device_time("2026-10-25 02:30:00", "Europe/Berlin").wall_ns == parse_utc("2026-10-25T00:30:00Z")


def test_a_local_time_that_was_skipped_is_read_with_the_offset_before_the_step() -> None:
    """Berlin, 29 March 2026: from 02:00 straight to 03:00."""
    assert read_device_time("2026-03-29 02:30:00", "Europe/Berlin").wall_ns == parse_utc("2026-03-29T01:30:00Z")


@given(st.text(max_size=64), st.sampled_from(["Asia/Shanghai", "Europe/Berlin", "nowhere"]))
def test_no_text_of_a_clock_raises(raw: str, zone: str) -> None:
    wall_ns = read_device_time(raw, zone).wall_ns
    assert wall_ns is None or 0 <= wall_ns < 2**63


@given(st.integers(0, 7_000_000_000))
def test_every_second_of_a_zone_without_steps_is_read_back(second: int) -> None:
    from datetime import UTC, datetime
    from zoneinfo import ZoneInfo

    raw = datetime.fromtimestamp(second, UTC).astimezone(ZoneInfo("Etc/GMT-8")).strftime("%Y-%m-%d %H:%M:%S")
    assert read_device_time(raw, "Etc/GMT-8").wall_ns == second * NS_PER_S


def test_translate_reads_no_clock_and_draws_no_chance() -> None:
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    imported = {
        name.name.partition(".")[0] if isinstance(node, ast.Import) else (node.module or "").partition(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in node.names
    }
    assert imported.isdisjoint({"time", "random", "secrets", "os", "asyncio", "socket", "sqlite3"})
    assert not any(
        isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"} for node in ast.walk(tree)
    )


# --- records without a number --------------------------------------------------------------------------


def test_a_record_without_a_number_gets_one_of_its_content() -> None:
    row = Secret("20260001\t2026-09-01 07:55:10\t0")
    first, again = event({}, sameness=row), event({}, sameness=row, replayed=True)
    assert first.source is not None
    assert not is_ordered(first.source.record_no)
    assert first.source == again.source
    assert fingerprint(first) == fingerprint(again)


def test_other_content_and_another_device_give_other_numbers() -> None:
    one, other = Secret("20260001\t07:55:10"), Secret("20260001\t07:55:11")
    numbers = [
        event({}, sameness=one).source,
        event({}, sameness=other).source,
        event({}, device=OTHER_DEVICE, sameness=one).source,
    ]
    assert len({source.record_no for source in numbers if source}) == 3


def test_nobody_without_the_campus_key_can_try_person_numbers_against_a_content_number() -> None:
    row = Secret("20260001\t2026-09-01 07:55:10\t0")
    profile = with_mappings({"source": "rec_push", "topic": GRANTED})
    message = Message(kind="rec_push", sameness=row)
    found = set()
    for key in (KEY, Pseudonymiser(bytes(32))):
        drafts = translate(profile, DEVICE, message, key)
        assert not isinstance(drafts, Unmapped)
        assert isinstance(drafts[0].record, Event)
        assert drafts[0].record.source is not None
        found.add(drafts[0].record.source.record_no)
    assert len(found) == 2


def test_a_devices_own_number_goes_before_its_content() -> None:
    assert event({}, record_no=7, sameness=Secret("x")).source == SourceKey(record_no=7)
