"""The carrier over MQTT 5: clean start, QoS 1 for pacing and refusals only, one paho client per connection."""

import asyncio
from typing import Final, Self

from wire.errors import Malformed
from wire.mqtt_link import BrokerAddress, LinkError, Message, MqttLink
from wire.topics import Down, Lane, Up, down_filter, parse_down, up_topic

# Acks are cumulative, so dropping one when the box is that far behind costs a resend, never a record.
INBOX_MAX: Final = 1024


class MqttCarrier:
    """Implements uplink.seams.Carrier. Make it with `dial`."""

    def __init__(self, campus: str, edge: str) -> None:
        self._topics = {leaf: up_topic(campus, edge, leaf) for leaf in (*Up, *Lane)}
        self._inbox: asyncio.Queue[tuple[Down, bytes] | None] = asyncio.Queue(INBOX_MAX)
        self._link: MqttLink | None = None
        self._watch: asyncio.Task[None] | None = None
        self._cause: BaseException | None = None
        self.dropped_frames = 0

    @classmethod
    async def dial(cls, address: BrokerAddress, *, campus: str, edge: str) -> Self:
        """Connect and subscribe. Raises LinkError, LinkRefused."""
        carrier = cls(campus, edge)
        link = await MqttLink.connect(
            address, carrier._on_message, client_id=f"edge-{campus}-{edge}", version=5, clean=True, keepalive_s=10
        )
        carrier._link = link
        try:
            await link.subscribe(down_filter(campus, edge))
        except BaseException:
            await link.close()
            raise
        carrier._watch = asyncio.create_task(carrier._await_end(link))
        return carrier

    def send(self, leaf: Up | Lane, frame: bytes) -> None:
        """See Carrier."""
        link = self._link
        if link is None or link.closed.is_set():
            raise LinkError(str(link.cause if link else "not connected"))
        link.send(self._topics[leaf], frame).add_done_callback(self._answered)

    def unsent(self) -> bool:
        """See Carrier."""
        return self._link is not None and self._link.unsent()

    async def receive(self) -> tuple[Down, bytes]:
        """See Carrier."""
        item = await self._inbox.get()
        if item is None:
            raise LinkError(str(self._cause or "closed"))
        return item

    async def close(self) -> None:
        """End the connection; safe to call twice."""
        if self._watch is not None:
            self._watch.cancel()
        if self._link is not None:
            await self._link.close()

    def _on_message(self, message: Message) -> None:
        try:
            item = parse_down(message.topic), message.payload
        except Malformed:
            self.dropped_frames += 1
            return
        # A retained message is somebody's old word (delivery protocol: none is ever retained by us).
        if message.retain or self._inbox.full():
            self.dropped_frames += 1
            return
        self._inbox.put_nowait(item)

    def _answered(self, answer: "asyncio.Future[None]") -> None:
        error = None if answer.cancelled() else answer.exception()
        if error is not None:
            # What the broker refuses once it refuses again; the frame is lost, and a new session sends it anew.
            self._end(error)

    async def _await_end(self, link: MqttLink) -> None:
        await link.closed.wait()
        self._end(link.cause)

    def _end(self, cause: BaseException | None) -> None:
        self._cause = self._cause or cause
        while self._inbox.full():
            self._inbox.get_nowait()
        self._inbox.put_nowait(None)
