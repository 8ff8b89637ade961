import io
import logging
import subprocess
import sys

import pytest

from wire.logs import LogfmtFormatter


def line_of(formatter: logging.Formatter, message: str, **extra: object) -> str:
    record = logging.LogRecord("edge.x", logging.WARNING, "f.py", 1, message, (), None)
    vars(record).update(extra)
    return formatter.format(record)


def test_fields_follow_the_message_and_odd_values_are_quoted() -> None:
    text = line_of(LogfmtFormatter(journald=True), "part down", part="uplink", cause='no "route" here\nor there')
    assert text == '<4>edge.x: part down part=uplink cause="no \\"route\\" here\\nor there"'


def test_a_foreign_value_stays_on_its_line_and_does_not_speak_to_the_terminal() -> None:
    text = line_of(LogfmtFormatter(journald=True), "unknown device", device="a\r\u2028\x1b[2J\x85\ud800\\ 张")
    assert text == '<4>edge.x: unknown device device="a\\r\\u2028\\x1b[2J\\x85\\ud800\\\\ 张"'


def test_off_the_journal_a_line_starts_with_utc_and_level() -> None:
    text = line_of(LogfmtFormatter(journald=False), "part up")
    moment, level, rest = text.split(maxsplit=2)
    assert moment.endswith("Z")
    assert (level, rest) == ("WARNING", "edge.x: part up")


def test_every_line_of_a_traceback_carries_the_priority() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(LogfmtFormatter(journald=True))
    logger = logging.getLogger("agg")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        raise ValueError("boom")
    except ValueError:
        logger.exception("failed")
    lines = stream.getvalue().splitlines()
    assert len(lines) > 2
    assert all(line.startswith("<3>") for line in lines)


def told(error: BaseException) -> str:
    record = logging.LogRecord("edge.x", logging.ERROR, "f.py", 1, "failed", (), (type(error), error, None))
    return LogfmtFormatter(journald=True).format(record)


# By another name, because source lines are shown.
PERSON = "CANARY"


def raised_while_handling() -> Exception:
    try:
        try:
            raise KeyError(PERSON)
        except KeyError:
            raise ValueError(PERSON) from UnicodeDecodeError("utf-8", PERSON.encode(), 0, 1, PERSON)
    except ValueError as error:
        return error


@pytest.mark.parametrize(
    ("error", "types"),
    [
        (raised_while_handling(), ["UnicodeDecodeError", "ValueError"]),
        (ExceptionGroup("CANARY", [LookupError("CANARY"), ExceptionGroup("x", [AssertionError("CANARY")])]),
         ["ExceptionGroup", "LookupError", "ExceptionGroup", "AssertionError"]),
    ],
)  # fmt: skip
def test_a_traceback_names_types_and_never_what_the_code_was_working_on(error: Exception, types: list[str]) -> None:
    text = told(error)
    assert "CANARY" not in text
    found = [line.removeprefix("<3>").strip(" |") for line in text.splitlines()[1:]]
    assert [name for name in found if name in types] == types


def test_what_the_system_says_of_itself_stays() -> None:
    assert told(OSError(28, "No space left on device")).endswith("OSError: [Errno 28] No space left on device")


def test_an_exception_that_refers_to_itself_ends() -> None:
    error = ValueError()
    error.__context__ = KeyError()
    error.__context__.__context__ = error
    assert told(error).count("ValueError") == 1


def test_what_nobody_caught_is_a_log_line_without_its_text() -> None:
    script = "from wire.logs import configure_logging; configure_logging(); {}['CANARY']"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == 1
    assert "ended by a bug of ours" in ended.stderr
    assert "KeyError" in ended.stderr
    assert "CANARY" not in ended.stderr.replace(script, "")
