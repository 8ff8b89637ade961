"""A device profile: one YAML file that says what a product is, what it says and what that means. EdgeX words.

    <device_class>/<name>.yaml      name and class are the file's and the folder's

Two steps: pydantic looks at each value by itself, `cross_check` at what refers to something else (a mapping's source
and fields, topics, resources, ranges) and, with `meaning`, at whether it can mean anything. `read_profile` does both
and gives every finding of the file at once.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, TypeVar

from pydantic import BaseModel, Discriminator, Field, Tag, ValidationError, model_validator
from pydantic_core import PydanticCustomError

from device_profiles.findings import Finding, in_order, nearest
from device_profiles.meaning import check_command, check_mapping, check_reach, resource_type
from device_profiles.protocols import FieldType, ProtocolModel, StrictModel, protocol, protocol_names
from device_profiles.yaml_source import Loc, Source, from_pydantic, load, validate
from wire.topics import TOPICS, Lane


class DeviceClass(StrEnum):
    """The folders a profile may lie in."""

    ACCESS_CONTROL = "access_control"
    ATTENDANCE = "attendance"
    BIOMETRIC = "biometric"
    ONE_CARD = "one_card"
    BROADCAST = "broadcast"
    PAYMENT = "payment"
    VIDEO = "video"
    ENVIRONMENT = "environment"
    ENERGY = "energy"


class System(StrEnum):
    """The seven systems of a school."""

    VIDEO = "video"
    ACCESS = "access"
    ATTENDANCE = "attendance"
    BROADCAST = "broadcast"
    PAYMENT = "payment"
    BIOMETRICS = "biometrics"
    ONE_CARD = "one_card"


class Contract(StrEnum):
    """How a device keeps its records: until we say so; by number, and we ask; or not at all."""

    ACKED = "acked"
    INDEXED = "indexed"
    UNHEARD = "unheard"


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$", max_length=64)]
ProfileName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$", max_length=63)]
Line = Annotated[str, Field(min_length=1, max_length=200)]
Code = str | int | bool
# A limit that is infinite or no number at all would be none.
Number = Annotated[float, Field(allow_inf_nan=False)]
CardLength = Annotated[int, Field(ge=3, le=10)]

T = TypeVar("T")
# Of resources, commands, mappings; far above any device, and few enough to hold each against each other.
ITEMS_MAX: Final = 1000

# YAML has lists and texts; strict mode would want tuples and enum members, so these two are let in.
Many = Annotated[tuple[T, ...], Field(strict=False, max_length=ITEMS_MAX)]
ValueType = Literal["Bool", "Int16", "Int32", "Int64", "Uint16", "Uint32", "Uint64", "Float32", "Float64", "String"]
ReadWrite = Literal["R", "W", "RW"]


class Product(StrictModel):
    """A product on the market that speaks this way."""

    manufacturer: Line
    model: Line
    description: Line | None = None


class Witness(StrictModel):
    """What the profile was held against, honestly. by: who or what it was.

    independent_implementation: another's program that plays the device or reads our simulator of it;
    independent_codec: another's decoder for the same bytes; transport_only: another's program carried our bytes;
    vendor_document: nothing but a document.
    """

    kind: Literal["independent_implementation", "independent_codec", "transport_only", "vendor_document"]
    by: Annotated[str, Field(min_length=1, max_length=300)]


class LivenessRule(StrictModel):
    """A device says something every interval_s; after `missed` intervals without a sign it counts as DOWN.

    alarm_topic: a device whose silence is itself an alarm (a camera that was covered, cut or stolen) says so on this
    topic of lane A, Active when it goes DOWN and Inactive when it is heard again.
    """

    interval_s: Annotated[int, Field(ge=1, le=86_400)]
    missed: Annotated[int, Field(ge=1, le=20)] = 3
    alarm_topic: Line | None = None


class CardRule(StrictModel):
    """How this device writes card numbers, so that one card has one number whichever reader saw it.

    notation: hex, decimal, or Wiegand's facility and number in decimal (`163,50449`). byte_order: air is the order in
    which the card says its number. length: bytes of the number; several for a reader of cards of several lengths, which
    then are told apart by their digits, so that it must write all of them, in hex. truncate_to: keep only so many of
    its last bits, because other readers of the school know no more.
    """

    technology: Literal["em4100", "iso14443a", "iso14443b", "iso15693", "wiegand"]
    notation: Literal["hex", "decimal", "wiegand"] = "hex"
    byte_order: Literal["air", "reversed"] = "air"
    length: Annotated[
        Annotated[CardLength, Tag("one")]
        | Annotated[tuple[CardLength, ...], Field(min_length=2, max_length=4, strict=False), Tag("many")],
        Discriminator(lambda given: "many" if isinstance(given, list | tuple) else "one"),
    ]
    truncate_to: Literal[24, 32] | None = None

    @model_validator(mode="after")
    def _lengths_are_seen(self) -> "CardRule":
        if isinstance(self.length, tuple) and self.notation != "hex":
            raise PydanticCustomError("finding.lengths_unseen", "several lengths", {"notation": self.notation})
        return self


class Repetition(StrictModel):
    """A reader that says a thing again and again while it is held there: what it says again within gap_ms of the last
    time is the same presentation, and said once.
    """

    gap_ms: Annotated[int, Field(ge=50, le=60_000)]


class DoorRule(StrictModel):
    """The box watches this device's door: opened without a release it is forced, open for too long it is held open.

    release_s: how long after a command, the exit button or an access that was granted the door may be opened.
    held_open_s: how long it may then stay open, unless the campus has set another limit.
    """

    release_s: Annotated[int, Field(ge=1, le=300)] = 10
    held_open_s: Annotated[int, Field(ge=5, le=3600)] = 30


class ResourceProperties(StrictModel):
    """Type, unit and range of a device resource. value = raw * scale + offset; units: UCUM."""

    value_type: ValueType
    read_write: ReadWrite
    units: Annotated[str, Field(max_length=20)] = ""
    scale: Number = 1.0
    offset: Number = 0.0
    mask: Annotated[int, Field(ge=0)] | None = None
    minimum: Number | None = None
    maximum: Number | None = None
    sensitive: bool = False


class DeviceResource(StrictModel):
    """One value a device holds. attributes: where it stands, in the protocol's own terms."""

    name: Name
    description: Line | None = None
    attributes: dict[str, object] = Field(default_factory=dict)
    properties: ResourceProperties


class ResourceOperation(StrictModel):
    """One step of a device command."""

    device_resource: Name
    value: Code | float | None = None


class DeviceCommand(StrictModel):
    """Something a device can be told. idempotent: telling it twice is harmless."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9]*$", max_length=64)]
    read_write: ReadWrite
    idempotent: bool
    reply_within_ms: Annotated[int, Field(ge=1, le=600_000)]
    resource_operations: Annotated[tuple[ResourceOperation, ...], Field(min_length=1, strict=False)]


class DirectionMap(StrictModel):
    """The device's codes for the direction through a door."""

    field: Name
    values: dict[Code, Literal["in", "out"]]


class StateMap(StrictModel):
    """The device's codes for a state; a code that is not in the table becomes `Unknown`."""

    field: Name
    values: dict[Code, Line]


class EventMapping(StrictModel):
    """What one kind of message means. The first mapping whose `when` matches is taken."""

    source: Name
    topic: Line
    when: dict[Name, Code | float | list[Code | float]] = Field(default_factory=dict)
    access_point: Annotated[str, Field(max_length=64)] = ""
    reason: Annotated[str, Field(max_length=64)] = ""
    direction: DirectionMap | None = None
    state: StateMap | None = None
    credential: bool = False
    holder: bool = False
    values: list[Name] | dict[Name, Name] = Field(default_factory=list)

    def value_fields(self) -> Iterator[tuple[str, str]]:
        """(name in the event, field of the message) of each value carried along."""
        if isinstance(self.values, dict):
            yield from self.values.items()
        else:
            yield from ((name, name) for name in self.values)

    def fields(self) -> Iterator[tuple[str, Loc]]:
        """Every message field this mapping names, and where under the mapping."""
        yield from ((name, ("when", name)) for name in self.when)
        if self.direction is not None:
            yield self.direction.field, ("direction", "field")
        if self.state is not None:
            yield self.state.field, ("state", "field")
        for index, (name, message_field) in enumerate(self.value_fields()):
            yield message_field, ("values", name if isinstance(self.values, dict) else index)


class AutoEvent(StrictModel):
    """Read a resource by itself, every interval_ms; with on_change only a change is told."""

    source: Name
    interval_ms: Annotated[int, Field(ge=50, le=86_400_000)]
    on_change: bool = False


class Caveat(StrictModel):
    """Something a person should know before relying on this profile."""

    description: Annotated[str, Field(min_length=1, max_length=500)]
    link: Line | None = None


class DeviceProfile(StrictModel):
    """See the module."""

    name: ProfileName
    description: Line
    description_zh: Line | None = None
    products: Annotated[tuple[Product, ...], Field(min_length=1, strict=False)]
    device_class: Annotated[DeviceClass, Field(strict=False)]
    # Sensors and meters belong to none of the seven.
    systems: Annotated[tuple[Annotated[System, Field(strict=False)], ...], Field(strict=False)]
    protocol: Line
    contract: Annotated[Contract, Field(strict=False)]
    source: Annotated[str, Field(min_length=1, max_length=400)]
    witness: Witness
    liveness: LivenessRule
    card: CardRule | None = None
    repetition: Repetition | None = None
    door: DoorRule | None = None
    # Of the whole device, in the protocol's own terms.
    attributes: dict[str, object] = Field(default_factory=dict)
    device_resources: Many[DeviceResource] = ()
    device_commands: Many[DeviceCommand] = ()
    event_mappings: Many[EventMapping] = ()
    auto_events: Many[AutoEvent] = ()
    caveats: Many[Caveat] = ()


# --- reading ------------------------------------------------------------------------------------------


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
