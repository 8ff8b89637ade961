"""Codecs: pure functions from bytes to messages and back. No socket, no clock, no task, no chance.

A protocol is one module here whose name is that of the protocol in profile and settings; it exposes `SPEC`, an instance
of one of the kinds in `edge_agent.codecs.kinds`: what a channel of that wire must know of a protocol. Three outcomes
only: messages, a `Discard` that says why the bytes made no sense, or nothing (not for us). No input, however odd,
raises.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from importlib import import_module
from importlib.util import find_spec
from typing import ClassVar, Final, NamedTuple, TypeVar

from edge_agent.message import Discard, Message
from wire.topics import is_name


class Sign(StrEnum):
    """What a message says of its device's life."""

    ALIVE = "alive"
    GONE = "gone"


class Decoded(NamedTuple):
    """What came from one device. address: the id it goes by in its protocol; empty when that cannot be read."""

    address: str
    content: Message | Discard


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """What every kind of codec says of its protocol.

    records: the kinds that must become a record or be quarantined; messages of other kinds only keep the conversation
    going. signs: kinds that say more than "alive". harmless_keys: whose values may stay readable in quarantine, see
    edge_agent.redact. wire: the module of edge_agent.cases that plays its golden cases.
    """

    wire: ClassVar[str]

    protocol: str
    records: frozenset[str]
    signs: Mapping[str, Sign]
    harmless_keys: frozenset[str]


C = TypeVar("C", bound=Codec)

# A device's own text for an id or an enumeration: no blank and nothing but ASCII, so that no name of a person fits.
TOKEN_LENGTH_MAX: Final = 64
_TOKEN: Final = re.compile(r"[-_]*[0-9A-Za-z][-0-9A-Z_a-z]*\Z")


def is_token(text: str) -> bool:
    """Whether text may pass as a device's id or an enumeration value."""
    return len(text) <= TOKEN_LENGTH_MAX and _TOKEN.match(text) is not None


def codec(protocol: str, kind: type[C]) -> C:
    """The codec of a protocol, if it is of this kind. Raises LookupError when there is none."""
    module = protocol.replace("-", "_")
    if not is_name(protocol) or find_spec(f"{__name__}.{module}") is None:
        raise LookupError(f"no codec for protocol {protocol!r}")
    spec = getattr(import_module(f"{__name__}.{module}"), "SPEC", None)
    if not isinstance(spec, kind):
        raise LookupError(f"protocol {protocol!r} has no {kind.__name__}")  # noqa: TRY004  a name was looked up
    return spec
