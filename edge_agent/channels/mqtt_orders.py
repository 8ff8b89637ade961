"""Orders over MQTT: said once, with nothing that could keep them, and the answer that ends each.

QoS 0 and, with MQTT 5, an expiry: a broker keeps what has QoS 1 for a device that is away, and the door would open
hours later. Some protocols must ask the device something before they can tell it what is wanted; each of these
questions ends with its answer, and nothing is said after the order's deadline.

An order that is not answered may still wait in our own socket, before a line that stands still; it would go out when
the line is back, however late. The link is then dropped with all that it holds back.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

from edge_agent.channels.mqtt_link import Link
from edge_agent.codecs import Decoded
from edge_agent.codecs.kinds.mqtt import Downlink, MqttOrders
from edge_agent.message import Message
from edge_agent.orders import UNREACHABLE, Order, Performed
from wire.clock import NS_PER_S, Clock

# Orders without an answer; one more is refused as busy.
ASKED_MAX: Final = 64
# What one order may have us say to a device.
SAID_MAX: Final = 8

# To an order: its end, or what the device said before there is one.
_Heard = Performed | Message


class Asking:
    """The orders of one channel that are under way."""

    def __init__(
        self, orders: MqttOrders | None, prefix: str, clock: Clock, link_to: Callable[[str], Link | None]
    ) -> None:
        """link_to: address -> the way to a device that is known to be there."""
        self._orders = orders
        self._prefix = prefix
        self._clock = clock
        self._link_to = link_to
        # Request id -> device and its answer, oldest first.
        self._asked: dict[str, tuple[str, asyncio.Future[_Heard]]] = {}

    @property
    def awaits_answers(self) -> bool:
        """Whether anything that a device says could be an answer."""
        return bool(self._asked)

    async def perform(self, order: Order) -> Performed:
        """See Channel."""
        orders = self._orders
        downlink = None if orders is None else orders.request(self._prefix, order.address, order)
        if orders is None or downlink is None:
            return Performed("rejected", "not_supported")
        if len(self._asked) >= ASKED_MAX:
            return Performed("rejected", "busy")
        try:
            return await self._converse(orders, order, downlink)
        finally:
            self._asked.pop(order.request_id, None)

    def hear(self, decoded: Sequence[Decoded]) -> None:
        """What devices say, answers among it."""
        if self._orders is None:
            return
        for address, content in decoded:
            if not isinstance(content, Message) or (found := self._orders.answer(content)) is None:
                continue
            named = [found.request_id] if found.request_id else [*reversed(self._asked)]
            for request_id in named:
                asked, answer = self._asked.get(request_id, ("", None))
                if answer is not None and asked == address and not answer.done():
                    answer.set_result(found.performed or content)
                    break

    async def _converse(self, orders: MqttOrders, order: Order, downlink: Downlink) -> Performed:
        """Say it, and what is to be said after each answer, until there is an end."""
        for said in range(SAID_MAX):
            link = self._link_to(order.address)
            left_s = (order.deadline_ns - self._clock.mono_ns()) / NS_PER_S
            if link is None or link.closed.is_set() or left_s <= 0:
                return Performed("unreachable", "too_late") if said else UNREACHABLE
            answer: asyncio.Future[_Heard] = asyncio.get_running_loop().create_future()
            self._asked[order.request_id] = order.address, answer
            link.send(downlink.topic, downlink.payload, qos=0, expiry_s=max(1, int(left_s)))
            mark = link.mark()
            try:
                heard = await _answered(link, answer, order.reply_within_s)
            finally:
                if not answer.done() and not link.closed.is_set() and not link.arrived(mark):
                    link.abort("an order did not get through")
            if isinstance(heard, Performed):
                return heard
            following = orders.following(self._prefix, order.address, order, heard)
            if isinstance(following, Performed):
                return following
            downlink = following
        return Performed("unknown", "no_end")


async def _answered(link: Link, answer: "asyncio.Future[_Heard]", within_s: float) -> _Heard:
    ended: asyncio.Future[Any] = asyncio.ensure_future(link.closed.wait())
    either: list[asyncio.Future[Any]] = [answer, ended]
    try:
        await asyncio.wait(either, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended.cancel()
    if answer.done():
        return answer.result()
    return Performed("unknown", "link_lost" if link.closed.is_set() else "no_answer")
