"""Logs of every process of ours: one event a line, `key=value`, fit for journald and for a terminal.

A record's `extra` fields follow the message. Under journald (JOURNAL_STREAM is set) each line starts with its sd-daemon
priority and carries no time, because journald adds both; elsewhere it starts with UTC and level.
"""

import logging
import os
import sys
from typing import Final, TextIO

from wire.clock import utc_text

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIORITY: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


def _quoted(value: object) -> str:
    text = str(value)
    if text and all(character.isprintable() and character not in ' "=' for character in text):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def _escaped(character: str) -> str:
    """What is foreign may neither end the line or the quotes nor speak to a terminal."""
    if character in '\\"':
        return "\\" + character
    return character if character.isprintable() else character.encode("unicode_escape").decode()


class LogfmtFormatter(logging.Formatter):
    """One line per record, tracebacks in lines of their own with the same prefix."""

    def __init__(self, *, journald: bool) -> None:
        super().__init__()
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        fields = "".join(f" {name}={_quoted(value)}" for name, value in vars(record).items() if name not in _STANDARD)
        line = f"{record.name}: {record.getMessage()}{fields}"
        if record.exc_info:
            line += "\n" + self.formatException(record.exc_info)
        if self._journald:
            prefix = f"<{_PRIORITY.get(record.levelno, 6)}>"
        else:
            prefix = f"{utc_text(int(record.created * 1e9))} {record.levelname:<7} "
        return "\n".join(prefix + part for part in line.splitlines())


def configure_logging(level: str = "INFO", stream: TextIO = sys.stderr) -> None:
    """Send all logs of this process to stream. Call once, from a command line's entry. level: one of LEVELS."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogfmtFormatter(journald="JOURNAL_STREAM" in os.environ))
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Our own lines tell when a server starts and ends.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
