"""Protocols whose devices speak to an MQTT broker."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from edge_agent.codecs import Codec, Decoded
from edge_agent.message import Message
from edge_agent.orders import Order, Performed


class Downlink(NamedTuple):
    """One MQTT message to a device."""

    topic: str
    payload: bytes


class Answer(NamedTuple):
    """What a device said to an order. request_id: as it was asked; empty when the protocol's answers name none: then
    it is the answer to whatever the device was asked last.
    """

    request_id: str
    performed: Performed


@dataclass(frozen=True, slots=True)
class MqttOrders:
    """How a protocol's devices are told to do something.

    request: prefix, address, order -> what to publish; None when the protocol has no way to say it. answer: the message
    of a device, if it is one to an order. None: the device never answers, so that the end of every order is unknown.
    """

    request: Callable[[str, str, Order], Downlink | None]
    answer: Callable[[Message], Answer | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttCodec(Codec):
    """topic_prefix: the devices' factory setting. subscriptions: prefix -> topic filters. decode: prefix, topic,
    payload (at most payload_bytes_max) -> what it holds. acknowledgements: prefix, address, message -> what the device
    is told once the message is committed, empty when it expects nothing.
    """

    wire: ClassVar[str] = "mqtt"

    topic_prefix: str
    payload_bytes_max: int
    subscriptions: Callable[[str], Sequence[str]]
    decode: Callable[[str, str, bytes], Sequence[Decoded]]
    acknowledgements: Callable[[str, str, Message], Sequence[Downlink]]
    orders: MqttOrders | None = None
