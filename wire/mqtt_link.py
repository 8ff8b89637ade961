"""One MQTT connection, paho driven by the asyncio loop: no thread, no re-sending, no hidden queue.

Is: a connection that lives once. `MqttLink.connect` dials a broker and returns when the CONNACK is in; messages are
handed to one callback; `publish` returns when the broker has answered; when the connection ends `closed` is set with
the cause and the object is done for. Whoever wants another connection makes another link, so that paho never re-sends
on its own.

Is not: a store, a reconnect loop (see each caller's supervisor) or a judge of meaning.

With manual_ack the broker is told PUBACK only when the caller calls `ack`; a QoS 1 message that was not acknowledged
comes again after the reconnect of a persistent session. The caller may call `ack` in any order: PUBACKs leave in the
order in which the messages came, as MQTT demands (3.1.1 and 5.0, section 4.6) and some brokers enforce.
"""

import asyncio
import contextlib
import itertools
import threading
from collections.abc import Callable
from typing import Any, Final, Self

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from wire.mqtt_broker import BrokerAddress, ClientTls, LinkError, LinkRefused, Message
from wire.mqtt_pump import Pump
from wire.mqtt_socket import GatheringClient, GatheringSocket
from wire.sockets import acknowledged, given

__all__ = ["BrokerAddress", "LinkError", "LinkRefused", "Message", "MqttLink"]


MISC_INTERVAL_S: Final = 1.0
_OUT_OF_WINDOW: Final = 1000
# MQTT 5's reason "No matching subscribers".
_NOBODY_LISTENS: Final = 0x10


class MqttLink:
    """One live connection to a broker. Make it with `connect`."""

    def __init__(
        self, client: paho.Client, address: BrokerAddress, on_message: Callable[[Message], None], *, manual_ack: bool
    ) -> None:
        """Not for callers; see `connect`."""
        self._client = client
        self._manual_ack = manual_ack
        self._address = address
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._connected: asyncio.Future[None] = self._loop.create_future()
        self._published: dict[int, asyncio.Future[None]] = {}
        # One answer for all that nobody answers.
        self._said: asyncio.Future[None] = self._loop.create_future()
        self._said.set_result(None)
        self._subscribed: dict[int, asyncio.Future[None]] = {}
        # QoS 1 messages that await their PUBACK, in order of arrival: token -> whether `ack` was called.
        self._unacknowledged: dict[int, bool] = {}
        self._misc: asyncio.TimerHandle | None = None
        self._cause: Exception | None = None
        self._numbers = itertools.count(1)
        self._pump = Pump(client, self._is_well, self._fail)
        self.closed = asyncio.Event()
        self.session_present = False
        # Messages of QoS 1 that the broker took and had nobody to hand to; only MQTT 5 brokers say so.
        self.unheard = 0

    @classmethod
    async def connect(
        cls,
        address: BrokerAddress,
        on_message: Callable[[Message], None],
        *,
        client_id: str,
        version: int = 5,
        clean: bool = True,
        manual_ack: bool = False,
        keepalive_s: int = 30,
        receive_maximum: int = 1000,
        timeout_s: float = 10.0,
        will: tuple[str, bytes, int] | None = None,
    ) -> Self:
        """Dial, and return when the broker has accepted. Raises LinkError or LinkRefused.

        version: 4 (MQTT 3.1.1) or 5. clean False keeps the broker's session for client_id over disconnects.
        receive_maximum: QoS 1 messages the broker may have unacknowledged towards us (MQTT 5 only).
        on_message is called in the loop; an exception in it ends the link with that cause.
        """
        client = GatheringClient(
            CallbackAPIVersion.VERSION2,
            client_id=client_id,
            protocol=MQTTProtocolVersion.MQTTv5 if version == 5 else MQTTProtocolVersion.MQTTv311,
            clean_session=clean if version == 4 else None,
            manual_ack=manual_ack,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(_OUT_OF_WINDOW)
        if address.username:
            client.username_pw_set(address.username, address.password)
        tls = None if address.tls_ca is None else ClientTls.to(address, address.tls_ca)
        if tls is not None:
            client.tls_set_context(tls)
        if will is not None:
            client.will_set(will[0], will[1], qos=will[2])
        link = cls(client, address, on_message, manual_ack=manual_ack)
        link._install()
        try:
            async with asyncio.timeout(timeout_s):
                # The dial itself blocks inside paho; it is kept off the loop, with a bound of its own.
                client.connect_timeout = timeout_s
                await link._loop.run_in_executor(
                    None, lambda: link._dial(version, keepalive_s, receive_maximum, clean=clean)
                )
                await link._connected
        except (OSError, TimeoutError) as error:
            link._end(error)
            if tls is not None and tls.last is not None:
                tls.last.close()
            if isinstance(error, LinkError):
                raise
            cause = "no answer in time" if isinstance(error, TimeoutError) else str(error)
            raise LinkError(f"MQTT broker {address}: {cause}") from error
        except asyncio.CancelledError:
            link._end(LinkError("cancelled"))
            raise
        return link

    def _dial(self, version: int, keepalive_s: int, receive_maximum: int, *, clean: bool) -> None:
        properties = None
        if version == 5:
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            properties.ReceiveMaximum = receive_maximum
            if not clean:
                properties.SessionExpiryInterval = 0xFFFFFFFF
        self._client.connect(
            self._address.host,
            self._address.port,
            keepalive=keepalive_s,
            clean_start=clean if version == 5 else paho.MQTT_CLEAN_START_FIRST_ONLY,
            properties=properties,
        )
        # None: the other side has ended it already.
        if not isinstance(self._client.socket(), GatheringSocket | None):
            raise TypeError("this paho does not let us bring a socket along; see wire.mqtt_socket")

    # --- what callers use -----------------------------------------------------------------------------

    @property
    def cause(self) -> Exception | None:
        """Why the link ended, once `closed` is set."""
        return self._cause

    async def subscribe(self, *filters: str, qos: int = 1) -> None:
        """Subscribe and wait for the broker's grant. Raises LinkRefused when a filter is refused."""
        result, mid = self._client.subscribe([(name, qos) for name in filters])
        if result != paho.MQTT_ERR_SUCCESS or mid is None:
            raise self._gone()
        waiter = self._subscribed[mid] = self._loop.create_future()
        await waiter

    def send(
        self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False, expiry_s: int | None = None
    ) -> asyncio.Future[None]:
        """Hand a message to the socket; the future ends when the broker has answered (QoS 0: at once).

        expiry_s: with MQTT 5, the broker forgets the message after so long; MQTT 3.1.1 has no such thing.
        The future raises LinkRefused when an MQTT 5 broker refuses the message, LinkError when the link ends first.
        """
        if self.closed.is_set():
            return self._failed()
        properties = None
        if expiry_s is not None and self._client.protocol == paho.MQTTv5:
            properties = Properties(PacketTypes.PUBLISH)  # type: ignore[no-untyped-call]  # paho leaves it untyped
            properties.MessageExpiryInterval = expiry_s
        info = self._client.publish(topic, payload, qos=qos, retain=retain, properties=properties)
        if info.rc != paho.MQTT_ERR_SUCCESS:
            return self._failed()
        if qos == 0:
            return self._said
        waiter = self._published[info.mid] = self._loop.create_future()
        # Only while an answer is awaited: of what is said with QoS 0 paho would make objects for a listener, too.
        self._client.on_publish = self._on_publish
        return waiter

    def _failed(self) -> "asyncio.Future[None]":
        waiter: asyncio.Future[None] = self._loop.create_future()
        waiter.set_exception(self._gone())
        # Nobody need wait for what is not confirmed anyway.
        waiter.exception()
        return waiter

    async def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> None:
        """Send and wait for the broker's answer. Raises as `send`."""
        await self.send(topic, payload, qos=qos, retain=retain)

    def ack(self, message: Message) -> None:
        """Tell the broker PUBACK for a message received with manual_ack. After the link's end this does nothing:
        the broker sends the message again in the next session.
        """
        if self.closed.is_set() or message.token not in self._unacknowledged:
            return
        self._unacknowledged[message.token] = True
        while self._unacknowledged:
            token, done = next(iter(self._unacknowledged.items()))
            if not done:
                return
            del self._unacknowledged[token]
            self._client.ack(token, message.qos)

    def pause(self) -> None:
        """Stop reading: what comes waits in TCP, then in the broker. A handful of messages already read may still be
        handed over. A pause of two keep-alives ends the link.
        """
        self._pump.pause()

    def resume(self) -> None:
        """Read again."""
        self._pump.resume()

    def unsent(self) -> bool:
        """Whether there are bytes that the kernel does not have yet."""
        return self._pump.unsent()

    def mark(self) -> int | None:
        """How far the stream has come, for `arrived`. None when the socket does not take any more now."""
        if self.unsent() and not self.closed.is_set():
            # Else it leaves when the loop comes round.
            self._pump.write()
        sock = self._pump.sock
        try:
            return None if sock is None or self.unsent() else given(sock.raw)
        except (OSError, ValueError):
            return None

    def arrived(self, mark: int | None) -> bool:
        """Whether the broker's machine has all that was sent up to there; what it has not may still arrive later."""
        up_to = self.mark() if mark is None else mark
        sock = self._pump.sock
        try:
            return sock is None or (up_to is not None and acknowledged(sock.raw) >= up_to)
        except (OSError, ValueError):
            return True

    async def close(self) -> None:
        """Say goodbye and end. The will is not published."""
        if not self.closed.is_set():
            if self._pump.sock is not None:
                self._pump.sock.keeps_word = True
            with contextlib.suppress(OSError):
                self._client.disconnect()
                self._client.loop_write()
            self._end(LinkError("closed by us"), flush=True)

    def abort(self, cause: str = "dropped by us") -> None:
        """End without goodbye, as a power cut does: the broker notices and publishes the will, and nothing that was
        sent before arrives after.
        """
        self._end(LinkError(cause))

    # --- paho in the loop -----------------------------------------------------------------------------

    def _install(self) -> None:
        client = self._client
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_paho_message
        client.on_subscribe = self._on_subscribe
        client.on_socket_open = lambda _c, _u, sock: self._in_loop(self._watch, sock)
        client.on_socket_close = lambda _c, _u, _sock: self._in_loop(self._pump.stop)
        client.on_socket_register_write = lambda _c, _u, _sock: self._in_loop(self._pump.wants_write)

    def _uninstall(self) -> None:
        # paho closes its sockets once more when it is collected, in whatever thread and long after our loop is gone.
        client = self._client
        client.on_connect = client.on_disconnect = client.on_message = client.on_publish = client.on_subscribe = None
        client.on_socket_open = client.on_socket_close = client.on_socket_register_write = None

    def _in_loop(self, function: Callable[..., None], *arguments: Any) -> None:  # noqa: ANN401  paho's own type is loose
        # Only the dial runs in another thread; waking the loop through its pipe for every message would be dear.
        if threading.get_ident() == self._thread:
            function(*arguments)
        else:
            self._loop.call_soon_threadsafe(function, *arguments)

    def _watch(self, sock: GatheringSocket) -> None:
        if self.closed.is_set() or sock.fileno() < 0:
            return
        self._pump.start(sock)
        self._tick()

    def _fail(self, error: Exception) -> None:
        broken = isinstance(error, OSError) and not isinstance(error, LinkError)
        self._end(LinkError(f"MQTT broker {self._address}: {error}") if broken else error)

    def _is_well(self, result: int) -> bool:
        """Whether paho is content; if not, the link ends."""
        if result != paho.MQTT_ERR_SUCCESS:
            self._end(LinkError(f"MQTT broker {self._address}: {paho.error_string(result)}"))
        return result == paho.MQTT_ERR_SUCCESS

    def _tick(self) -> None:
        if not self.closed.is_set() and self._is_well(self._client.loop_misc()):
            self._misc = self._loop.call_later(MISC_INTERVAL_S, self._tick)

    def _on_connect(
        self, _client: paho.Client, _data: object, flags: paho.ConnectFlags, reason: ReasonCode, _p: object
    ) -> None:
        if self._connected.done():
            return
        if reason.is_failure:
            self._connected.set_exception(LinkRefused(f"MQTT broker {self._address} refused us: {reason}"))
        else:
            self.session_present = flags.session_present
            self._connected.set_result(None)

    def _on_disconnect(
        self, _client: paho.Client, _data: object, _flags: object, reason: ReasonCode, _p: object
    ) -> None:
        if not self.closed.is_set():
            self._loop.call_soon_threadsafe(
                self._end, LinkError(f"MQTT broker {self._address} ended the connection: {reason}")
            )

    def _on_paho_message(self, _client: paho.Client, _data: object, message: paho.MQTTMessage) -> None:
        if self._manual_ack and message.qos > 0:
            self._unacknowledged[message.mid] = False
        self._on_message(Message(message.topic, bytes(message.payload), message.qos, message.retain, message.mid))

    def _on_publish(self, _client: paho.Client, _data: object, mid: int, reason: ReasonCode, _p: object) -> None:
        self.unheard += reason.value == _NOBODY_LISTENS
        waiter = self._published.pop(mid, None)
        if not self._published:
            self._client.on_publish = None
        if waiter is None or waiter.done():
            return
        if reason.is_failure:
            waiter.set_exception(LinkRefused(f"MQTT broker {self._address} refused a message: {reason}"))
        else:
            waiter.set_result(None)

    def _on_subscribe(
        self, _client: paho.Client, _data: object, mid: int, reasons: list[ReasonCode], _p: object
    ) -> None:
        waiter = self._subscribed.pop(mid, None)
        if waiter is None or waiter.done():
            return
        refused = [str(reason) for reason in reasons if reason.is_failure]
        if refused:
            waiter.set_exception(LinkRefused(f"MQTT broker {self._address} refused a subscription: {refused[0]}"))
        else:
            waiter.set_result(None)

    def _gone(self) -> LinkError:
        return LinkError(f"MQTT broker {self._address}: link is down ({self._cause})")

    def _end(self, cause: Exception, *, flush: bool = False) -> None:
        if self.closed.is_set():
            return
        self._cause = cause
        self.closed.set()
        if self._misc is not None:
            self._misc.cancel()
        self._uninstall()
        self._pump.stop()
        sock = self._client.socket()
        if isinstance(sock, GatheringSocket):
            # paho closes its socket only inside its own error paths; this one ends by our decision.
            sock.keeps_word = flush
            sock.close()
        waiters = [*self._published.values(), *self._subscribed.values(), self._connected]
        self._published.clear()
        self._subscribed.clear()
        for waiter in waiters:
            if not waiter.done():
                waiter.set_exception(self._gone())
                # A waiter that nobody awaits any more must not complain at its end.
                waiter.exception()
