"""A device profile: one YAML file that says what a product is, what it says and what that means. EdgeX words.

    <device_class>/<name>.yaml      name and class are the file's and the folder's

Here is the model, in which pydantic looks at each value by itself; `reading` reads a file and looks at all of it.
"""

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Annotated, Final, Literal, TypeVar

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from device_profiles.protocols import StrictModel
from device_profiles.yaml_source import Loc


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

    def value_fields(self) -> Iterable[tuple[str, str]]:
        """(name in the event, field of the message) of each value carried along."""
        return self.values.items() if isinstance(self.values, dict) else zip(self.values, self.values, strict=True)

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
