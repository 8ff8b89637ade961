"""Readers on a serial line, written from their data sheets: a 125 kHz card reader and a code scanner.

    RDM6300     02, ten hex digits (version byte, 32 bits), two hex digits (XOR of the five bytes), 03; again every
                65 ms for as long as the tag is held there
    scanner     the text of the code, CR LF

A reader has no clock and no memory: what nobody reads is gone. It hangs on a pseudo-terminal; `path` is the device file
that a box opens, and it vanishes and comes back with `unplug` and `replug` as that of a USB adapter does.
"""

import asyncio
import os
import tty
from pathlib import Path
from typing import Final, Literal

from simulators.device import Moment, Time, Witness

TAG_EVERY_S: Final = 0.065

Kind = Literal["rdm6300", "qr-line"]


class SerialReader:
    """One reader. Open it before the box looks for its port."""

    def __init__(self, name: str, kind: Kind, path: Path, *, witness: Witness, clock: Time) -> None:
        """path: a symbolic link that is made to the pseudo-terminal."""
        self.name = name
        self.kind = kind
        self.path = path
        self._witness = witness
        self._clock = clock
        self._descriptor = -1

    @property
    def plugged(self) -> bool:
        """Whether the device file is there."""
        return self._descriptor >= 0

    def replug(self) -> None:
        """The adapter is plugged in; a new device file stands under the same name."""
        if self.plugged:
            return
        self._descriptor, far_end = os.openpty()
        tty.setraw(far_end)
        os.set_blocking(self._descriptor, False)
        self.path.symlink_to(os.ttyname(far_end))
        os.close(far_end)

    def unplug(self) -> None:
        """The adapter is pulled."""
        if self.plugged:
            self.path.unlink(missing_ok=True)
            os.close(self._descriptor)
            self._descriptor = -1

    async def show(self, text: str, *, held_s: float = 0.2) -> None:
        """A card (ten decimal digits, as printed) or the text of a code is held to the reader."""
        if not self.plugged:
            return
        if self.kind == "qr-line":
            self._tell("code")
            self._write(text.encode("ascii") + b"\r\n")
            return
        self._tell("tag")
        frame = tag_frame(int(text))
        for _ in range(max(1, int(held_s / TAG_EVERY_S))):
            self._write(frame)
            await asyncio.sleep(TAG_EVERY_S)

    def _tell(self, what: str) -> None:
        now = Moment(self._clock.mono_ns() / 1e9, self._clock.wall_ns() / 1e9)
        self._witness.said(self.name, what, "", now)

    def _write(self, data: bytes) -> None:
        if not self.plugged:
            return
        try:
            os.write(self._descriptor, data)
        except BlockingIOError:
            # Nobody reads, and the line's buffer is full: a real reader talks into the void as well.
            return


def tag_frame(number: int, version: int = 0) -> bytes:
    """What the reader says of a tag. number: the 32 bits that are printed on it in decimal."""
    data = bytes([version]) + number.to_bytes(4, "big")
    check = 0
    for byte in data:
        check ^= byte
    return b"\x02" + data.hex().upper().encode() + f"{check:02X}".encode() + b"\x03"
