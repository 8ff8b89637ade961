"""What each protocol lets a profile and the settings say: one module per protocol, which exposes `PROTOCOL`.

A protocol's module here holds no IO and no decoding; it holds names. Its codec is `edge_agent/codecs/<protocol>.py`.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import Final

from pydantic import BaseModel, ConfigDict


class StrictModel(BaseModel):
    """Foreign YAML: nothing is guessed, nothing unknown is passed over."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NoAttributes(StrictModel):
    """For protocols whose resources, or whose devices, need none."""


class OnlyOne(StrictModel):
    """The address of a device that is alone on its line or at its end of it: the line says which it is."""


# What a codec calls a device that is alone.
ONLY_ONE: Final = "only"


def only_one(_address: BaseModel) -> str:
    """Equal for all, so that a second device in the same channel is told as a mistake."""
    return ONLY_ONE


@dataclass(frozen=True, slots=True)
class FieldType:
    """What a field can hold. types: exactly these; words: the only texts, when there are any."""

    types: frozenset[type[bool | int | float | str]]
    words: frozenset[str] = frozenset()

    def holds(self, value: object) -> bool:
        """Whether a message can ever bring this value, as YAML reads it."""
        if isinstance(value, str) and str in self.types:
            return value in self.words if self.words else not (int in self.types and is_whole(value))
        if type(value) is int and float in self.types:
            return True
        return type(value) in self.types and not (isinstance(value, float) and not math.isfinite(value))


def is_whole(text: str) -> bool:
    """Whether text is written like a whole number."""
    digits = text.strip().removeprefix("-")
    return digits.isascii() and digits.isdigit()


# A code: a whole number, or the device's own word. A codec makes a number of whatever is written like one.
CODE: Final = FieldType(frozenset({int, str}))
MEASURE: Final = FieldType(frozenset({float}))
TEXT: Final = FieldType(frozenset({str}))
TRUTH: Final = FieldType(frozenset({bool}))
WHOLE: Final = FieldType(frozenset({int}))


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttTopics:
    """Where the devices of a protocol speak at a broker and what they listen to, for its access list.

    prefix: their factory setting. said, heard: topic filters with `{prefix}` and `{device}`, which stands for one
    device's id or for any.
    """

    prefix: str
    said: tuple[str, ...]
    heard: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolModel:
    """A protocol as a profile sees it.

    transports: kinds of channel that can carry it. messages: kinds of message its devices send, each with the fields
    that a mapping may use. fields: what each of these can hold; a field means the same in every message. address: the
    model of a device's own address in settings; address_key: the text by which the codec knows the device. attributes:
    the model of a device resource's attributes; device_attributes: of what holds for the whole device.
    names_resources: fields of the address that list resources of the device's profile. topics: of a protocol whose
    devices speak to a broker.
    """

    name: str
    transports: frozenset[str]
    messages: Mapping[str, frozenset[str]]
    fields: Mapping[str, FieldType]
    address: type[BaseModel]
    address_key: Callable[[BaseModel], str]
    attributes: type[BaseModel] = field(default=NoAttributes)
    device_attributes: type[BaseModel] = field(default=NoAttributes)
    names_resources: tuple[str, ...] = ()
    topics: MqttTopics | None = None


@cache
def protocol_names() -> tuple[str, ...]:
    """All protocols we have, sorted."""
    return tuple(sorted(module.name.replace("_", "-") for module in iter_modules(__path__)))


def protocol(name: str) -> ProtocolModel:
    """Raises LookupError when there is none of that name."""
    if name not in protocol_names():
        raise LookupError(name)
    found: ProtocolModel = import_module(f"{__name__}.{name.replace('-', '_')}").PROTOCOL
    return found
