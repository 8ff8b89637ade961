"""Devices at an MQTT broker: a session of our own hears what they say. Nothing is published.

The session is a new one that ends with us, so the agent's loses nothing by it. Answers are the broker's, to a
subscription that is asked for again and again; how long a device takes it does not say.
"""

import asyncio
import secrets
from typing import Final

from edge_agent.codecs import codec
from edge_agent.codecs.kinds.mqtt import MqttCodec
from edge_agent.probe import Limits, ProbeRefused, Report, Target
from edge_agent.transports.mqtt import MqttTransport
from wire.clock import Clock
from wire.mqtt_link import LinkRefused, Message, MqttLink

ROUNDS: Final = 5


async def probe(target: Target, report: Report, limits: Limits, clock: Clock) -> None:
    """See edge_agent.probe."""
    transport = target.transport
    if not isinstance(transport, MqttTransport):
        raise TypeError(transport.kind)
    spec = codec(target.protocol, MqttCodec)
    prefix = (transport.topic_prefix or spec.topic_prefix).rstrip("/")
    enough = asyncio.Event()
    left = limits.count

    def heard(message: Message) -> None:
        nonlocal left
        # A retained message is old, and nobody said it now.
        if message.retain or len(message.payload) > spec.payload_bytes_max:
            return
        for address, content in spec.decode(prefix, message.topic, message.payload):
            device = target.device_of(address)
            if device is not None and left > 0:
                report.content(spec, device, content, message.payload)
                left -= 1
        if left <= 0:
            enough.set()

    address = transport.address(target.password)
    try:
        link = await MqttLink.connect(
            address, heard, client_id=f"campus-probe-{secrets.token_hex(4)}", version=transport.version
        )
        try:
            for _ in range(ROUNDS):
                began_ns = clock.mono_ns()
                await link.subscribe(*spec.subscriptions(prefix))
                report.answered("broker", clock.mono_ns() - began_ns)
            async with asyncio.timeout(limits.for_s):
                await _either(enough, link.closed)
            if link.closed.is_set() and link.cause is not None:
                raise link.cause
        except TimeoutError:
            return
        finally:
            await link.close()
    except LinkRefused as refused:
        raise ProbeRefused(str(refused)) from None


async def _either(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
