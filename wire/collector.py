"""Python's search for garbage in circles, in a process that runs for months and makes thousands of objects a second.

Nearly everything goes by its reference count. The search for the rest begins anew with every 700 objects more than
before, whatever they are for, and looks through what was loaded at the start, which never goes: together a twentieth
of what a busy box does. What is loaded is therefore set aside, and the search waits for 10,000 objects, a megabyte or
two.
"""

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

YOUNG: Final = 10_000


@contextmanager
def long_running() -> Iterator[None]:
    """Inside the block the search is rare, and spares what exists now. Afterwards all is as before."""
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def give_back() -> None:
    """Let the machine have what starting took and nobody needs any more, which glibc keeps otherwise. Takes a
    millisecond; another C library may not know how, and then keeps it.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
