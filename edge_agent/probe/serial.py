"""A reader or scanner on a serial port: whatever it says is shown, until enough was heard."""

import asyncio
from collections.abc import Sequence

from edge_agent.channels.serial import SerialPort
from edge_agent.codecs import codec
from edge_agent.codecs.kinds.serial import Framed, SerialCodec
from edge_agent.probe import Limits, Report, Target
from edge_agent.probe.line import look_for_holder
from edge_agent.transports.serial import SerialTransport
from wire.clock import Clock


async def probe(target: Target, report: Report, limits: Limits, clock: Clock) -> None:
    """See edge_agent.probe."""
    del clock
    transport = target.transport
    if not isinstance(transport, SerialTransport):
        raise TypeError(transport.kind)
    look_for_holder(transport.port)
    port = SerialPort(transport)
    listening = _Listening(port, codec(target.protocol, SerialCodec), target, report, limits.count)
    loop = asyncio.get_running_loop()
    try:
        loop.add_reader(port.fileno(), listening.readable)
        async with asyncio.timeout(limits.for_s):
            await listening.over
    except TimeoutError:
        return
    finally:
        loop.remove_reader(port.fileno())
        listening.end()
        port.close()


class _Listening:
    """over: ends when enough was heard, or with what ended the port."""

    def __init__(self, port: SerialPort, spec: SerialCodec, target: Target, report: Report, count: int) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._port = port
        self._spec = spec
        self._framer = spec.framer()
        self._target = target
        self._report = report
        self._left = count
        self._gap: asyncio.TimerHandle | None = None

    def readable(self) -> None:
        """Bytes are there."""
        try:
            data = self._port.read()
        except BlockingIOError:
            return
        except OSError as error:
            if not self.over.done():
                self.over.set_exception(error)
            return
        self.end()
        self._heard(self._framer.feed(data))
        if self._framer.begun:
            self._gap = asyncio.get_running_loop().call_later(self._spec.idle_gap_s, self._paused)

    def end(self) -> None:
        """No pause is waited for any more."""
        if self._gap is not None:
            self._gap.cancel()

    def _paused(self) -> None:
        self._heard(self._framer.idle())

    def _heard(self, framed: Sequence[Framed]) -> None:
        (device,) = self._target.devices
        for raw, content in framed:
            self._report.content(self._spec, device, content, raw)
            self._left -= 1
        if self._left <= 0 and not self.over.done():
            self.over.set_result(None)
