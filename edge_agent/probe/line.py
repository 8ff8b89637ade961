"""Who has a serial port. One program at a time may, or each would hear half of what is said."""

import errno
import fcntl
import os

from edge_agent.probe import Held


def look_for_holder(port: str) -> None:
    """Raises Held when another program has the port, OSError when it is not there or not ours to open."""
    try:
        descriptor = os.open(port, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise Held(port) from None
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(descriptor, fcntl.LOCK_UN)
    except BlockingIOError:
        raise Held(port) from None
    finally:
        os.close(descriptor)
