"""Protocols whose devices speak to an MQTT broker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from edge_agent.codecs import Codec, Decoded
from edge_agent.codecs.kinds.standing import Standing
from edge_agent.message import Message
from edge_agent.orders import Order, Performed


class Downlink(NamedTuple):
    """One MQTT message to a device."""

    topic: str
    payload: bytes


class Answer(NamedTuple):
    """What a device said to an order. request_id: as it was asked; empty when the protocol's answers name none: then
    it is the answer to whatever the device was asked last. performed: None when there is more to say to the device.
    """

    request_id: str
    performed: Performed | None


def _nothing_follows(_prefix: str, _address: str, _order: Order, _message: Message) -> Performed:
    return Performed("unknown", "no_answer")


@dataclass(frozen=True, slots=True)
class MqttOrders:
    """How a protocol's devices are told to do something.

    request: prefix, address, order -> what to publish; None when the protocol has no way to say it. answer: the message
    of a device, if it is one to an order. following: prefix, address, order, message -> what to publish after an answer
    that was no end, or the end; what was said before it must have been nothing but a question.
    """

    request: Callable[[str, str, Order], Downlink | None]
    answer: Callable[[Message], Answer | None]
    following: Callable[[str, str, Order, Message], Downlink | Performed] = _nothing_follows


def no_state(_message: Message) -> Standing | None:
    """Of a protocol whose messages speak of events only."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttCodec(Codec):
    """topic_prefix: the devices' factory setting. subscriptions: prefix -> topic filters. decode: prefix, topic,
    payload (at most payload_bytes_max) -> what it holds. acknowledgements: prefix, address, message -> what the device
    is told once the message is committed, empty when it expects nothing. standing: of a record; None: no state, taken
    each time.
    """

    wire: ClassVar[str] = "mqtt"

    topic_prefix: str
    payload_bytes_max: int
    subscriptions: Callable[[str], Sequence[str]]
    decode: Callable[[str, str, bytes], Sequence[Decoded]]
    acknowledgements: Callable[[str, str, Message], Sequence[Downlink]]
    orders: MqttOrders | None = None
    standing: Callable[[Message], Standing | None] = no_state
