"""Logs of every process of ours: one event a line, `key=value`, fit for journald and for a terminal.

A record's `extra` fields follow the message. Under journald (JOURNAL_STREAM is set) each line starts with its sd-daemon
priority and carries no time, because journald adds both; elsewhere it starts with UTC and level.

A traceback has types and places of our code. The text of an exception may hold what the code was working on, a person's
number perhaps (`KeyError: '20260001'`), so it stands there only for types whose text is Python's or the system's own.
"""

import logging
import os
import sqlite3
import sys
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Final, TextIO

from wire.clock import utc_text

LEVELS: Final = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PRIORITY: Final = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}

_TEXT_IS_HARMLESS: Final = (
    ArithmeticError,
    AttributeError,
    ImportError,
    MemoryError,
    NameError,
    OSError,
    RecursionError,
    TypeError,
    sqlite3.Error,
)


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


def _traceback(error: BaseException, seen: set[int]) -> Iterator[str]:
    seen.add(id(error))
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if before is not None and id(before) not in seen:
        yield from _traceback(before, seen)
        yield "and then:"
    yield from "".join(traceback.format_tb(error.__traceback__)).splitlines()
    name = f"{type(error).__module__}.{type(error).__qualname__}".removeprefix("builtins.")
    yield f"{name}: {error}" if isinstance(error, _TEXT_IS_HARMLESS) else name
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from (f"  | {line}" for line in _traceback(inner, seen))


class LogfmtFormatter(logging.Formatter):
    """One line per record, tracebacks in lines of their own with the same prefix."""

    def __init__(self, *, journald: bool) -> None:
        super().__init__()
        self._journald = journald

    def format(self, record: logging.LogRecord) -> str:
        """See logging.Formatter."""
        fields = "".join(f" {name}={_quoted(value)}" for name, value in vars(record).items() if name not in _STANDARD)
        line = f"{record.name}: {record.getMessage()}{fields}"
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + "\n".join(_traceback(record.exc_info[1], set()))
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
    sys.excepthook = _ended


def _ended(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """What nobody caught ends the process; it is told like everything else."""
    if not isinstance(error, Exception):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger(__name__).critical("ended by a bug of ours", exc_info=(kind, error, trace))
