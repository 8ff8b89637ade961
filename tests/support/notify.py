"""systemd's end of the notification socket."""

import contextlib
import socket
from pathlib import Path


class Manager:
    """Hears what a service says. address: a path, or an abstract name with @."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        """Everything since the last call."""
        found = []
        with contextlib.suppress(BlockingIOError):
            while True:
                found.append(self.socket.recv(4096).decode())
        return found

    def close(self) -> None:
        self.socket.close()
