"""Logs of every process of ours: one event a line, `key=value`, fit for journald and for a terminal.

A record's `extra` fields follow the message, which is the same for every event of a kind. When the stream is journald's
(JOURNAL_STREAM names it) each line starts with its sd-daemon priority and carries no time, because journald adds both;
elsewhere it starts with UTC and level.

The same warning again is folded: the first is told at once, what follows within FOLDED_OVER_S is counted, and the count
is told with the next one after that, with anything else after that, or at the end.

A traceback has types and places of our code. The text of an exception may hold what the code was working on, a person's
number perhaps (`KeyError: '20260001'`), so it stands there only for types whose text is Python's or the system's own.
"""

import logging
import os
import sqlite3
import sys
import time
import traceback
from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass
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


def quoted(value: object) -> str:
    """Text as a value of logfmt: what is foreign may neither end the line nor speak to a terminal."""
    text = str(value)
    if text and all(character.isprintable() and character not in ' "=' for character in text):
        return text
    return '"' + "".join(_escaped(character) for character in text) + '"'


def printable(text: str) -> str:
    """Text that ends no line and does not speak to a terminal."""
    return "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in text)


def _escaped(character: str) -> str:
    """What is foreign may neither end the line or the quotes nor speak to a terminal."""
    if character in '\\"':
        return "\\" + character
    return character if character.isprintable() else character.encode("unicode_escape").decode()


# How long a warning is folded, and how many different ones at once; beyond that the oldest is told.
FOLDED_OVER_S: Final = 60.0
FOLDS_MAX: Final = 256


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
        fields = "".join(f" {name}={quoted(value)}" for name, value in vars(record).items() if name not in _STANDARD)
        line = f"{record.name}: {record.getMessage()}{fields}"
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + "\n".join(_traceback(record.exc_info[1], set()))
        if self._journald:
            prefix = f"<{_PRIORITY.get(record.levelno, 6)}>"
        else:
            prefix = f"{utc_text(int(record.created * 1e9))} {record.levelname:<7} "
        return "\n".join(prefix + part for part in line.splitlines())


@dataclass(slots=True)
class _Fold:
    record: logging.LogRecord
    since_s: float
    more: int = 0


class FoldingHandler(logging.StreamHandler[TextIO]):
    """Writes each line to a stream, a warning that repeats as its number. See the module."""

    def __init__(self, stream: TextIO, *, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._now_s = now_s
        self._folds: dict[Hashable, _Fold] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """See logging.Handler."""
        self._tell_over()
        if record.levelno < logging.WARNING:
            super().emit(record)
            return
        key = _sameness(record)
        fold = self._folds.get(key)
        if fold is not None:
            fold.more += 1
            return
        if len(self._folds) >= FOLDS_MAX:
            self._tell(next(iter(self._folds)))
        self._folds[key] = _Fold(_without_traceback(record), self._now_s())
        super().emit(record)

    def close(self) -> None:
        """See logging.Handler."""
        for key in list(self._folds):
            self._tell(key)
        super().close()

    def _tell_over(self) -> None:
        # In the order in which they began, so the first that still lasts ends the looking.
        limit_s = self._now_s() - FOLDED_OVER_S
        while self._folds:
            key, fold = next(iter(self._folds.items()))
            if fold.since_s > limit_s:
                return
            self._tell(key)

    def _tell(self, key: Hashable) -> None:
        fold = self._folds.pop(key)
        if fold.more:
            fold.record.again = fold.more
            fold.record.within_s = round(self._now_s() - fold.since_s)
            super().emit(fold.record)


def _without_traceback(record: logging.LogRecord) -> logging.LogRecord:
    """It was told with the first, and what it holds must not live on."""
    return logging.makeLogRecord({**vars(record), "exc_info": None, "exc_text": None, "stack_info": None})


def _sameness(record: logging.LogRecord) -> Hashable:
    """What makes two records one: all but the time."""
    fields = tuple((name, repr(value)) for name, value in sorted(vars(record).items()) if name not in _STANDARD)
    cause = None if record.exc_info is None else (record.exc_info[0], _place(record.exc_info[2]))
    return record.name, record.levelno, record.getMessage(), fields, cause


def _place(trace: TracebackType | None) -> tuple[str, int] | None:
    """Where it was raised."""
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return None if trace is None else (trace.tb_frame.f_code.co_filename, trace.tb_lineno)


def is_journal(stream: TextIO) -> bool:
    """Whether what is written there goes to journald. A child that writes elsewhere inherits the variable, too."""
    try:
        status = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{status.st_dev}:{status.st_ino}"


def configure_logging(level: str = "INFO", stream: TextIO = sys.stderr) -> None:
    """Send all logs of this process to stream, the traceback that ends it among them. Call once, from a command line's
    entry. level: one of LEVELS.
    """
    handler = FoldingHandler(stream)
    handler.setFormatter(LogfmtFormatter(journald=is_journal(stream)))
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


def complain(text: str, stream: TextIO | None = None) -> None:
    """The last words of a service to a person: under journald an error like any other, elsewhere as they are."""
    stream = sys.stderr if stream is None else stream
    prefix = f"<{_PRIORITY[logging.ERROR]}>" if is_journal(stream) else ""
    for line in text.splitlines():
        stream.write(f"{prefix}{line}\n")
    stream.flush()
