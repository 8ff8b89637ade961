"""Protocols whose devices are HTTP clients: they push what they have, and fetch what they are told, by polling.

Pure: a request in; out come the device's address, the rows it says, and a token with which the codec builds the answer
once it is known whether every row is on disk. An answer of success is what makes a device forget, so it is built last.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, NamedTuple

from edge_agent.codecs import Codec
from edge_agent.message import Discard, Message
from edge_agent.orders import Order, Performed


class Head(NamedTuple):
    """The first line of a request. path: as sent, without the query; query: as sent, without its question mark."""

    method: str
    path: str
    query: str


class Row(NamedTuple):
    """One thing said in a request. raw: its bytes, for the quarantine."""

    content: Message | Discard
    raw: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Pushed:
    """What one request holds.

    address: the device; empty when that cannot be read. rows: at least one, a message of no record when there is
    nothing but the asking. purpose: the codec's own word for what was asked. polls: the device may be handed commands
    in the answer. announced: series -> the highest number the device says it has, see Numbering.
    """

    address: str
    rows: tuple[Row, ...]
    purpose: object = None
    polls: bool = False
    announced: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """What the channel knows when the answer is built.

    taken: every row is on disk, so the device may forget them. wall_ns: UTC; zone: IANA name of the device's clock.
    commands: what to hand out now. standing: series -> the number up to which nothing is missing, where that is known.
    """

    taken: bool
    wall_ns: int
    zone: str
    commands: tuple[str, ...] = ()
    standing: Mapping[str, int] = field(default_factory=dict)


class HttpAnswer(NamedTuple):
    """What the device is told. body: ASCII text."""

    status: int
    body: str


class Told(NamedTuple):
    """What a device said to a command. command_id: as it was handed out."""

    command_id: str
    performed: Performed


@dataclass(frozen=True, slots=True)
class HttpOrders:
    """How devices are told to do something. request: command id (16 hex digits), order -> the line to hand out; None
    when the protocol has no way to say it. answer: the message of a device, if it is one to a command.
    """

    request: Callable[[str, Order], str | None]
    answer: Callable[[Message], Told | None]


@dataclass(frozen=True, slots=True)
class Numbering:
    """Devices that count their records without holes, so that a missing one shows.

    number: the series and number of a message, if it has one. again: command id, series, first, last -> the line that
    makes the device send those once more.
    """

    number: Callable[[Message], tuple[str, int] | None]
    again: Callable[[str, str, int, int], str]


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpPushCodec(Codec):
    """body_bytes_max: of a body that is kept. keeps_body: whether anything in the body of such a request is ours to
    know; any other body is read and dropped. decode: None when the path is not of this protocol. answer: see Visit.
    """

    wire: ClassVar[str] = "http_push"

    body_bytes_max: int
    keeps_body: Callable[[Head], bool]
    decode: Callable[[Head, bytes], Pushed | None]
    answer: Callable[[Pushed, Visit], HttpAnswer]
    orders: HttpOrders | None = None
    numbering: Numbering | None = None
