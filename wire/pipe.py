"""Commands that print for ever: in which form, since when, and how they end: quietly when nobody reads any more, with
130 when interrupted.
"""

import os
import re
import sys
from collections.abc import Callable
from enum import StrEnum
from typing import Final

EXIT_OK: Final = 0
EXIT_INTERRUPTED: Final = 130
_SPAN: Final = re.compile(r"([0-9]{1,6})([smhd])")
_UNIT_S: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Output(StrEnum):
    """Forms of output."""

    LINE = "line"
    JSON = "json"
    CSV = "csv"


def until_nobody_reads(call: Callable[[], int]) -> int:
    """Its exit code, or that of the way in which it ended."""
    try:
        code = call()
        sys.stdout.flush()
    except BrokenPipeError:
        # Whatever is still in the buffer would raise once more when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_OK
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def span_s(text: str) -> int:
    """Seconds of `10m`, `2h`, `30s`, `1d`. Raises ValueError."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * _UNIT_S[match[2]]
