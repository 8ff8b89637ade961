"""Between the broker and admission: frames in, answers out, the link kept up.

Bounded twice. Every frame is acknowledged to the broker only after it was answered, and the broker may have
RECEIVE_MAXIMUM frames unacknowledged towards us; mosquitto 2.0 sends a full window more after each acknowledgement, so
IN_FLIGHT_MAX and IN_FLIGHT_BYTES_MAX are what really holds. When the ledger is slow the broker holds the rest, and
drops what is beyond its own limit; both are harmless, because a box sends again whatever the campus did not
acknowledge. A frame over the bound is dropped and counted.

Frames are handed to admission in the order in which they came and are answered as their commits end, so that many
boxes share one commit.

Is not a store: the session with the broker starts clean each time, and retained messages are ignored.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aggregator.admission import Admission
from wire.errors import Malformed
from wire.mqtt_link import BrokerAddress, LinkError, LinkRefused, Message, MqttLink
from wire.outage import Outage
from wire.topics import Down, down_topic, parse_up, up_filter

log = logging.getLogger(__name__)

RECEIVE_MAXIMUM: Final = 256
IN_FLIGHT_MAX: Final = 1024
IN_FLIGHT_BYTES_MAX: Final = 32 * 1024 * 1024
ANSWER_TIMEOUT_S: Final = 30.0
# There is one of us; nobody is spared by waiting longer, and until we are back every screen stands still.
WAIT_S_MAX: Final = 4.0
# A refusal is not going to pass by itself soon.
REFUSED_WAIT_S: Final = 10.0


@dataclass(slots=True)
class FrontHealth:
    """Where the link stands and what passed. in_flight: frames taken in and not yet answered.

    full, retained, bad_topic: frames dropped for that reason. faults: frames that met a bug of ours. refused: answers
    that the broker did not take.
    """

    link_up: bool = False
    in_flight: int = 0
    frames: int = 0
    answers: int = 0
    full: int = 0
    retained: int = 0
    bad_topic: int = 0
    faults: int = 0
    refused: int = 0
    outages: int = 0


class Front:
    """Keeps one subscription to all boxes of a campus. Start `run` in a TaskGroup."""

    def __init__(
        self,
        admission: Admission,
        address: BrokerAddress,
        *,
        campus: str,
        client_id: str,
        chance: Callable[[], float],
    ) -> None:
        """client_id: unique at the broker. chance: uniform in [0, 1)."""
        self._admission = admission
        self._address = address
        self._campus = campus
        self._client_id = client_id
        self._link: MqttLink | None = None
        self._bytes = 0
        self._outage = Outage(log, "broker link", chance=chance, longest_s=WAIT_S_MAX)
        self.health = FrontHealth()

    async def run(self) -> None:
        """Serve for ever: connect, subscribe, answer; after an outage again (wire.outage)."""
        while True:
            async with asyncio.TaskGroup() as handlers:
                cause = await self._serve(handlers)
                # What was taken in may still be committed; its answers are lost with the link, which is allowed.
            wait_s = self._outage.began(cause, wait_s=REFUSED_WAIT_S if isinstance(cause, LinkRefused) else None)
            self.health.outages = self._outage.count
            await asyncio.sleep(wait_s)

    async def send(self, edge: str, leaf: Down, frame: bytes) -> None:
        """Publish one frame to a box; returns when the broker has it. Raises LinkError, LinkRefused."""
        if self._link is None:
            raise LinkError(f"MQTT broker {self._address}: not connected")
        await self._link.publish(down_topic(self._campus, edge, leaf), frame)

    # --- one connection -------------------------------------------------------------------------------

    async def _serve(self, handlers: asyncio.TaskGroup) -> Exception:
        """One connection from dial to end; returns what ended it."""
        try:
            # Messages come only after the subscription, so `link` is bound when the callback first runs.
            link = await MqttLink.connect(
                self._address,
                lambda message: self._arrived(handlers, link, message),
                client_id=self._client_id,
                manual_ack=True,
                receive_maximum=RECEIVE_MAXIMUM,
            )
        except LinkError as error:
            return error
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                await link.subscribe(up_filter(self._campus))
            self._link = link
            self.health.link_up = True
            self._outage.ended()
            await link.closed.wait()
        except (LinkError, TimeoutError) as error:
            return error
        finally:
            self._link = None
            self.health.link_up = False
            await link.close()
        return link.cause or LinkError("closed")

    def _arrived(self, handlers: asyncio.TaskGroup, link: MqttLink, message: Message) -> None:
        health = self.health
        health.frames += 1
        size = len(message.payload)
        full = health.in_flight >= IN_FLIGHT_MAX or self._bytes + size > IN_FLIGHT_BYTES_MAX
        if message.retain or full:
            health.retained += message.retain
            health.full += not message.retain
            link.ack(message)
            return
        health.in_flight += 1
        self._bytes += size
        # Tasks start in the order in which they were made; that is what keeps the frames of a box in order.
        handlers.create_task(self._handle(link, message))

    async def _handle(self, link: MqttLink, message: Message) -> None:
        try:
            await self._answer(link, message)
        except LinkError:
            # A box takes silence as a reason to send again.
            log.debug("answer lost with the link", extra={"topic": message.topic})
        except Exception:
            self.health.faults += 1
            log.exception("frame not handled", extra={"topic": message.topic})
        finally:
            self.health.in_flight -= 1
            self._bytes -= len(message.payload)
            link.ack(message)

    async def _answer(self, link: MqttLink, message: Message) -> None:
        try:
            topic = parse_up(message.topic)
        except Malformed:
            self.health.bad_topic += 1
            return
        for leaf, frame in await self._admission.receive(topic, message.payload):
            try:
                async with asyncio.timeout(ANSWER_TIMEOUT_S):
                    await link.publish(down_topic(self._campus, topic.edge, leaf), frame)
                self.health.answers += 1
            except (LinkRefused, TimeoutError) as error:
                self.health.refused += 1
                log.debug("answer refused", extra={"edge": topic.edge, "cause": str(error)})
