"""Puts a simulated device on a broker: one MQTT 3.1.1 connection after another, as a device's network module does.

Is: sockets, waiting, the real clock. Everything the device decides is in its state machine (`Machine`).
The device dials with a clean session, names its will, if it has one, subscribes to its one topic and then says what the
machine wants said. After a lost connection it waits a short random time and dials again, for ever. `cut` drops the
connection without goodbye and keeps the device dark for a while; with power=True the machine also loses everything
volatile.
"""

import asyncio
import contextlib
import logging
from asyncio import Future
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from simulators.device import Moment, Publish, Time
from wire.clock import NS_PER_S
from wire.mqtt_link import BrokerAddress, LinkError, Message, MqttLink

log = logging.getLogger(__name__)

RECONNECT_S: Final = (0.5, 2.0)
REBOOT_S: Final = 1.0
GOODBYE_S: Final = 0.5
CONNECT_TIMEOUT_S: Final = 5.0


class Machine(Protocol):
    """What a device on MQTT has to be able to do."""

    powered: bool
    reboot_wanted: bool

    @property
    def client_id(self) -> str:
        """MQTT client id."""

    @property
    def subscription(self) -> str:
        """The topic to listen to."""

    def will(self, now: Moment) -> Publish | None:
        """The last will, if it has one."""

    def connected(self, now: Moment) -> None:
        """There is a session."""

    def disconnected(self) -> None:
        """There is none any more."""

    def power_off(self) -> None:
        """Power cut."""

    def power_on(self) -> None:
        """Power is back."""

    def received(self, payload: bytes, now: Moment) -> None:
        """A message arrived."""

    def poll(self, now: Moment) -> list[Publish]:
        """What to send now."""

    def wake_at(self) -> float | None:
        """When to poll again."""


@dataclass(slots=True)
class LinkCounters:
    """What happened on the wire side of one device."""

    connects: int = 0
    losses: int = 0
    published: int = 0
    cuts: int = 0


class DeviceRunner:
    """Runs one machine against one broker."""

    def __init__(
        self,
        machine: Machine,
        address: BrokerAddress,
        *,
        clock: Time,
        chance: Callable[[], float],
        keepalive_s: int = 30,
        connect: Callable[..., Awaitable[MqttLink]] = MqttLink.connect,
    ) -> None:
        """chance: uniform in [0, 1)."""
        self.counters = LinkCounters()
        self._machine = machine
        self._address = address
        self._clock = clock
        self._chance = chance
        self._keepalive_s = keepalive_s
        self._connect = connect
        self._news = asyncio.Event()
        self._dark_until_s = 0.0
        self._link: MqttLink | None = None

    def now(self) -> Moment:
        """The present moment of the real world."""
        return Moment(self._clock.mono_ns() / NS_PER_S, self._clock.wall_ns() / NS_PER_S)

    @property
    def online(self) -> bool:
        """Whether the device has a connection."""
        return self._link is not None

    def nudge(self) -> None:
        """Something happened at the device: let it speak now."""
        self._news.set()

    def cut(self, for_s: float, *, power: bool = False) -> None:
        """Drop the connection without goodbye and stay away for for_s seconds. power: the device goes down too."""
        self.counters.cuts += 1
        self._dark_until_s = max(self._dark_until_s, self.now().mono_s + for_s)
        if power:
            self._machine.power_off()
        if self._link is not None:
            self._link.abort()
        self._news.set()

    async def run(self) -> None:
        """For a TaskGroup; ends only by cancellation."""
        down_since_s: float | None = None
        while True:
            await self._dark()
            try:
                link = await self._dial()
            except LinkError as error:
                if down_since_s is None:
                    down_since_s = self.now().mono_s
                    log.warning("device off line", extra={"device": self._machine.client_id, "cause": str(error)})
            else:
                if down_since_s is not None:
                    log.info(
                        "device on line",
                        extra={
                            "device": self._machine.client_id,
                            "down_for_s": round(self.now().mono_s - down_since_s, 1),
                        },
                    )
                    down_since_s = None
                await self._session(link)
            await asyncio.sleep(RECONNECT_S[0] + self._chance() * (RECONNECT_S[1] - RECONNECT_S[0]))

    async def _dark(self) -> None:
        while (rest_s := self._dark_until_s - self.now().mono_s) > 0:
            self._news.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(rest_s):
                    await self._news.wait()
        if not self._machine.powered:
            self._machine.power_on()

    async def _dial(self) -> MqttLink:
        will = self._machine.will(self.now())
        link = await self._connect(
            self._address,
            self._received,
            client_id=self._machine.client_id,
            version=4,
            clean=True,
            keepalive_s=self._keepalive_s,
            timeout_s=CONNECT_TIMEOUT_S,
            will=None if will is None else (will.topic, will.payload, will.qos),
        )
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                await link.subscribe(self._machine.subscription, qos=1)
        except (LinkError, TimeoutError) as error:
            link.abort()
            raise LinkError(f"subscription not granted: {error}") from error
        except BaseException:
            link.abort()
            raise
        self.counters.connects += 1
        return link

    async def _session(self, link: MqttLink) -> None:
        self._link = link
        machine = self._machine
        try:
            # A cut may have come while the link was being made.
            if machine.powered and self._dark_until_s <= self.now().mono_s:
                machine.connected(self.now())
                await self._converse(link)
        finally:
            self._link = None
            if not link.closed.is_set():
                link.abort()
            self.counters.losses += 1
            machine.disconnected()

    async def _converse(self, link: MqttLink) -> None:
        ended = asyncio.ensure_future(link.closed.wait())
        ended.add_done_callback(lambda _: self._news.set())
        try:
            while not link.closed.is_set():
                self._news.clear()
                now = self.now()
                sent = [link.send(topic, payload, qos=qos) for topic, payload, qos in self._machine.poll(now)]
                for one in sent:
                    one.add_done_callback(_seen)
                self.counters.published += len(sent)
                if self._machine.reboot_wanted:
                    # A device says yes before it goes down; the broker must have read it.
                    if sent:
                        await asyncio.wait(sent, timeout=GOODBYE_S)
                    self.cut(REBOOT_S, power=True)
                    return
                await self._wait(self._machine.wake_at(), now)
        finally:
            ended.cancel()

    async def _wait(self, wake_at_s: float | None, now: Moment) -> None:
        try:
            async with asyncio.timeout(None if wake_at_s is None else max(0.0, wake_at_s - now.mono_s)):
                await self._news.wait()
        except TimeoutError:
            return

    def _received(self, message: Message) -> None:
        self._machine.received(message.payload, self.now())
        self._news.set()


def _seen(sent: Future[None]) -> None:
    # The broker's answer means nothing to a device that waits for its PushAck; only an unread error would be logged.
    if not sent.cancelled():
        sent.exception()
