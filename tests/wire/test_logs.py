import io
import logging

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
