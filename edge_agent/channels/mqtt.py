"""The MQTT channel: one broker session, many devices, any protocol that has an `MqttCodec`.

    broker -> link callback: decode, translate (pure) -> mailbox -> settle: one commit for many -> device ack, PUBACK

Nothing is confirmed before it is on disk, neither to the device (its protocol's own acknowledgement) nor to the broker
(PUBACK, kept back by manual ack). The broker keeps our session from the first connect on, so what it could not hand
over or what we did not confirm comes again when we are back.

Full has two answers. MQTT 5: the broker may have RECEIVE_MAXIMUM unconfirmed QoS 1 messages towards us and holds the
rest. Everything else (QoS 0, which is these devices' factory setting, and brokers of 3.1.1): with MAILBOX_MAX messages
waiting, the socket is no longer read; TCP and then the broker hold back the senders, and devices that want an
acknowledgement send again. Nothing in the mailbox is ever dropped.

Messages wait in the mailbox without their bytes; at most IN_FLIGHT of them wait for a commit at the same time, which
is what lets intake commit them together.

A retained message is a copy from an unknown past. What it says was delivered when it was said, so it is confirmed to
the broker and otherwise ignored.

A message without a number of its own (a QR code, a card) has nothing by which the outbox could know it again. When a
link ends, PUBACKs may have been lost with it, and the broker sends such messages once more; their digests are kept, so
that they are not taken twice. That memory ends with the process: killed between commit and PUBACK, the box takes such a
message twice.
"""

import asyncio
import hashlib
import logging
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeVar

from edge_agent.channels.base import BoundDevice, Channel, ChannelHealth, ChannelParts
from edge_agent.channels.bugs import Bugs
from edge_agent.channels.mqtt_link import Link
from edge_agent.channels.mqtt_orders import Asking
from edge_agent.channels.reception import Parcel, Reception
from edge_agent.channels.transitions import Transitions
from edge_agent.codecs import Decoded, Sign, codec
from edge_agent.codecs.kinds.mqtt import Downlink, MqttCodec, no_state
from edge_agent.codecs.kinds.standing import Standing
from edge_agent.intake import GROUP_RECORDS
from edge_agent.message import Discard, Message
from edge_agent.orders import Order, Performed
from edge_agent.settings import ChannelSettings
from edge_agent.supervise import RefusedError
from edge_agent.transports.mqtt import MqttTransport
from edge_agent.wakeup import Signal
from wire.clock import Stamp
from wire.mqtt_link import BrokerAddress, LinkRefused, MqttLink
from wire.mqtt_link import Message as MqttMessage

log = logging.getLogger(__name__)

T = TypeVar("T")

MAILBOX_MAX: Final = 256
MAILBOX_LOW: Final = MAILBOX_MAX // 2
RECEIVE_MAXIMUM: Final = MAILBOX_MAX
# One group is being committed while the next one gathers.
IN_FLIGHT: Final = 2 * GROUP_RECORDS
# Acknowledgements to devices while the broker takes nothing; beyond it none is sent and the devices ask again.
UNSENT_MAX: Final = 512
SEEN_MAX: Final = 1024
TICK_S: Final = 1.0


Connect = Callable[[Callable[[MqttMessage], None]], Awaitable[Link]]


@dataclass(frozen=True, slots=True, kw_only=True)
class MqttChannelSettings:
    """What the channel itself must know. topic_prefix: without a slash at its end."""

    name: str
    topic_prefix: str


def dialler(address: BrokerAddress, client_id: str, version: int) -> Connect:
    """How the channel gets a link: a persistent session with manual acknowledgement.

    client_id: stable, for the broker keeps the session under it. version: 4 (MQTT 3.1.1) or 5.
    """

    async def connect(on_message: Callable[[MqttMessage], None]) -> Link:
        return await MqttLink.connect(
            address,
            on_message,
            client_id=client_id,
            version=version,
            clean=False,
            manual_ack=True,
            receive_maximum=RECEIVE_MAXIMUM,
        )

    return connect


class _Letter(NamedTuple):
    """One MQTT message, decoded, and what its parts come to; without its bytes."""

    message: MqttMessage
    received: Stamp
    parts: tuple[tuple[Decoded, Parcel], ...]
    digest: bytes | None


class MqttChannel:
    """Implements edge_agent.channels.Channel."""

    def __init__(
        self,
        settings: MqttChannelSettings,
        codec: MqttCodec,
        devices: Sequence[BoundDevice],
        parts: ChannelParts,
        connect: Connect,
    ) -> None:
        self.name = settings.name
        self._prefix = settings.topic_prefix
        self._codec = codec
        self._parts = parts
        self._connect = connect
        self._bugs = Bugs(settings.name, parts.counters)
        self._reception = Reception(settings.name, devices, parts, self._bugs, codec.harmless_keys)
        self._link: Link | None = None
        self._links = 0
        self._mailbox: deque[_Letter] = deque()
        self._in_flight = 0
        self._arrived = Signal()
        self._unsent = 0
        # The link on which something was said to a device already.
        self._may_tell: Link | None = None
        self._refusal_told = False
        self._transitions = {bound.address: Transitions() for bound in devices}
        self._asking = Asking(codec.orders, settings.topic_prefix, parts.clock, self._link_to)
        # Digest -> number of the link in which the message was settled, newest last.
        self._seen: OrderedDict[bytes, int] = OrderedDict()

    async def run(self, up: Callable[[], None]) -> None:
        """One broker connection. Raises LinkError when it ends, RefusedError when the broker says no."""
        # While the broker is away nothing is heard, and that silence is reported like any other.
        await self._report_silence()
        # Only a cancelled run leaves letters behind; their PUBACKs would belong to another link.
        self._mailbox.clear()
        self._links += 1
        try:
            link = await self._connect(self._on_message)
        except LinkRefused as refused:
            raise RefusedError(str(refused)) from None
        try:
            self._link = link
            if len(self._mailbox) >= MAILBOX_MAX:
                link.pause()
            if self._links > 1 and not link.session_present:
                log.warning("the broker has forgotten our session", extra={"channel": self.name})
            await self._converse(link, up)
        finally:
            self._link = None
            await link.close()

    async def perform(self, order: Order) -> Performed:
        """See Channel."""
        return await self._asking.perform(order)

    def health(self) -> ChannelHealth:
        """See Channel."""
        return self._reception.health(connected=self._link is not None, waiting=len(self._mailbox) + self._in_flight)

    async def _converse(self, link: Link, up: Callable[[], None]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                # Work comes first: with a full mailbox nothing is read, so the broker's SUBACK would not be either.
                work = group.create_task(self._work(link))
                watch = group.create_task(self._watch())
                closing = group.create_task(self._wake_when_closed(link))
                await link.subscribe(*self._codec.subscriptions(self._prefix))
                up()
                await work
                watch.cancel()
                closing.cancel()
        except ExceptionGroup as ended:
            error = _first(ended)
            raise RefusedError(str(error)) if isinstance(error, LinkRefused) else error from None
        raise link.cause or ConnectionError("the link ended")

    async def _wake_when_closed(self, link: Link) -> None:
        await link.closed.wait()
        self._arrived.tell()

    # --- in -------------------------------------------------------------------------------------------

    def _on_message(self, message: MqttMessage) -> None:
        """In the loop, for every message. Only computes; an exception here would end the link."""
        received = self._parts.clock.stamp()
        self._parts.counters["messages_total"] += 1
        bare = MqttMessage(message.topic, b"", message.qos, message.retain, message.token)
        if message.retain:
            self._mailbox.append(_Letter(bare, received, (), None))
        else:
            decoded = self._decode(message)
            if self._asking.awaits_answers:
                self._guarded(lambda: self._asking.hear(decoded))
            digest = self._digest(message, decoded)
            if digest is not None and self._seen.get(digest, self._links) < self._links:
                self._remember(digest)
                self._parts.counters["repeats_total"] += 1
                decoded = ()
            parts = tuple((one, self._take(one, message.payload)) for one in decoded)
            self._mailbox.append(_Letter(bare, received, parts, digest))
        if len(self._mailbox) >= MAILBOX_MAX and self._link is not None:
            self._link.pause()
        self._arrived.tell()

    def _decode(self, message: MqttMessage) -> Sequence[Decoded]:
        try:
            return self._codec.decode(self._prefix, message.topic, message.payload)
        except Exception as error:  # noqa: BLE001  a codec that breaks its promise must not end the link
            self._bugs.tell(error)
            return (Decoded("", Discard("codec_error")),)

    def _take(self, decoded: Decoded, payload: bytes) -> Parcel:
        content = decoded.content
        kind = content.kind if isinstance(content, Message) else ""
        is_record = kind in self._codec.records
        if is_record and (standing := self._standing(decoded)) is not None and isinstance(content, Message):
            now_ns = self._parts.clock.mono_ns()
            changed = self._transitions[decoded.address].heard(content, standing, now_ns)
            content, is_record = changed or content, changed is not None
        return self._reception.take(
            decoded.address, content, payload, sign=self._codec.signs.get(kind, Sign.ALIVE), is_record=is_record
        )

    def _standing(self, decoded: Decoded) -> Standing | None:
        """The state that a message of one of our devices speaks of."""
        content = decoded.content
        if self._codec.standing is no_state or not isinstance(content, Message):
            return None
        if decoded.address not in self._transitions:
            return None
        return self._guarded(lambda: self._codec.standing(content))

    def _guarded(self, ask: Callable[[], T]) -> T | None:
        """What a codec says; nothing when it breaks its promise, which must not end the link."""
        try:
            return ask()
        except Exception as error:  # noqa: BLE001  a bug of ours, told once
            self._bugs.tell(error)
            return None

    def _link_to(self, address: str) -> Link | None:
        """The link, if there is one and the device is known to be at its other end."""
        return self._link if self._reception.is_up(address) else None

    def _digest(self, message: MqttMessage, decoded: Sequence[Decoded]) -> bytes | None:
        """For a message of QoS 1 with a record that has no number of its own."""
        if message.qos == 0 or not any(
            isinstance(content, Message) and content.kind in self._codec.records and content.record_no is None
            for _, content in decoded
        ):
            return None
        return hashlib.sha256(message.topic.encode() + b"\0" + message.payload).digest()

    # --- commit and tell ------------------------------------------------------------------------------

    async def _work(self, link: Link) -> None:
        """Until the link has ended and what it brought is settled."""
        async with asyncio.TaskGroup() as group:
            while not link.closed.is_set() or self._mailbox:
                count = min(IN_FLIGHT - self._in_flight, len(self._mailbox))
                if count <= 0:
                    await self._arrived.wait()
                    continue
                letters = [self._mailbox.popleft() for _ in range(count)]
                self._in_flight += count
                group.create_task(self._settle(link, letters))
                if len(self._mailbox) <= MAILBOX_LOW:
                    link.resume()

    async def _settle(self, link: Link, letters: Sequence[_Letter]) -> None:
        try:
            parcels = [(parcel, letter.received) for letter in letters for _, parcel in letter.parts]
            told = iter(await self._reception.settle_each(parcels))
            for letter in letters:
                for decoded, _ in letter.parts:
                    if next(told) and isinstance(decoded.content, Message):
                        self._tell(link, self._codec.acknowledgements(self._prefix, decoded.address, decoded.content))
                    elif (standing := self._standing(decoded)) is not None:
                        # Said again, it is reported.
                        self._transitions[decoded.address].forget(standing.key)
                if letter.digest is not None and letter.parts:
                    self._remember(letter.digest)
                link.ack(letter.message)
        finally:
            self._in_flight -= len(letters)
            self._arrived.tell()

    def _remember(self, digest: bytes) -> None:
        self._seen[digest] = self._links
        self._seen.move_to_end(digest)
        while len(self._seen) > SEEN_MAX:
            self._seen.popitem(last=False)

    def _tell(self, link: Link, downlinks: Sequence[Downlink]) -> None:
        """Of QoS 0: whoever does not hear it says his thing again. But the first of a link asks whether we may."""
        for topic, payload in downlinks:
            self._unsent = self._unsent + 1 if link.unsent() else 0
            if self._unsent > UNSENT_MAX:
                return
            if self._may_tell is link:
                link.send(topic, payload, qos=0)
            else:
                self._may_tell = link
                link.send(topic, payload, qos=1).add_done_callback(self._told)

    def _told(self, sent: asyncio.Future[None]) -> None:
        error = None if sent.cancelled() else sent.exception()
        if isinstance(error, LinkRefused) and not self._refusal_told:
            self._refusal_told = True
            log.warning(
                "the broker refuses what we say to devices; look at its access list",
                extra={"channel": self.name, "cause": str(error)},
            )

    # --- time -----------------------------------------------------------------------------------------

    async def _watch(self) -> None:
        while True:
            await self._report_silence()
            await asyncio.sleep(TICK_S)

    async def _report_silence(self) -> None:
        for parcel in self._reception.silent():
            await self._reception.settle(parcel)


def make(settings: ChannelSettings, devices: Sequence[BoundDevice], parts: ChannelParts, password: str) -> Channel:
    """The channel of one entry of the settings. Raises LookupError when its protocol does not speak MQTT."""
    spec = codec(settings.protocol, MqttCodec)
    transport = settings.transport
    if not isinstance(transport, MqttTransport):
        raise TypeError(transport.kind)
    return MqttChannel(
        MqttChannelSettings(name=settings.name, topic_prefix=(transport.topic_prefix or spec.topic_prefix).rstrip("/")),
        spec,
        devices,
        parts,
        dialler(
            transport.address(password),
            transport.client_id or f"campus-edge-{parts.edge}-{settings.name}",
            transport.version,
        ),
    )


def _first(ended: ExceptionGroup[Exception]) -> Exception:
    error: Exception = ended
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
