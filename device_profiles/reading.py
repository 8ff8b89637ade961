"""A profile from its file, and everything that is wrong with the file.

Two steps: pydantic looks at each value by itself (`model`), `cross_check` at what refers to something else (a mapping's
source and fields, topics, resources, ranges) and, with `meaning`, at whether it can mean anything. `read_profile` does
both and gives every finding of the file at once.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path

from pydantic import BaseModel, ValidationError

from device_profiles.findings import Finding, in_order, nearest
from device_profiles.meaning import check_command, check_mapping, check_reach, resource_type
from device_profiles.model import (
    ITEMS_MAX,
    DeviceClass,
    DeviceCommand,
    DeviceProfile,
    EventMapping,
    ResourceProperties,
)
from device_profiles.protocols import FieldType, ProtocolModel, protocol, protocol_names
from device_profiles.yaml_source import Loc, Source, from_pydantic, load, validate
from wire.topics import TOPICS, Lane


def read_profile(path: Path) -> tuple[DeviceProfile | None, list[Finding]]:
    """A profile from its file, or None; and everything that is wrong with the file, in its order."""
    source = load(path)
    profile, findings = validate(source, DeviceProfile)
    if isinstance(source.data, dict):
        # Also for a file with errors in it: a person wants to mend everything in one go.
        findings = in_order([*findings, *cross_check(source)])
    return (None if findings else profile), findings


def cross_check(source: Source) -> list[Finding]:
    """What refers to something that is not there, in the raw data of a profile."""
    return [
        *_check_place(source),
        *_check_liveness(source),
        *_check_attributes(source),
        *_check_mappings(source),
        *_check_references(source),
        *_check_ranges(source),
    ]


def _check_place(source: Source) -> Iterator[Finding]:
    name, folder = source.value_at(("name",)), source.value_at(("device_class",))
    if isinstance(name, str) and name != source.path.stem:
        yield source.finding(("name",), "name_is_file", params={"expected": source.path.stem})
    parent = source.path.absolute().parent.name
    if isinstance(folder, str) and folder in set(DeviceClass) and folder != parent:
        yield source.finding(("device_class",), "class_is_folder", params={"expected": parent})
    wanted = source.value_at(("protocol",))
    if isinstance(wanted, str) and wanted not in protocol_names():
        params = {"name": wanted, "nearest": nearest(wanted, protocol_names())}
        yield source.finding(("protocol",), "unknown_protocol", params=params)


def _check_liveness(source: Source) -> Iterator[Finding]:
    loc = ("liveness", "alarm_topic")
    topic = source.value_at(loc)
    if not isinstance(topic, str) or not topic:
        return
    if topic not in TOPICS:
        yield source.finding(loc, "unknown_topic", params={"topic": topic, "nearest": nearest(topic, TOPICS)})
    elif TOPICS[topic] is not Lane.A:
        yield source.finding(loc, "no_alarm", params={"topic": topic})


def _check_attributes(source: Source) -> Iterator[Finding]:
    spoken = _protocol_of(source)
    if spoken is not None:
        yield from _spoken(source, spoken.device_attributes, ("attributes",), source.value_at(("attributes",)))


def _spoken(source: Source, model: type[BaseModel], loc: Loc, given: object) -> Iterator[Finding]:
    """Attributes in the protocol's own terms."""
    try:
        model.model_validate({} if given is None else given)
    except ValidationError as error:
        yield from from_pydantic(source, model, error, loc)


def _protocol_of(source: Source) -> ProtocolModel | None:
    name = source.value_at(("protocol",))
    return protocol(name) if isinstance(name, str) and name in protocol_names() else None


def _items(source: Source, name: str) -> Iterator[tuple[Loc, dict[str, object]]]:
    items = source.value_at((name,))
    for index, item in enumerate(items[:ITEMS_MAX] if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield (name, index), item


def _names(source: Source, name: str) -> list[str]:
    return [str(item["name"]) for _, item in _items(source, name) if "name" in item]


def _check_mappings(source: Source) -> Iterator[Finding]:
    spoken = _protocol_of(source)
    resources = dict(_resources(source))
    whole: list[tuple[Loc, EventMapping]] = []
    for loc, item in _items(source, "event_mappings"):
        topic, kind = item.get("topic"), item.get("source")
        if isinstance(topic, str) and topic not in TOPICS:
            params = {"topic": topic, "nearest": nearest(topic, TOPICS)}
            yield source.finding((*loc, "topic"), "unknown_topic", params=params)
        if spoken is None or not isinstance(kind, str):
            continue
        known = [*spoken.messages, *_names(source, "device_resources")]
        if kind not in known:
            params = {"name": kind, "nearest": nearest(kind, known)}
            yield source.finding((*loc, "source"), "unknown_source", params=params)
            continue
        try:
            mapping = EventMapping.model_validate(item)
        except ValidationError:
            continue  # told already, value by value
        whole.append((loc, mapping))
        fields = spoken.messages.get(kind, frozenset({kind}))
        yield from _check_fields(source, loc, mapping, fields)
        yield from check_mapping(source, loc, mapping, _types(spoken, fields, resources).get)
    yield from check_reach(source, whole)


def _types(
    spoken: ProtocolModel, fields: frozenset[str], resources: Mapping[str, ResourceProperties]
) -> dict[str, FieldType]:
    types = {name: resource_type(resources[name].value_type) for name in fields & resources.keys()}
    return types | {name: spoken.fields[name] for name in fields & spoken.fields.keys()}


def _check_fields(source: Source, loc: Loc, mapping: EventMapping, known: frozenset[str]) -> Iterator[Finding]:
    for name, inner in mapping.fields():
        if name not in known:
            params = {"name": name, "nearest": nearest(name, known)}
            yield source.finding((*loc, *inner), "unknown_field", at_key=inner[0] == "when", params=params)


def _resources(source: Source) -> Iterator[tuple[str, ResourceProperties]]:
    """Those whose properties are in order."""
    for _, item in _items(source, "device_resources"):
        try:
            yield str(item.get("name")), ResourceProperties.model_validate(item.get("properties"))
        except ValidationError:
            continue


def _check_references(source: Source) -> Iterator[Finding]:
    resources, properties = _names(source, "device_resources"), dict(_resources(source))
    for section in ("device_resources", "device_commands"):
        seen: dict[str, Loc] = {}
        for loc, item in _items(source, section):
            name = str(item.get("name", ""))
            if name in seen:
                line, _ = source.where((*seen[name], "name"))
                yield source.finding((*loc, "name"), "duplicate_name", params={"name": name, "line": line})
            seen.setdefault(name, loc)
    for loc, item in _items(source, "device_commands"):
        operations = item.get("resource_operations")
        for index, operation in enumerate(operations if isinstance(operations, list) else ()):
            if isinstance(operation, dict):
                inner = (*loc, "resource_operations", index, "device_resource")
                yield from _check_resource(source, inner, operation.get("device_resource"), resources)
        yield from _check_command(source, loc, item, properties)
    for loc, item in _items(source, "auto_events"):
        read = item.get("source")
        yield from _check_resource(source, (*loc, "source"), read, resources)
        if isinstance(read, str) and read in properties and "R" not in properties[read].read_write:
            yield source.finding((*loc, "source"), "not_readable", params={"name": read})


def _check_command(
    source: Source, loc: Loc, item: dict[str, object], properties: Mapping[str, ResourceProperties]
) -> Iterator[Finding]:
    try:
        command = DeviceCommand.model_validate(item)
    except ValidationError:
        return  # told already
    yield from check_command(source, loc, command, properties)


def _check_resource(source: Source, loc: Loc, name: object, resources: list[str]) -> Iterator[Finding]:
    if isinstance(name, str) and name not in resources:
        params = {"name": name, "nearest": nearest(name, resources)}
        yield source.finding(loc, "unknown_resource", params=params)


def _check_ranges(source: Source) -> Iterator[Finding]:
    spoken = _protocol_of(source)
    for loc, item in _items(source, "device_resources"):
        properties = item.get("properties")
        if isinstance(properties, dict):
            written = "W" in str(properties.get("read_write", ""))
            numeric = str(properties.get("value_type")) not in {"Bool", "String"}
            if written and numeric and not {"minimum", "maximum"} <= properties.keys():
                yield source.finding((*loc, "properties"), "range_missing", at_key=True)
            low, high = properties.get("minimum"), properties.get("maximum")
            if isinstance(low, int | float) and isinstance(high, int | float) and low > high:
                yield source.finding((*loc, "properties", "minimum"), "range_inverted")
        if spoken is not None:
            yield from _spoken(source, spoken.attributes, (*loc, "attributes"), item.get("attributes"))
