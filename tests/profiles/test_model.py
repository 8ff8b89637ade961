"""What can be wrong in a profile, and where it is told."""

import ast
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

import device_profiles.yaml_source
from aggregator.settings import AggregatorSettings
from device_profiles.findings import FORMS
from device_profiles.model import DeviceProfile
from device_profiles.protocols import protocol, protocol_names
from device_profiles.reading import read_profile
from edge_agent.settings import EdgeSettings
from tests.profiles.odd import ODD, Place, places, replaced
from tests.profiles.writing import WHOLE, write, write_whole
from tests.wire.sources import modules
from wire.i18n import LANGUAGES, Texts, catalog


def place(path: Path, text: str) -> tuple[int, int]:
    """Where in a file a text stands; it stands there once."""
    content = path.read_text(encoding="utf-8")
    assert content.count(text) == 1, text
    before = content[: content.index(text)]
    return before.count("\n") + 1, len(before) - before.rfind("\n")


def test_a_profile_with_everything_is_read(tmp_path: Path) -> None:
    profile, findings = read_profile(write_whole(tmp_path))
    assert findings == []
    assert isinstance(profile, DeviceProfile)
    assert profile.liveness.missed == 3
    assert profile.event_mappings[0].when == {"verify_status": [1, 2]}
    assert [*profile.event_mappings[0].value_fields()] == [("mask_state", "mask")]
    assert [*profile.event_mappings[1].value_fields()] == [("alarm_type", "alarm_type")]


@pytest.mark.parametrize(
    ("old", "new", "code", "at", "nearest"),
    [
        ("name: acme", "name: akme", "name_is_file", "akme", None),
        ("device_class: biometric", "device_class: energy", "class_is_folder", "energy", None),
        ("device_class: biometric", "device_class: biometrics", "not_one_of", "biometrics", "biometric"),
        ("protocol: facesluice", "protocol: facesluise", "unknown_protocol", "facesluise", "facesluice"),
        ("contract: acked", "contract: akked", "not_one_of", "akked", "acked"),
        ("systems: [access]", "systems: [acess]", "not_one_of", "acess", "access"),
        ("products: [{manufacturer: Acme, model: AC-4}]", "products: []", "too_few", "[]", None),
        ("Device/Alarm", "Device/Alram", "unknown_topic", "Device/Alram", "Device/Alarm"),
        ("source: alarm_push", "source: alarm_posh", "unknown_source", "alarm_posh", "alarm_push"),
        ("values: [alarm_type]", "values: [alarm_typ]", "unknown_field", "alarm_typ]", "alarm_type"),
        ("mask_state: mask", "mask_state: masc", "unknown_field", "masc", "mask"),
        ("{verify_status: [1", "{verify_state: [1", "unknown_field", "verify_state", "verify_status"),
        ("{field: direction", "{field: direktion", "unknown_field", "direktion", "direction"),
        ("state: {field: alarm_type", "state: {field: alarm_tipe", "unknown_field", "alarm_tipe", "alarm_type"),
        ("1: in,", "1: inn,", "not_one_of", "inn", "in"),
        ("{device_resource: relay", "{device_resource: relais", "unknown_resource", "relais", "relay"),
        ("{source: temperature,", "{source: temperatur,", "unknown_resource", "temperatur,", "temperature"),
        ("  - name: relay", "  - name: temperature #2", "duplicate_name", "temperature #2", None),
        ("minimum: 30, maximum: 45", "minimum: 30", "range_missing", "properties: {value_type: F", None),
        ("minimum: 30, maximum: 45", "minimum: 50, maximum: 45", "range_inverted", "50", None),
        ("Unlock, field: openDoor}", "Unlock, fields: openDoor}", "unknown_key", "fields", "field"),
        ("attributes: {operator: Unlock, field: openDoor}", "attributes: {}", "missing_key", "{}", None),
        ("interval_s: 40", "interval_s: 0", "too_small", "0}}", None),
        ("reply_within_ms: 800", "reply_within_ms: 800ms", "wrong_type", "800ms", None),
        ("idempotent: false", "idempotent: no way", "wrong_type", "no way", None),
        ("read_write: W\n    idem", "read_write: X\n    idem", "not_one_of", "X", None),
        ("manufacturer: Acme,", "manufacturer: '',", "too_short", "''", None),
        ("name: AccessDoor", "name: access door", "pattern", "access door", None),
        ("on_change: true", "on_changes: true", "unknown_key", "on_changes", "on_change"),
        ('source: "Acme AC-4, rev 2.1, table 3"\n', "", "missing_key", "name: acme", None),
    ],
)  # fmt: skip
def test_a_mistake_is_told_where_it_stands(
    tmp_path: Path, old: str, new: str, code: str, at: str, nearest: str | None
) -> None:
    path = write_whole(tmp_path, {old: new})
    profile, findings = read_profile(path)
    assert profile is None
    first = findings[0] if code != "duplicate_name" else next(f for f in findings if f.code == code)
    assert first.code == code
    if at != "0}}":
        assert (first.line, first.column) == place(path, at)
    assert first.params.get("nearest") == nearest


def test_a_command_may_be_named_once(tmp_path: Path) -> None:
    command = WHOLE[WHOLE.index("  - name: AccessDoor") : WHOLE.index("event_mappings")].format()
    path = write_whole(tmp_path, {command: command * 2})
    _, findings = read_profile(path)
    assert [(finding.code, finding.params["line"]) for finding in findings] == [("duplicate_name", "18")]


def test_everything_wrong_comes_out_in_one_run_in_order(tmp_path: Path) -> None:
    changes = {
        "name: acme": "nam: acme",
        "interval_s: 40": "interval_s: x",
        "Device/Alarm": "Alarm",
        "mask_state: mask": "a: b",
    }
    _, findings = read_profile(write_whole(tmp_path, changes))
    assert [finding.code for finding in findings] == [
        "unknown_key", "wrong_type", "unknown_field", "unknown_topic",
    ]  # fmt: skip
    assert [finding.line for finding in findings] == sorted(finding.line for finding in findings)


# --- texts --------------------------------------------------------------------------------------------


def codes() -> set[str]:
    """Every code that the code that finds things names, wherever in the product it stands."""
    found = (
        {code for code, _ in device_profiles.yaml_source._BOUNDS.values()}
        | {"broken_profile", "unknown_profile"}
        | {"file_missing", "file_open"}
    )
    for module in modules().values():
        for node in ast.walk(module):
            match node:
                case ast.Call(func=ast.Attribute(attr="finding" | "_find") | ast.Name("_broken"), args=arguments):
                    texts = [one.value for one in arguments if isinstance(one, ast.Constant)]
                    found |= {text for text in texts if isinstance(text, str)}
                case ast.Call(func=ast.Name("PydanticCustomError"), args=[ast.Constant(value=str(text)), *_]):
                    found.add(text.removeprefix("finding."))
    return found


def test_every_finding_has_a_text_in_both_languages() -> None:
    assert len(codes()) > 30
    for language in LANGUAGES:
        texts = Texts(language)
        for code in codes():
            assert texts.has(f"finding.{code}"), code
        for expected in set(device_profiles.yaml_source._TYPES.values()):
            assert texts.has(f"finding.type_{expected}")


def test_every_text_of_a_finding_belongs_to_one() -> None:
    others = {"error", "warning", "nearest"} | {f"pattern_{word}" for word in FORMS.values()}
    others |= {f"type_{name}" for name in device_profiles.yaml_source._TYPES.values()}
    texts = {key.removeprefix("finding.") for key in catalog("en") if key.startswith("finding.")}
    assert texts - others == codes()


def patterns(schema: object) -> set[str]:
    if isinstance(schema, dict):
        own = {schema["pattern"]} if isinstance(schema.get("pattern"), str) else set()
        return own.union(*map(patterns, schema.values()))
    return set().union(*map(patterns, schema)) if isinstance(schema, list) else set()


@pytest.mark.parametrize("model", [DeviceProfile, EdgeSettings, AggregatorSettings])
def test_every_pattern_is_told_in_words(model: type[BaseModel]) -> None:
    found = patterns(model.model_json_schema())
    assert found
    assert found <= FORMS.keys()
    for name in protocol_names():
        for part in (protocol(name).address, protocol(name).attributes):
            assert patterns(part.model_json_schema()) <= FORMS.keys()


# --- anything -----------------------------------------------------------------------------------------


DOCUMENT = yaml.safe_load(WHOLE.format(name="acme"))


@settings(max_examples=300, deadline=None)
@given(place=st.sampled_from(places(DOCUMENT)), odd=ODD)
def test_an_odd_value_anywhere_gives_findings_and_never_an_exception(
    tmp_path_factory: pytest.TempPathFactory, place: Place, odd: object
) -> None:
    file = write(tmp_path_factory.getbasetemp(), "acme", yaml.safe_dump(replaced(DOCUMENT, place, odd)))
    profile, findings = read_profile(file)
    assert (profile is None) == bool(findings)
    for finding in findings:
        for language in LANGUAGES:
            assert finding.message(Texts(language))


MODBUS = """\
name: acme
description: A meter
products: [{manufacturer: Acme, model: M-1}]
device_class: energy
systems: []
protocol: modbus
contract: unheard
source: "Acme M-1 manual"
witness: {kind: vendor_document, by: the document alone}
liveness: {interval_s: 30}
attributes:
  registers_max: 60
  forbidden: [{primary_table: input_registers, first: 0x20, last: 0x45}]
device_resources:
  - name: voltage
    attributes: {primary_table: input_registers, starting_address: 0}
    properties: {value_type: Uint16, read_write: R, units: V}
  - name: reset
    attributes: {primary_table: coils, starting_address: 1}
    properties: {value_type: Bool, read_write: W}
auto_events:
  - {source: voltage, interval_ms: 1000, on_change: true}
  - {source: voltage, interval_ms: 60000}
"""


@pytest.mark.parametrize(
    ("old", "new", "code", "at"),
    [
        ("last: 0x45", "last: 0x1F", "span_inverted", "{primary_table: input_registers, first: 0x20"),
        ("registers_max: 60", "registers_max: 126", "too_large", "126"),
        ("forbidden:", "forbiden:", "unknown_key", "forbiden"),
        ("source: voltage, interval_ms: 60000", "source: reset, interval_ms: 60000", "not_readable", "reset, interval"),
        ("primary_table: coils, starting", "primary_table: coil, starting", "not_one_of", "coil, starting"),
    ],
)
def test_what_can_be_wrong_with_a_device_that_is_asked(old: str, new: str, code: str, at: str, tmp_path: Path) -> None:
    path = tmp_path / "energy" / "acme.yaml"
    path.parent.mkdir()
    path.write_text(MODBUS)
    assert read_profile(path)[1] == []
    assert MODBUS.count(old) == 1
    path.write_text(MODBUS.replace(old, new))
    (finding,) = read_profile(path)[1]
    assert (finding.code, (finding.line, finding.column)) == (code, place(path, at))
    assert all(finding.render(Texts(language)) for language in LANGUAGES)


def test_a_protocol_without_them_takes_no_attributes_of_a_device(tmp_path: Path) -> None:
    path = write_whole(
        tmp_path, {"liveness: {interval_s: 40}": "liveness: {interval_s: 40}\nattributes: {forbidden: []}"}
    )
    (finding,) = read_profile(path)[1]
    assert (finding.code, (finding.line, finding.column)) == ("unknown_key", place(path, "forbidden"))
