"""What is wrong in a file a person wrote: where, what was expected, and the nearest thing that would be right.

A finding is data; `render` makes the text in the reader's language from `wire/i18n` (`finding.<code>`). One error in
the file gives one finding, and all of them come out in one run, in the order of the file:

    edge.yaml:14:11: error[unknown_key] …
       14 |     adress: {device_id: "1026701"}
          |     ^

A code never changes its meaning, nor do the names of its params: programs that read `--json` rely on them. Texts may
change at any time.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

from wire.i18n import Texts


class Severity(StrEnum):
    """error: must be mended; warning: works, but is probably not what was meant."""

    ERROR = "error"
    WARNING = "warning"


# A value behind such a key is never printed, not even from the line that is shown. `*_file` only names one.
_SENSITIVE: Final = r"[\w-]*(?:pass(?:word|wd|phrase)?|passwort|pwd|psk|pin|secret|token|key|credential)"
_SENSITIVE_KEY: Final = re.compile(_SENSITIVE, re.IGNORECASE)
_SENSITIVE_LINE: Final = re.compile(rf"((?<![\w-]){_SENSITIVE}[\"']?\s*:\s*)\S.*$", re.IGNORECASE)


# As devices write it, who compare it as text.
_OCTET: Final = "(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
IPV4: Final = rf"^(?:{_OCTET}\.){{3}}{_OCTET}$"

# What a pattern asks for, in words: `finding.pattern_<word>`.
FORMS: Final[Mapping[str, str]] = {
    r"^[a-z0-9][a-z0-9-]{0,62}$": "name",
    r"^[a-z][a-z0-9]*(?:-[a-z0-9]+)*$": "name",
    r"^[a-z][a-z0-9]*(?:_[a-z0-9]+)*$": "snake",
    r"^[A-Za-z][A-Za-z0-9]*$": "word",
    r"^[A-Za-z0-9_-]{1,64}$": "id",
    r"^[^#+\s/][^#+\s]*$": "topic",
    r"^/.+": "path",
    r"^https?://[^\s/]+$": "url",
    IPV4: "ipv4",
}


# Of the line with the mistake; a longer one is cut around the place.
SHOWN_MAX: Final = 120


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing wrong. line and column count from 1. params: for the text; excerpt: the line as it stands."""

    path: Path
    line: int
    column: int
    code: str
    params: Mapping[str, str] = field(default_factory=dict)
    severity: Severity = Severity.ERROR
    excerpt: str = ""

    def render(self, texts: Texts) -> str:
        """The finding for a person: position, message, the line with a caret."""
        severity = texts(f"finding.{self.severity}")
        head = f"{self.path}:{self.line}:{self.column}: {severity}[{self.code}] {self.message(texts)}"
        if not self.excerpt.strip():
            return head
        shown, indent = _window(mask(self.excerpt), self.column - 1)
        return f"{head}\n{self.line:>5} | {shown}\n{'':>5} | {'':{indent}}^"

    def message(self, texts: Texts) -> str:
        """The message alone, with the nearest valid name when there is one."""
        params = {name: value for name, value in self.params.items() if name != "nearest"}
        if self.code == "wrong_type":
            params["expected"] = texts(f"finding.type_{params['expected']}")
        if self.code == "pattern" and params["pattern"] in FORMS:
            params["pattern"] = texts(f"finding.pattern_{FORMS[params['pattern']]}")
        message = texts(f"finding.{self.code}", **params)
        nearest = self.params.get("nearest")
        return message + (texts("finding.nearest", nearest=nearest) if nearest else "")

    def as_document(self, texts: Texts) -> dict[str, Any]:
        """The stable JSON shape of a finding."""
        return {
            "file": str(self.path),
            "line": self.line,
            "column": self.column,
            "severity": self.severity.value,
            "code": self.code,
            "params": dict(self.params),
            "message": self.message(texts),
        }


def _window(line: str, at: int) -> tuple[str, int]:
    """What is shown of a line, and how many cells stand before the place in question."""
    begin = 0 if len(line) <= SHOWN_MAX else max(0, at - SHOWN_MAX // 2)
    end = begin + SHOWN_MAX
    before = ("…" if begin else "") + line[begin:at]
    # Chinese characters are two cells wide.
    cells = sum(2 if unicodedata.east_asian_width(character) in "WF" else 1 for character in before)
    return before + line[max(at, begin) : end] + ("…" if end < len(line) else ""), cells + max(0, at - len(line))


def mask(line: str) -> str:
    """A source line without the value of a key that sounds like a secret, wherever in the line it stands."""
    return _SENSITIVE_LINE.sub(r"\1…", line.rstrip())


def is_secret(key: object) -> bool:
    """Whether a key sounds as if its value were a secret."""
    return isinstance(key, str) and _SENSITIVE_KEY.fullmatch(key) is not None


def holds_secret(line: str) -> bool:
    """Whether a source line opens or holds the value of a key that sounds like a secret."""
    return _SENSITIVE_LINE.search(line + " …") is not None


def nearest(wrong: str, known: Iterable[str]) -> str:
    """The known name most like a wrong one, in upper or lower case, or "" when none is near."""
    names = {name.casefold(): name for name in known}
    close = difflib.get_close_matches(wrong.casefold(), names, n=1, cutoff=0.6)
    return names[close[0]] if close else ""


def is_slip(wrong: str, right: str) -> bool:
    """Whether wrong is surely meant to be right: a letter lost, added, changed or swapped, an ending left out."""
    # `prot` for `port` has 0.75; `producer` is as near to `source` as 0.57, which is a guess worth a hint and no more.
    return difflib.SequenceMatcher(None, wrong.casefold(), right.casefold()).ratio() >= 0.7


def in_order(findings: Iterable[Finding]) -> list[Finding]:
    """By file and place; what was found twice stands once."""
    seen: dict[tuple[str, int, int, str, tuple[tuple[str, str], ...]], Finding] = {}
    for finding in findings:
        # Two keys missing from one mapping are two findings at one place.
        facts = tuple(sorted(finding.params.items()))
        seen.setdefault((str(finding.path), finding.line, finding.column, finding.code, facts), finding)
    return [seen[key] for key in sorted(seen)]
