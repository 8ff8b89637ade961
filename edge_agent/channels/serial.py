"""The serial channel: one port with one reader or scanner on it, any protocol that has a `SerialCodec`.

    port readable -> read, frame, translate (pure) -> mailbox -> settle: one commit for many

The loop reads the port's descriptor; there is no thread. The port is opened for us alone, and closed when it ends: a
read of nothing, an error, or a device file that is gone or is another one now (an adapter that was unplugged in a
container is told by nothing else). The supervisor opens it again until it is back.

These devices say a thing once and keep nothing. With MAILBOX_MAX messages waiting the port is not read; the kernel
keeps some 4 KiB for us, what comes beyond it is lost, and the framer finds its feet again. A tag that is still in the
field is then said again anyway: a message that could not be kept is not taken for known (`presentations`).

A reader that is quiet by nature shows no life of its own. While its port is open it counts as there; pulled, it is DOWN
after its profile's silence. Whether a reader behind a living adapter has power cannot be known.
"""

import asyncio
import errno
import os
import termios
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

from serial import EIGHTBITS, PARITY_EVEN, PARITY_NONE, PARITY_ODD, STOPBITS_ONE, STOPBITS_TWO, Serial

from edge_agent.channels.base import BoundDevice, Channel, ChannelHealth, ChannelParts
from edge_agent.channels.bugs import Bugs
from edge_agent.channels.presentations import Presentations
from edge_agent.channels.reception import Parcel, Reception
from edge_agent.codecs import Sign, codec
from edge_agent.codecs.kinds.serial import Framed, Framer, SerialCodec
from edge_agent.message import Message
from edge_agent.orders import Order, Performed
from edge_agent.settings import ChannelSettings
from edge_agent.transports.serial import Line, SerialTransport
from edge_agent.wakeup import Signal
from wire.clock import Stamp

MAILBOX_MAX: Final = 256
MAILBOX_LOW: Final = MAILBOX_MAX // 2
# Wait for a commit together.
TOGETHER: Final = 64
READ_BYTES: Final = 4096
TICK_S: Final = 1.0

_PARITIES: Final = {"none": PARITY_NONE, "even": PARITY_EVEN, "odd": PARITY_ODD}
_STOP_BITS: Final = {1: STOPBITS_ONE, 2: STOPBITS_TWO}


class Port(Protocol):
    """An open serial port; pyserial's behind SerialPort, or a test's."""

    def fileno(self) -> int:
        """For the loop."""

    def read(self) -> bytes:
        """What is there, at least a byte. Raises BlockingIOError when nothing is, another OSError when it ended."""

    def check(self) -> None:
        """Raises OSError when the device file is gone, or is another one now."""

    def close(self) -> None:
        """Give it back."""


OpenPort = Callable[[], Port]


class SerialPort:
    """A port of the kernel, opened for us alone with its settings."""

    def __init__(self, line: Line) -> None:
        """Raises OSError when it is not there, not ours to open, or somebody else has it."""
        self._path = line.port
        parity, stop_bits = _PARITIES[line.parity], _STOP_BITS[line.stop_bits]
        try:
            self._serial = Serial(line.port, line.baud_rate, EIGHTBITS, parity, stop_bits, timeout=0, exclusive=True)
        except (ValueError, termios.error) as error:
            raise OSError(errno.EINVAL, f"the port cannot be set so: {error}", line.port) from None

    def fileno(self) -> int:
        """See Port."""
        number: int = self._serial.fileno()
        return number

    def read(self) -> bytes:
        """See Port."""
        data = os.read(self.fileno(), READ_BYTES)
        if not data:
            raise _unplugged(self._path)
        return data

    def check(self) -> None:
        """See Port."""
        if Path(self._path).stat().st_rdev != os.fstat(self.fileno()).st_rdev:
            raise _unplugged(self._path)

    def close(self) -> None:
        """See Port."""
        self._serial.close()


@dataclass(frozen=True, slots=True)
class _Letter:
    """One thing heard, without its bytes. fresh: set when it began a presentation."""

    received: Stamp
    parcel: Parcel
    fresh: Message | None


class SerialChannel:
    """Implements edge_agent.channels.Channel."""

    def __init__(
        self,
        name: str,
        codec: SerialCodec,
        device: BoundDevice,
        parts: ChannelParts,
        open_port: OpenPort,
        *,
        tick_s: float = TICK_S,
    ) -> None:
        """tick_s: how often the port and the device's silence are looked at."""
        self.name = name
        self._codec = codec
        self._address = device.address
        self._parts = parts
        self._open_port = open_port
        self._tick_s = tick_s
        self._bugs = Bugs(name, parts.counters)
        self._reception = Reception(name, [device], parts, self._bugs, codec.harmless_keys)
        repetition = device.profile.repetition
        self._presentations = Presentations(0 if repetition is None else repetition.gap_ms)
        self._conversation: _Conversation | None = None
        self._mailbox: deque[_Letter] = deque()
        self._in_flight = 0

    async def run(self, up: Callable[[], None]) -> None:
        """One opening of the port, until it ends. Raises OSError."""
        await self._report_silence()
        port = self._open_port()
        conversation = self._conversation = _Conversation(port, self._codec, self._found, self._bugs)
        try:
            conversation.listen()
            up()
            await self._converse(conversation)
        finally:
            self._conversation = None
            conversation.end()
            port.close()

    async def perform(self, order: Order) -> Performed:
        """See Channel: nothing can be said to these devices."""
        del order
        return Performed("rejected", "not_supported")

    def health(self) -> ChannelHealth:
        """See Channel."""
        return self._reception.health(
            connected=self._conversation is not None, waiting=len(self._mailbox) + self._in_flight
        )

    # --- in -------------------------------------------------------------------------------------------

    def _found(self, framed: Sequence[Framed]) -> bool:
        """In the loop, for what a read brought. Only computes. False when no more may be read for now."""
        received = self._parts.clock.stamp()
        for raw, content in framed:
            self._parts.counters["messages_total"] += 1
            kind = content.kind if isinstance(content, Message) else ""
            is_record = kind in self._codec.records
            fresh = None
            if is_record and isinstance(content, Message):
                is_record = self._presentations.fresh(content, self._parts.clock.mono_ns())
                fresh = content if is_record else None
            sign = self._codec.signs.get(kind, Sign.ALIVE)
            parcel = self._reception.take(self._address, content, raw, sign=sign, is_record=is_record)
            self._mailbox.append(_Letter(received, parcel, fresh))
        return len(self._mailbox) < MAILBOX_MAX

    # --- commit ---------------------------------------------------------------------------------------

    async def _converse(self, conversation: "_Conversation") -> None:
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._work(conversation))
                watch = group.create_task(self._watch(conversation))
                await work
                watch.cancel()
        except ExceptionGroup as ended:
            raise _first(ended) from None
        raise conversation.cause or ConnectionError("the port ended")

    async def _work(self, conversation: "_Conversation") -> None:
        """Until the port has ended and what it brought is settled."""
        while conversation.cause is None or self._mailbox:
            letters = [self._mailbox.popleft() for _ in range(min(TOGETHER, len(self._mailbox)))]
            if letters:
                self._in_flight = len(letters)
                try:
                    kept = await self._reception.settle_each([(letter.parcel, letter.received) for letter in letters])
                finally:
                    self._in_flight = 0
                for letter, is_kept in zip(letters, kept, strict=True):
                    if not is_kept and letter.fresh is not None:
                        self._presentations.forget(letter.fresh)
                if len(self._mailbox) <= MAILBOX_LOW:
                    conversation.listen()
            else:
                await conversation.told.wait()

    # --- time -----------------------------------------------------------------------------------------

    async def _watch(self, conversation: "_Conversation") -> None:
        while True:
            try:
                conversation.check()
            except OSError as error:
                conversation.over(error)
                return
            if self._codec.quiet:
                parcel = self._reception.take(self._address, Message(kind=""), b"", sign=Sign.ALIVE, is_record=False)
                await self._reception.settle(parcel)
            await self._report_silence()
            await asyncio.sleep(self._tick_s)

    async def _report_silence(self) -> None:
        for parcel in self._reception.silent():
            await self._reception.settle(parcel)


class _Conversation:
    """One opening of the port: its framer, and whether the loop reads it now."""

    def __init__(self, port: Port, codec: SerialCodec, found: Callable[[Sequence[Framed]], bool], bugs: Bugs) -> None:
        self.cause: OSError | None = None
        self.told = Signal()
        self._port = port
        self._codec = codec
        self._framer: Framer = codec.framer()
        self._bugs = bugs
        self._found = found
        self._loop = asyncio.get_running_loop()
        self._gap: asyncio.TimerHandle | None = None
        self._listening = False

    def listen(self) -> None:
        """Have the loop read, if it does not."""
        if not self._listening and self.cause is None:
            self._listening = True
            self._loop.add_reader(self._port.fileno(), self._readable)

    def check(self) -> None:
        """Raises OSError when the port is not the one that was opened."""
        self._port.check()

    def over(self, cause: OSError) -> None:
        """The port has ended."""
        self.cause = self.cause or cause
        self.end()
        self.told.tell()

    def end(self) -> None:
        """Read no more."""
        if self._gap is not None:
            self._gap.cancel()
        self._deafen()

    def _deafen(self) -> None:
        if self._listening:
            self._listening = False
            self._loop.remove_reader(self._port.fileno())

    def _readable(self) -> None:
        try:
            data = self._port.read()
        except BlockingIOError:
            return
        except OSError as error:
            self.over(error)
            return
        if self._gap is not None:
            self._gap.cancel()
            self._gap = None
        self._hand_on(lambda: self._framer.feed(data))
        if self._framer.begun:
            self._gap = self._loop.call_later(self._codec.idle_gap_s, self._paused)

    def _paused(self) -> None:
        self._gap = None
        self._hand_on(self._framer.idle)

    def _hand_on(self, frame: Callable[[], Sequence[Framed]]) -> None:
        try:
            framed = frame()
        except Exception as error:  # noqa: BLE001  a framer that breaks its promise must not end the line
            self._bugs.tell(error)
            self._framer = self._codec.framer()
            return
        if framed:
            if not self._found(framed):
                self._deafen()
            self.told.tell()


def make(settings: ChannelSettings, devices: Sequence[BoundDevice], parts: ChannelParts, password: str) -> Channel:
    """The channel of one entry of the settings. Raises LookupError when its protocol does not speak over a line."""
    del password
    spec = codec(settings.protocol, SerialCodec)
    transport = settings.transport
    if not isinstance(transport, SerialTransport):
        raise TypeError(transport.kind)
    # The address model lets only one in.
    (device,) = devices
    return SerialChannel(settings.name, spec, device, parts, lambda: SerialPort(transport))


def _unplugged(path: str) -> OSError:
    return OSError(errno.ENODEV, "the port is gone", path)


def _first(ended: ExceptionGroup[Exception]) -> Exception:
    error: Exception = ended
    while isinstance(error, ExceptionGroup):
        error = error.exceptions[0]
    return error
