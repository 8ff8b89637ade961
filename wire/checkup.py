"""`doctor` of both programs: one line for each thing looked at, ✓ well, ! worth a look, ✗ wrong, - not looked at.

A check gives verdicts: a code and parameters, and the text of the code says what is so, that of `<code>.do` what to do
about it. No verdict holds a secret: files and addresses, never what stands in them.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from wire.i18n import Texts
from wire.logs import printable


class Mark(StrEnum):
    """How something is."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"
    SKIP = "skip"


SIGNS: Final = {Mark.OK: "✓", Mark.WARN: "!", Mark.FAIL: "✗", Mark.SKIP: "-"}


@dataclass(frozen=True, slots=True)
class Verdict:
    """One line. code: of the text `doctor.<code>`."""

    mark: Mark
    code: str
    params: Mapping[str, object] = field(default_factory=dict)


def well(code: str, **params: object) -> Verdict:
    """A verdict marked ✓."""
    return Verdict(Mark.OK, code, params)


def look(code: str, **params: object) -> Verdict:
    """A verdict marked !."""
    return Verdict(Mark.WARN, code, params)


def wrong(code: str, **params: object) -> Verdict:
    """A verdict marked ✗."""
    return Verdict(Mark.FAIL, code, params)


def unseen(code: str, **params: object) -> Verdict:
    """-"""
    return Verdict(Mark.SKIP, code, params)


Check = Callable[[], Iterable[Verdict]]


def examine(checks: Iterable[tuple[str, Check]]) -> Iterator[tuple[str, Verdict]]:
    """(group, verdict) of every check, one after the other. One that breaks is our fault, and stops no other."""
    for group, check in checks:
        try:
            for verdict in check():
                yield group, verdict
        except Exception as error:  # noqa: BLE001  see above
            yield group, wrong("broke", cause=type(error).__name__)


def tell(found: Iterable[tuple[str, Verdict]], texts: Texts, say: Callable[[str], object], *, as_json: bool) -> bool:
    """Say each line when it is known, or one document at the end. Whether nothing is wrong."""
    told: list[tuple[str, Verdict]] = []
    for group, verdict in found:
        if not as_json:
            if not told or told[-1][0] != group:
                say(texts(f"doctor.group.{group}"))
            for line in _lines(verdict, texts):
                say(line)
        told.append((group, verdict))
    sound = all(verdict.mark is not Mark.FAIL for _, verdict in told)
    if as_json:
        say(json.dumps(_document(told, sound=sound), ensure_ascii=False))
    else:
        counts = {mark.value: sum(verdict.mark is mark for _, verdict in told) for mark in Mark}
        say(texts("doctor.summary", **counts))
    return sound


def _lines(verdict: Verdict, texts: Texts) -> Iterator[str]:
    params = {name: _shown(value) for name, value in verdict.params.items()}
    yield f"  {SIGNS[verdict.mark]} " + texts(f"doctor.{verdict.code}", **params)
    remedy = f"doctor.{verdict.code}.do"
    if verdict.mark in {Mark.WARN, Mark.FAIL} and texts.has(remedy):
        yield "      " + texts(remedy, **params)


def _shown(value: object) -> object:
    return value if isinstance(value, int | float) else printable(str(value))


def _plain(value: object) -> object:
    return value if isinstance(value, int | float) else str(value)


def _document(told: Sequence[tuple[str, Verdict]], *, sound: bool) -> dict[str, Any]:
    checks = [
        {
            "group": group,
            "check": verdict.code,
            "mark": verdict.mark.value,
            "params": {name: _plain(value) for name, value in verdict.params.items()},
        }
        for group, verdict in told
    ]
    return {"schema": 1, "ok": sound, "checks": checks}
