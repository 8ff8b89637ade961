import io
import logging
import subprocess
import sys

import pytest

from wire.logs import FOLDS_MAX, FoldingHandler, LogfmtFormatter


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


# --- folding ------------------------------------------------------------------------------------------


class Folding:
    """A logger of its own on a handler with a clock that moves when told."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.stream = io.StringIO()
        self.handler = FoldingHandler(self.stream, now_s=lambda: self.now_s)
        self.handler.setFormatter(LogfmtFormatter(journald=True))
        self.log = logging.Logger("edge.x")  # noqa: LOG001  one that nobody else has
        self.log.addHandler(self.handler)

    def told(self) -> list[str]:
        lines = self.stream.getvalue().splitlines()
        self.stream.truncate(0)
        self.stream.seek(0)
        return lines


def test_the_same_warning_again_is_told_as_a_number() -> None:
    folding = Folding()
    for _ in range(483):
        folding.log.warning("bus silent", extra={"unit": 7})
    assert folding.told() == ["<4>edge.x: bus silent unit=7"]
    folding.now_s = 61
    folding.log.info("anything")
    assert folding.told() == ["<4>edge.x: bus silent unit=7 again=482 within_s=61", "<6>edge.x: anything"]
    folding.log.warning("bus silent", extra={"unit": 7})
    assert folding.told() == ["<4>edge.x: bus silent unit=7"]


def test_what_differs_in_anything_but_its_time_is_not_folded_and_info_never_is() -> None:
    folding = Folding()
    for unit in (1, 2):
        folding.log.warning("bus silent", extra={"unit": unit})
        folding.log.error("bus silent", extra={"unit": unit})
        folding.log.info("started")
    assert len(folding.told()) == 6
    folding.handler.close()
    assert folding.told() == []


def test_what_was_folded_is_told_at_the_end_without_its_traceback() -> None:
    folding = Folding()

    def fail(cause: type[Exception]) -> None:
        try:
            raise cause
        except Exception:
            folding.log.exception("frame not handled")

    for _ in range(3):
        fail(ValueError)
    fail(KeyError)
    assert [line for line in folding.told() if line.endswith("Error")] == ["<3>ValueError", "<3>KeyError"]
    folding.now_s = 5
    folding.handler.close()
    assert folding.told() == ["<3>edge.x: frame not handled again=2 within_s=5"]


def test_a_flood_of_different_warnings_is_bounded() -> None:
    folding = Folding()
    for number in range(FOLDS_MAX + 50):
        for _ in range(2):
            folding.log.warning("stranger", extra={"number": number})
    assert len(folding.handler._folds) == FOLDS_MAX
    assert len([line for line in folding.told() if "again=1" in line]) == 50


# --- a process ----------------------------------------------------------------------------------------

SCRIPT = """
import logging, os, sys
status = os.fstat(2)
os.environ["JOURNAL_STREAM"] = f"{status.st_dev}:{status.st_ino + int(sys.argv[1])}"
from wire.logs import complain, configure_logging
configure_logging()
logging.getLogger("edge.x").warning("part down")
complain("first line\\nsecond line")
raise RuntimeError("boom")
"""


def said_by_a_process(off_by: int) -> list[str]:
    done = subprocess.run([sys.executable, "-c", SCRIPT, str(off_by)], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    return done.stderr.splitlines()


def test_under_journald_every_line_has_its_priority_also_the_traceback_that_ends_it() -> None:
    lines = said_by_a_process(0)
    assert lines[0] == "<4>edge.x: part down"
    assert lines[1:3] == ["<3>first line", "<3>second line"]
    assert lines[3] == "<2>wire.logs: ended by a bug of ours"
    assert lines[-1] == "<2>RuntimeError"
    assert all(line.startswith("<2>") for line in lines[3:])


def test_a_process_that_only_inherits_the_variable_writes_for_people() -> None:
    lines = said_by_a_process(1)
    assert lines[0].endswith("WARNING edge.x: part down")
    assert lines[1:3] == ["first line", "second line"]
