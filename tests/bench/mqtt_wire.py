"""MQTT 3.1.1 by hand, as little of it as a load needs, so that the load costs a fraction of what it loads.

One connection, QoS 1 both ways. Whatever is published goes out at once; acknowledgements are counted, not matched.
"""

import asyncio
from collections.abc import Callable
from typing import Final

PUBACK: Final = 0x40
PUBLISH: Final = 0x30


def text(value: str) -> bytes:
    """A string with its length before it."""
    raw = value.encode()
    return len(raw).to_bytes(2, "big") + raw


def remaining(length: int) -> bytes:
    """The length of a packet in seven bits at a time."""
    out = bytearray()
    while True:
        length, low = divmod(length, 128)
        out.append(low | (0x80 if length else 0))
        if not length:
            return bytes(out)


class Wire(asyncio.Protocol):
    """See the module. heard: called with topic and payload of each message that comes."""

    def __init__(self, heard: Callable[[bytes, bytes], None]) -> None:
        self._heard = heard
        self._rest = b""
        self._number = 0
        self.acknowledged = 0
        self.ready = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport | None = None

    @classmethod
    async def connect(
        cls, host: str, port: int, *, name: str, user: str, password: str, heard: Callable[[bytes, bytes], None]
    ) -> "Wire":
        """Raises ConnectionError when the broker says no."""
        _, wire = await asyncio.get_running_loop().create_connection(lambda: cls(heard), host, port)
        body = text("MQTT") + bytes([4, 0xC2, 0, 0]) + text(name) + text(user) + text(password)
        wire.write(b"\x10" + remaining(len(body)) + body)
        await wire.ready
        return wire

    def write(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)

    def subscribe(self, topic: str) -> None:
        body = b"\x00\x01" + text(topic) + b"\x01"
        self.write(b"\x82" + remaining(len(body)) + body)

    def packet(self, topic: bytes, payload: bytes) -> bytes:
        """A message of QoS 1. topic: with its length before it."""
        self._number = self._number % 65535 + 1
        head = b"\x32" + remaining(len(topic) + 2 + len(payload))
        return b"".join((head, topic, self._number.to_bytes(2, "big"), payload))

    # --- asyncio --------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("the broker hung up"))

    def data_received(self, data: bytes) -> None:
        buffer = self._rest + data if self._rest else data
        at, acks, end = 0, [], len(buffer)
        while end - at >= 2:
            length, size = buffer[at + 1], 2
            if length & 0x80:
                shift, length = 7, length & 0x7F
                while size < end - at:
                    byte = buffer[at + size]
                    length |= (byte & 0x7F) << shift
                    size, shift = size + 1, shift + 7
                    if not byte & 0x80:
                        break
                else:
                    break
            if end - at < size + length:
                break
            kind, body = buffer[at] & 0xF0, at + size
            at = body + length
            if kind == PUBACK:
                self.acknowledged += 1
            elif kind == PUBLISH:
                acks.append(self._message(buffer, body, at, qos=buffer[body - size] >> 1 & 3))
            elif kind == 0x20 and not self.ready.done():
                self._let_in(buffer[body + 1])
        self._rest = buffer[at:]
        if acks:
            self.write(b"".join(acks))

    def _message(self, buffer: bytes, body: int, end: int, *, qos: int) -> bytes:
        name_end = body + 2 + int.from_bytes(buffer[body : body + 2], "big")
        start = name_end + (2 if qos else 0)
        self._heard(buffer[body + 2 : name_end], buffer[start:end])
        return b"\x40\x02" + buffer[name_end:start] if qos else b""

    def _let_in(self, code: int) -> None:
        if code:
            self.ready.set_exception(ConnectionError(f"the broker refused us: {code}"))
        else:
            self.ready.set_result(None)
