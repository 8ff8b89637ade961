"""What became of the bytes that a TCP socket was given, and how to make it forget those that have not left.

Bytes that were handed to the kernel go out for as long as it takes, also when the socket is closed meanwhile: over a
line that stood still for a minute, what was said at its beginning arrives at its end. Where that must not be (an order
to a door), the socket is made to forget before it is closed.

Linux: `SIOCOUTQ`, and `tcpi_bytes_acked` of `struct tcp_info` (since 4.1).
"""

import array
import fcntl
import socket
import struct
import termios
from asyncio.trsock import TransportSocket
from typing import Final

Socket = socket.socket | TransportSocket

_FORGET: Final = struct.pack("ii", 1, 0)
_BYTES_ACKED_AT: Final = 120
_INFO_BYTES: Final = _BYTES_ACKED_AT + 8


def acknowledged(sock: Socket) -> int:
    """Bytes that the other end has, of all that the socket was ever given. Raises OSError."""
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _INFO_BYTES)
    (count,) = struct.unpack_from("=Q", info.ljust(_INFO_BYTES, b"\0"), _BYTES_ACKED_AT)
    return int(count)


def given(sock: Socket) -> int:
    """Bytes that the socket was ever given, those that the other end has and those that it has not. Raises OSError."""
    held = array.array("i", [0])
    fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, held)
    return acknowledged(sock) + held[0]


def forget(sock: Socket) -> None:
    """Closed from now on, it ends with a reset, and what it holds back is thrown away. Raises OSError."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _FORGET)


def give_up_after(sock: Socket, seconds: float) -> None:
    """What the other end does not acknowledge within so long ends the connection and is thrown away. Of a listening
    socket: holds for every connection that comes in through it. Raises OSError.
    """
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))
