"""A file that is no YAML: where the mistake was made, and how much of the line may be shown.

A parser stops where it cannot go on, which is often far below what a person did: a quote or bracket that was never
closed is reported where it opens. There is no tree to say which lines belong to a secret, so what may be one is hidden.
"""

import contextlib
import re
from typing import Any, Final

import yaml

from device_profiles.findings import holds_secret

# What YAML counts as the end of a line, so that line numbers and excerpts agree.
LINE_END: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
# The parser quotes what stood in the file. Single signs and its own token names may stay, a value may not.
_QUOTED: Final = re.compile(r"'([^']*)'")
# How deep libyaml may build a tree, one call of C in the other.
_NESTED_MAX: Final = 200
_QUICK: Final = getattr(yaml, "CSafeLoader", None)
_KEY_LINE: Final = re.compile(r"\s*(?:- +)*[\w-]+\s*:(?:\s|$)")


def compose(text: str) -> yaml.Node | None:
    """The tree of a file. Raises yaml.YAMLError, RecursionError.

    By libyaml where there is one: it is some seventeen times as quick, and a tree has the same places in it. What it
    does not take is read once more by PyYAML's own parser, so that a complaint is always in the same words.
    """
    if _QUICK is not None:
        with contextlib.suppress(yaml.YAMLError):
            if _is_shallow(text, _QUICK):
                return yaml.compose(text, Loader=_QUICK)
    return yaml.compose(text, Loader=yaml.SafeLoader)


def _is_shallow(text: str, loader: type[Any]) -> bool:
    depth = 0
    for event in yaml.parse(text, Loader=loader):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > _NESTED_MAX:
                return False
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
    return True


def place(before: str) -> tuple[int, int]:
    """Line and column, from 1, of what follows this text."""
    *ended, last = LINE_END.split(before)
    return len(ended) + 1, len(last) + 1


def locate(text: str, error: yaml.YAMLError) -> tuple[int, int, str]:
    """Line and column, from 1, where the mistake was made, and the parser's word for it without what it quotes."""
    problem = str(getattr(error, "problem", None) or error).splitlines()[0]
    problem = _QUOTED.sub(_unquoted, problem)
    if isinstance(error, yaml.reader.ReaderError):
        return *place(text[: error.position]), problem
    mark, context = getattr(error, "problem_mark", None), getattr(error, "context_mark", None)
    opening = _quote_closed_too_late(text, mark) if mark is not None else None
    # Quotes, brackets and keys that go over lines were forgotten where they open.
    opened = re.search("quoted|flow|simple key", str(getattr(error, "context", None))) is not None
    if context is not None and (mark is None or (opened and mark.line > context.line)):
        mark = context
    mark = opening or mark
    return (1, 1, problem) if mark is None else (mark.line + 1, mark.column + 1, problem)


def _unquoted(quoted: re.Match[str]) -> str:
    return quoted[0] if len(quoted[1]) == 1 or quoted[1].startswith("<") else "'…'"


def _quote_closed_too_late(text: str, mark: yaml.Mark) -> yaml.Mark | None:
    """Where a quoted text opens that swallowed lines up to the one where reading failed: its own end was forgotten."""
    opening = None
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            swallowed = token.end_mark.line > token.start_mark.line and token.end_mark.line == mark.line
            if isinstance(token, yaml.ScalarToken) and token.style in {'"', "'"} and swallowed:
                opening = token.start_mark
    except yaml.YAMLError:
        pass  # the one that brought us here
    return opening


def excerpt(lines: list[str], line: int) -> str:
    """A line of a file that is no YAML; without its text when it may go on with a secret that a line above opens."""
    if line > len(lines):
        return ""
    text, above = lines[line - 1], lines[: line - 1]
    return depth_of(text) * " " + "…" if _may_be_secret(text, above) else text


def depth_of(line: str) -> int:
    """How far a line is indented."""
    return len(line) - len(line.lstrip())


def _may_be_secret(text: str, above: list[str]) -> bool:
    opener = next((index for index in range(len(above) - 1, -1, -1) if holds_secret(above[index])), None)
    if opener is None:
        return False
    since = "".join(above[opener:])
    still_open = sum(map(since.count, "[{")) > sum(map(since.count, "]}"))
    return still_open or not _KEY_LINE.match(text) or _is_below(depth_of(text), above)


def _is_below(depth: int, above: list[str]) -> bool:
    """Whether one of the lines that a line at this depth belongs to holds a secret."""
    for line in reversed(above):
        if depth == 0:
            return False
        if line.strip() and not line.lstrip().startswith("#") and depth_of(line) < depth:
            if holds_secret(line):
                return True
            depth = depth_of(line)
    return False
