"""What a profile says must be able to mean something; what cannot is told before it runs."""

from pathlib import Path

import pytest

from device_profiles.findings import Finding
from device_profiles.meaning import resource_type
from device_profiles.model import ITEMS_MAX
from device_profiles.protocols import CODE, MEASURE, TEXT, TRUTH, WHOLE, FieldType, protocol, protocol_names
from device_profiles.reading import read_profile
from device_profiles.vocabulary import REASONS, STATES
from edge_agent.codecs import Codec, codec
from tests.profiles.writing import write
from tests.protocols.cases import all_cases
from wire.i18n import LANGUAGES, Texts
from wire.topics import TOPICS, Lane, lane_of

HEAD = """\
name: door
description: A controller
products: [{manufacturer: Acme, model: AC-4}]
device_class: biometric
systems: [access]
protocol: facesluice
contract: acked
source: "Acme AC-4, rev 2.1, table 3"
liveness: {interval_s: 40}
"""
STATE = "Door/State/DoorPhysicalState"
GRANTED = "AccessControl/AccessGranted/Credential"


WITNESS = "\nwitness: {kind: vendor_document, by: the document alone}\n"


def found(folder: Path, text: str) -> list[Finding]:
    _, findings = read_profile(write(folder, "door", HEAD + text + WITNESS))
    for finding in findings:
        for language in LANGUAGES:
            assert finding.render(Texts(language))
    return findings


def places(findings: list[Finding]) -> list[tuple[str, int, int]]:
    return [(finding.code, finding.line, finding.column) for finding in findings]


# --- codes a field never holds ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("when", "value", "nearest"),
    [
        # The trap: codecs make numbers of digits, so the text is never equal to what comes.
        ('{verify_status: "1"}', '"1"', "1"),
        ('{verify_status: "-1"}', '"-1"', "-1"),
        # YAML 1.1 reads yes and on as truth values.
        ("{verify_status: yes}", "true", "1"),
        ("{verify_status: 1.5}", "1.5", None),
        ("{mask: mising}", '"mising"', "missing"),
        ("{temperature: high}", '"high"', None),
        ("{temperature: true}", "true", None),
        ("{temperature: .nan}", "NaN", None),
    ],
)
def test_a_value_that_never_comes_is_told(tmp_path: Path, when: str, value: str, nearest: str | None) -> None:
    (finding,) = found(tmp_path, f"event_mappings:\n  - source: rec_push\n    when: {when}\n    topic: {GRANTED}\n")
    assert finding.code == "never_holds"
    assert finding.params["value"] == value
    assert finding.params.get("nearest") == nearest
    assert (finding.line, finding.column) == (12, 12 + when.index(" "))


@pytest.mark.parametrize(
    "when",
    ["{verify_status: 1}", "{verify_status: [1, 22]}", "{direction: entr}", "{temperature: 38}", "{temperature: 38.5}",
     "{mask: missing}", "{mask: 7}"],
)  # fmt: skip
def test_a_value_that_may_come_is_not_told(tmp_path: Path, when: str) -> None:
    text = f"event_mappings:\n  - source: rec_push\n    when: {when}\n    topic: {GRANTED}\n"
    assert found(tmp_path, text) == []


def test_each_of_several_values_and_codes_is_looked_at(tmp_path: Path) -> None:
    text = f"""event_mappings:
  - source: rec_push
    when: {{verify_status: [1, "2", 3]}}
    topic: {STATE}
    direction: {{field: direction, values: {{entr: in, "2": out}}}}
    state: {{field: alarm_type, values: {{0: Closed, "1": Open}}}}
"""
    assert places(found(tmp_path, text)) == [
        ("never_holds", 12, 31), ("never_holds", 14, 54), ("never_holds", 15, 52),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("value_type", "when", "codes"),
    [
        ("Bool", "true", []),
        ("Bool", "1", ["never_holds"]),
        ("Uint16", "3", []),
        ("Uint16", "true", ["never_holds"]),
        ("Float32", "3", []),
        ("String", '"3"', []),
        ("String", "3", ["never_holds"]),
    ],
)
def test_a_resource_holds_what_its_type_says(tmp_path: Path, value_type: str, when: str, codes: list[str]) -> None:
    text = f"""device_resources:
  - name: contact
    attributes: {{field: alarm_type}}
    properties: {{value_type: {value_type}, read_write: R}}
event_mappings:
  - source: contact
    when: {{contact: {when}}}
    topic: Device/Alarm
"""
    assert [finding.code for finding in found(tmp_path, text)] == codes


@pytest.mark.parametrize("name", protocol_names())
def test_every_field_of_a_message_has_a_type_and_stands_in_a_message(name: str) -> None:
    spoken = protocol(name)
    assert {field for fields in spoken.messages.values() for field in fields} == spoken.fields.keys()


def test_what_codecs_give_is_what_the_fields_can_hold() -> None:
    checked = 0
    for case in all_cases():
        spec, spoken = codec(case.protocol, Codec), protocol(case.protocol)
        for message in case.messages():
            if message["kind"] in spec.records:
                for field, value in message.get("fields", {}).items():
                    assert spoken.fields[field].holds(value), f"{case}: {field} {value!r}"
                    checked += 1
    assert checked > 100


@pytest.mark.parametrize(
    ("kind", "held", "not_held"),
    [
        (CODE, [0, -1, "entr", "1a"], ["1", "-1", " 7", True, 1.5, None]),
        (MEASURE, [36.5, 36], ["36.5", True, float("inf"), float("nan")]),
        (TEXT, ["1", ""], [1, True]),
        (TRUTH, [True, False], [0, 1, "true"]),
        (WHOLE, [1], [True, 1.0, "1"]),
        (FieldType(frozenset({int, str}), frozenset({"up"})), ["up", 3], ["down", "3"]),
    ],
)
def test_a_field_type_holds_just_its_own(kind: FieldType, held: list[object], not_held: list[object]) -> None:
    assert [value for value in held if not kind.holds(value)] == []
    assert [value for value in not_held if kind.holds(value)] == []


def test_every_value_type_of_a_resource_is_one_of_four() -> None:
    assert [resource_type(name) for name in ("Bool", "String", "Float64", "Int64")] == [TRUTH, TEXT, MEASURE, WHOLE]


# --- words of topics ----------------------------------------------------------------------------------


def test_a_word_that_no_topic_knows_is_told(tmp_path: Path) -> None:
    text = f"""event_mappings:
  - source: rec_push
    topic: AccessControl/Denied/Credential
    reason: Unauthorised
  - source: alarm_push
    topic: {STATE}
    state: {{field: alarm_type, values: {{0: Closed, 1: Opened}}}}
"""
    findings = found(tmp_path, text)
    assert places(findings) == [("unknown_reason", 13, 13), ("unknown_state", 16, 55)]
    assert [finding.params["nearest"] for finding in findings] == ["Unauthorized", "Open"]


def test_a_topic_that_is_a_state_needs_one(tmp_path: Path) -> None:
    text = f"event_mappings:\n  - source: alarm_push\n    topic: {STATE}\n    values: [alarm_type]\n"
    assert places(found(tmp_path, text)) == [("state_missing", 12, 12)]


def test_states_are_of_topics_that_there_are() -> None:
    assert STATES.keys() <= TOPICS.keys()
    assert {topic for topic in TOPICS if topic.startswith(("Door/State/", "Camera/"))} == STATES.keys()
    assert all(lane_of(topic) in {Lane.A, Lane.D, Lane.S} for topic in STATES)
    # What translate makes of a code outside the table; DoorAlarm is the one state that ONVIF gives no such word.
    assert {topic for topic, states in STATES.items() if "Unknown" not in states} == {"Door/State/DoorAlarm"}
    assert "Other" in REASONS


# --- mappings that are never reached ------------------------------------------------------------------


def mappings(*whens: str) -> str:
    lines = "".join(f"  - {{source: rec_push, topic: {GRANTED}{when and f', when: {when}'}}}\n" for when in whens)
    return f"event_mappings:\n{lines}"


@pytest.mark.parametrize(
    "whens",
    [
        ("", "{verify_status: 1}"),
        ("", ""),
        ("{verify_status: 1}", "{verify_status: 1, direction: entr}"),
        ("{verify_status: [1, 2]}", "{verify_status: 2}"),
        ("{verify_status: [1, 2]}", "{verify_status: [2, 1], person_type: 0}"),
    ],
)
def test_a_mapping_behind_one_that_takes_all_of_its_messages_is_told(tmp_path: Path, whens: tuple[str, str]) -> None:
    (finding,) = found(tmp_path, mappings(*whens))
    assert (finding.code, finding.line, finding.params["line"]) == ("unreachable", 12, "11")


@pytest.mark.parametrize(
    "whens",
    [
        ("{verify_status: 1}", ""),
        ("{verify_status: 1}", "{verify_status: [1, 2]}"),
        ("{verify_status: 1, direction: entr}", "{verify_status: 1}"),
        ("{verify_status: 1}", "{direction: entr}"),
    ],
)
def test_a_mapping_that_still_gets_some_is_not_told(tmp_path: Path, whens: tuple[str, str]) -> None:
    assert found(tmp_path, mappings(*whens)) == []


def test_a_truth_value_is_not_the_number_that_python_takes_it_for(tmp_path: Path) -> None:
    findings = found(tmp_path, mappings("{verify_status: 1}", "{verify_status: yes}"))
    assert [finding.code for finding in findings] == ["never_holds"]


def test_more_mappings_than_any_device_has_are_refused_and_not_all_looked_at(tmp_path: Path) -> None:
    lines = "  - {source: rec_push, topic: none}\n" * (ITEMS_MAX + 1)
    codes = [finding.code for finding in found(tmp_path, f"event_mappings:\n{lines}")]
    assert codes.count("too_many") == 1
    assert codes.count("unknown_topic") == ITEMS_MAX


def test_a_mapping_of_another_message_hides_nothing(tmp_path: Path) -> None:
    text = mappings("") + f"  - {{source: card_push, topic: {GRANTED}}}\n"
    assert found(tmp_path, text) == []


# --- commands -----------------------------------------------------------------------------------------


def command(properties: str, value: str, *, read_write: str = "W") -> str:
    return f"""device_resources:
  - name: relay
    attributes: {{operator: Unlock, field: openDoor}}
    properties: {{{properties}}}
device_commands:
  - name: AccessDoor
    read_write: {read_write}
    idempotent: false
    reply_within_ms: 800
    resource_operations: [{{device_resource: relay, value: {value}}}]
"""


@pytest.mark.parametrize(
    ("properties", "value", "code", "column"),
    [
        ("value_type: Uint16, read_write: W, minimum: 1, maximum: 3", "4", "too_large", 59),
        ("value_type: Uint16, read_write: W, minimum: 1, maximum: 3", "0", "too_small", 59),
        ("value_type: Uint16, read_write: W, minimum: 1, maximum: 3", "1.5", "wrong_type", 59),
        ("value_type: Uint16, read_write: W, minimum: 1, maximum: 3", "true", "wrong_type", 59),
        ("value_type: Bool, read_write: W", "1", "wrong_type", 59),
        ("value_type: String, read_write: W", "1", "wrong_type", 59),
        ("value_type: Float32, read_write: W, minimum: 1, maximum: 3", "high", "wrong_type", 59),
        ("value_type: Bool, read_write: R", "true", "not_writable", 45),
    ],
)
def test_a_command_that_could_not_be_given_is_told(
    tmp_path: Path, properties: str, value: str, code: str, column: int
) -> None:
    assert places(found(tmp_path, command(properties, value))) == [(code, 19, column)]


def test_a_command_that_reads_needs_a_resource_that_can_be_read(tmp_path: Path) -> None:
    findings = found(tmp_path, command("value_type: Bool, read_write: W", "true", read_write="RW"))
    assert places(findings) == [("not_readable", 19, 45)]


@pytest.mark.parametrize(
    ("properties", "value"),
    [
        ("value_type: Uint16, read_write: W, minimum: 1, maximum: 3", "3"),
        ("value_type: Float32, read_write: W, minimum: 1, maximum: 3", "3"),
        ("value_type: Bool, read_write: RW", "false"),
        ("value_type: String, read_write: W", '"1"'),
    ],
)
def test_a_command_within_its_range_is_not_told(tmp_path: Path, properties: str, value: str) -> None:
    assert found(tmp_path, command(properties, value)) == []


@pytest.mark.parametrize("limit", [".inf", "-.inf", ".nan"])
def test_a_limit_that_limits_nothing_is_refused(tmp_path: Path, limit: str) -> None:
    properties = f"value_type: Float32, read_write: W, minimum: 1, maximum: {limit}"
    findings = found(tmp_path, command(properties, "2"))
    assert [finding.code for finding in findings if finding.code != "range_inverted"] == ["unusable_number"]


def test_a_resource_stands_for_a_field_that_the_protocol_has(tmp_path: Path) -> None:
    text = """device_resources:
  - name: heat
    attributes: {field: temprature}
    properties: {value_type: Float32, read_write: R}
  - name: wipe
    attributes: {operator: DeleteAllPerson, field: deleteall}
    properties: {value_type: Bool, read_write: W}
"""
    findings = found(tmp_path, text)
    assert [(finding.code, finding.line) for finding in findings] == [("unknown_field", 12), ("not_one_of", 15)]
    assert findings[0].params["nearest"] == "temperature"
