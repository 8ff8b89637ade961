"""Whether what a profile says can mean anything: values that a field never holds, words that no topic knows, mappings
that are never reached, commands that could not be given.

Each of these loads, runs and then quietly does nothing or the wrong thing; so it is told before. Nothing here looks at
a value that has a finding of its own already.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

from device_profiles.findings import Finding, nearest
from device_profiles.model import DeviceCommand, DirectionMap, EventMapping, ResourceProperties, StateMap
from device_profiles.protocols import MEASURE, TEXT, TRUTH, WHOLE, FieldType, is_whole
from device_profiles.vocabulary import REASONS, STATES
from device_profiles.yaml_source import Loc, Source

TypeOf = Callable[[str], FieldType | None]

_TYPE_WORDS: Final = ((TRUTH, "boolean"), (WHOLE, "integer"), (MEASURE, "number"), (TEXT, "text"))


def resource_type(value_type: str) -> FieldType:
    """What a device resource of this value type holds."""
    match value_type:
        case "Bool":
            return TRUTH
        case "String":
            return TEXT
        case "Float32" | "Float64":
            return MEASURE
        case _:
            return WHOLE


# --- mappings -----------------------------------------------------------------------------------------


def check_mapping(source: Source, loc: Loc, mapping: EventMapping, type_of: TypeOf) -> Iterator[Finding]:
    """One mapping by itself. type_of: what a field of its message holds, or None for one that it does not have."""
    yield from _check_words(source, loc, mapping)
    for field, value, place, at_key in _codes(mapping):
        kind = type_of(field)
        if kind is not None and not kind.holds(value):
            params = {"field": field, "value": _as_written(value), "nearest": _nearest_code(value, kind)}
            yield source.finding((*loc, *place), "never_holds", at_key=at_key, params=params)


def _check_words(source: Source, loc: Loc, mapping: EventMapping) -> Iterator[Finding]:
    if mapping.reason and mapping.reason not in REASONS:
        params = {"reason": mapping.reason, "nearest": nearest(mapping.reason, REASONS)}
        yield source.finding((*loc, "reason"), "unknown_reason", params=params)
    states = STATES.get(mapping.topic)
    if states is None:
        return
    if mapping.state is None:
        yield source.finding((*loc, "topic"), "state_missing", params={"topic": mapping.topic})
        return
    for code, state in mapping.state.values.items():
        if state not in states:
            params = {"topic": mapping.topic, "state": state, "nearest": nearest(state, states)}
            yield source.finding((*loc, "state", "values", code), "unknown_state", params=params)


def _codes(mapping: EventMapping) -> Iterator[tuple[str, object, Loc, bool]]:
    """Every value that a mapping waits for: the field, the value, where it stands, whether as a key."""
    for field, wanted in mapping.when.items():
        if isinstance(wanted, list):
            yield from ((field, one, ("when", field, index), False) for index, one in enumerate(wanted))
        else:
            yield field, wanted, ("when", field), False
    tables: tuple[tuple[str, DirectionMap | StateMap | None], ...]
    tables = ("direction", mapping.direction), ("state", mapping.state)
    for name, table in tables:
        if table is not None:
            yield from ((table.field, code, (name, "values", code), True) for code in table.values)


def _as_written(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _nearest_code(value: object, kind: FieldType) -> str:
    if isinstance(value, str):
        return value.strip() if int in kind.types and is_whole(value) else nearest(value, kind.words)
    # `yes` and `on` are truth values in YAML; a codec makes 1 and 0 of a device's.
    return str(int(value)) if isinstance(value, bool) and int in kind.types else ""


def check_reach(source: Source, mappings: Iterable[tuple[Loc, EventMapping]]) -> Iterator[Finding]:
    """The first mapping that matches is taken; one whose every message an earlier one takes is never reached."""
    before: dict[str, list[tuple[Loc, EventMapping]]] = {}
    for loc, mapping in mappings:
        earlier = before.setdefault(mapping.source, [])
        for other_loc, other in earlier:
            if _takes_all(other.when, mapping.when):
                line, _ = source.where((*other_loc, "source"))
                yield source.finding((*loc, "source"), "unreachable", params={"line": line})
                break
        earlier.append((loc, mapping))


def _takes_all(first: Mapping[str, object], second: Mapping[str, object]) -> bool:
    """Whether whatever matches the second condition matches the first."""
    return all(field in second and _options(second[field]) <= _options(wanted) for field, wanted in first.items())


def _options(wanted: object) -> set[tuple[bool, object]]:
    # A truth value is not a number here, although Python compares them as equal.
    return {(isinstance(one, bool), one) for one in (wanted if isinstance(wanted, list) else [wanted])}


# --- commands -----------------------------------------------------------------------------------------


def check_command(
    source: Source, loc: Loc, command: DeviceCommand, resources: Mapping[str, ResourceProperties]
) -> Iterator[Finding]:
    """Whether every step can be done: the resource can be written or read, and the value lies within its range."""
    for index, operation in enumerate(command.resource_operations):
        step = (*loc, "resource_operations", index)
        properties = resources.get(operation.device_resource)
        if properties is None:
            continue  # told as unknown
        lacking = set(command.read_write) - set(properties.read_write)
        params = {"name": operation.device_resource}
        if "W" in lacking:
            yield source.finding((*step, "device_resource"), "not_writable", params=params)
        if "R" in lacking:
            yield source.finding((*step, "device_resource"), "not_readable", params=params)
        if operation.value is not None:
            yield from _check_value(source, (*step, "value"), operation.value, properties)


def _check_value(source: Source, loc: Loc, value: object, properties: ResourceProperties) -> Iterator[Finding]:
    kind = resource_type(properties.value_type)
    if not kind.holds(value):
        (expected,) = (word for known, word in _TYPE_WORDS if known == kind)
        yield source.finding(loc, "wrong_type", params={"expected": expected})
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if properties.minimum is not None and value < properties.minimum:
            yield source.finding(loc, "too_small", params={"limit": f"{properties.minimum:g}"})
        if properties.maximum is not None and value > properties.maximum:
            yield source.finding(loc, "too_large", params={"limit": f"{properties.maximum:g}"})
