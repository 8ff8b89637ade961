"""Packets between paho and its socket, moved in turns of the loop.

A turn of the loop, with all that it wakes up, costs as much as several messages. So what comes within READ_AGAIN_S
after something else is read together: a link that is busy looks by the clock, and only one on which nothing came
listens to its socket. What is said in one turn leaves together at its end.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

import paho.mqtt.client as paho

from wire.mqtt_socket import GatheringSocket

# Packets in one turn; then others have theirs.
PACKETS_AT_ONCE: Final = 64
READ_AGAIN_S: Final = 0.005


class Pump:
    """Of one connection, until `stop`."""

    def __init__(self, client: paho.Client, went: Callable[[int], bool], end: Callable[[Exception], None]) -> None:
        """went: whether paho is content with this result; if not, the link ends. end: ends the link."""
        self._client = client
        self._went = went
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._again: asyncio.TimerHandle | None = None
        self._waits_for_room = False
        self.listens = False
        self.sock: GatheringSocket | None = None

    def start(self, sock: GatheringSocket) -> None:
        """There is a connection."""
        sock.raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = sock
        if not self._paused:
            self._listen(sock, on=True)

    def stop(self) -> None:
        """Nothing is moved any more. Calling it again does nothing."""
        sock, self.sock = self.sock, None
        if sock is not None and sock.fileno() >= 0:
            self._loop.remove_reader(sock)
            self._loop.remove_writer(sock)
        self._forget_again()

    # --- in -------------------------------------------------------------------------------------------

    def pause(self) -> None:
        """What comes waits in TCP."""
        self._paused = True
        if self.sock is not None:
            self._listen(self.sock, on=False)

    def resume(self) -> None:
        """Read again."""
        if self._paused:
            self._paused = False
            self._loop.call_soon(self.read)

    def read(self) -> None:
        """Read what is here; then again after a while, for as long as something comes."""
        self._forget_again()
        sock = self.sock
        reads = 0 if sock is None else sock.reads
        for _ in range(PACKETS_AT_ONCE):
            if self._paused or sock is None:
                return
            # An exception from the caller's callback ends this link and is kept as its cause: silence would be worse.
            try:
                result = self._client.loop_read()
            except Exception as error:  # noqa: BLE001  see above
                self._end(error)
                return
            if not self._went(result) or self.sock is None:
                return
            if not sock.pending():
                break
        else:
            # What is here already never makes the socket readable.
            self._loop.call_soon(self.read)
            return
        came = sock.reads != reads
        self._listen(sock, on=not came and not self._paused)
        if came:
            self._again = self._loop.call_later(READ_AGAIN_S, self.read)

    def _listen(self, sock: GatheringSocket, *, on: bool) -> None:
        if on != self.listens and sock.fileno() >= 0:
            self.listens = on
            if on:
                self._loop.add_reader(sock, self.read)
            else:
                self._loop.remove_reader(sock)

    def _forget_again(self) -> None:
        if self._again is not None:
            self._again.cancel()
            self._again = None

    # --- out ------------------------------------------------------------------------------------------

    def unsent(self) -> bool:
        """Whether there are bytes that the kernel does not have yet."""
        return self._client.want_write() or (self.sock is not None and self.sock.unsent > 0)

    def wants_write(self) -> None:
        """There is something to write; paho says so once, until it is rid of everything."""
        self._loop.call_soon(self.write)

    def write(self) -> None:
        """Give the kernel what it takes."""
        sock = self.sock
        if sock is None or not self._went(self._client.loop_write()) or self.sock is None:
            return
        try:
            sock.flush()
        except OSError as error:
            self._end(error)
            return
        self._wait_for_room(sock)
        if self._client.want_write() and not sock.unsent:
            self._loop.call_soon(self.write)

    def _wait_for_room(self, sock: GatheringSocket) -> None:
        waits = sock.unsent > 0
        if waits != self._waits_for_room:
            self._waits_for_room = waits
            if waits:
                self._loop.add_writer(sock, self.write)
            else:
                self._loop.remove_writer(sock)
