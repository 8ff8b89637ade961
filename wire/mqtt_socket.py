"""A socket that reads ahead and writes together, for paho.

paho asks the kernel three or four times for one packet and once for each that it sends; on a busy link that was a
quarter of what a message cost. Here what has arrived is read at once, `pending` says whether any of it is left, and
what is to be sent is gathered until `flush`. A flush that the socket does not take whole leaves the rest for the next
one, and with GATHERED_MAX waiting paho is told to wait.

Everything is as paho expects it of a socket that does not block, over TLS, too.
"""

import socket
import ssl
from contextlib import suppress
from typing import Final

import paho.mqtt.client as paho

from wire.sockets import forget

AHEAD: Final = 16 * 1024
GATHERED_MAX: Final = 64 * 1024
# How a socket says that it would block; TLS has its own words.
_WOULD_BLOCK: Final = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class GatheringSocket:
    """See the module. What it does not do itself it leaves to the socket."""

    def __init__(self, sock: socket.socket) -> None:
        self.raw = sock
        self.keeps_word = False
        # Times that something was read; a caller sees by it whether anything came.
        self.reads = 0
        self._ahead = b""
        self._at = 0
        self._gathered = bytearray()

    # --- in -------------------------------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """Up to size bytes; b"" when the other side has ended. Raises as the socket does."""
        if self._at == len(self._ahead):
            if size >= AHEAD:
                data = self.raw.recv(size)
                self.reads += 1
                return data
            self._ahead, self._at = self.raw.recv(AHEAD), 0
            self.reads += 1
        data = self._ahead[self._at : self._at + size]
        self._at += len(data)
        return data

    def pending(self) -> int:
        """Bytes that are here already; they do not make the socket readable."""
        beneath = self.raw.pending() if isinstance(self.raw, ssl.SSLSocket) else 0
        return len(self._ahead) - self._at + beneath

    # --- out ------------------------------------------------------------------------------------------

    def send(self, data: bytes | bytearray) -> int:
        """Gather. Raises BlockingIOError when too much waits, and what a flush raises."""
        if len(self._gathered) + len(data) > GATHERED_MAX:
            self.flush()
            if self._gathered and len(self._gathered) + len(data) > GATHERED_MAX:
                raise BlockingIOError
        self._gathered += data
        return len(data)

    def flush(self) -> None:
        """Give the socket what it takes. Raises OSError when it has ended."""
        with suppress(*_WOULD_BLOCK):
            while self._gathered:
                del self._gathered[: self.raw.send(self._gathered)]

    @property
    def unsent(self) -> int:
        """Bytes that wait for a flush."""
        return len(self._gathered)

    # --- the socket's own -----------------------------------------------------------------------------

    def fileno(self) -> int:
        """See socket."""
        return self.raw.fileno()

    def setblocking(self, flag: bool) -> None:  # noqa: FBT001  as socket has it
        """See socket."""
        self.raw.setblocking(flag)

    def close(self) -> None:
        """What has not arrived is thrown away, here and in the kernel, unless the socket keeps its word: then all that
        is taken at once goes out, however late it may arrive.
        """
        with suppress(OSError, ValueError):
            if self.keeps_word:
                self.flush()
            else:
                forget(self.raw)
        self.raw.close()


class GatheringClient(paho.Client):
    """paho on such a socket. The one place where we reach into it, for it offers no other way to bring a socket along;
    MqttLink says so should a later paho not ask here any more.
    """

    def _create_socket(self) -> GatheringSocket:
        return GatheringSocket(super()._create_socket())  # type: ignore[arg-type]  # TCP or TLS, a socket in any case
