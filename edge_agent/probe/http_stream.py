"""A camera or recorder that answers one request for ever: signed in, and what it says shown until enough was heard."""

import asyncio
import os

from edge_agent.channels.http_sign_in import Credentials
from edge_agent.channels.http_stream import StreamAddress, dialler
from edge_agent.codecs import codec
from edge_agent.codecs.kinds.stream import StreamCodec
from edge_agent.codecs.multipart import Multipart, boundary_of
from edge_agent.message import Discard
from edge_agent.probe import Limits, ProbeRefused, Report, Target
from edge_agent.supervise import RefusedError
from edge_agent.transports.http_stream import HttpStreamTransport
from wire.clock import Clock


async def probe(target: Target, report: Report, limits: Limits, clock: Clock) -> None:
    """See edge_agent.probe."""
    transport = target.transport
    if not isinstance(transport, HttpStreamTransport):
        raise TypeError(transport.kind)
    spec = codec(target.protocol, StreamCodec)
    address = StreamAddress(
        host=transport.host,
        port=transport.port,
        path=spec.path,
        credentials=Credentials(transport.username, target.password),
        tls_ca=transport.tls_ca,
    )
    began_ns = clock.mono_ns()
    try:
        stream = await dialler(address, os.urandom)()
    except RefusedError as refused:
        raise ProbeRefused(str(refused)) from None
    try:
        report.answered("stream", clock.mono_ns() - began_ns)
        boundary = boundary_of(stream.content_type)
        if boundary is None:
            raise ProbeRefused("something else than an event stream")
        reader = Multipart(boundary, spec.media_types, spec.part_bytes_max)
        (device,) = target.devices
        left = limits.count
        async with asyncio.timeout(limits.for_s):
            while left > 0 and (data := await stream.read()):
                for part in reader.feed(data)[:left]:
                    content = Discard("too_large") if part.too_large else spec.decode(part.media_type, part.body)
                    report.content(spec, device, content, part.body)
                    left -= 1
    except TimeoutError:
        return
    finally:
        await stream.close()
