"""How `doctor` tells what it found, and that for everything worth a look it says what to do."""

import ast
import json
from pathlib import Path

import pytest

from tests.wire.sources import literals
from wire.checkup import Verdict, examine, look, tell, unseen, well, wrong
from wire.i18n import Texts, catalog


def told(*found: tuple[str, Verdict], as_json: bool = False) -> tuple[bool, list[str]]:
    lines: list[str] = []
    return tell(found, Texts("en"), lines.append, as_json=as_json), lines


def test_a_group_is_named_once_and_what_to_do_follows_what_is_wrong() -> None:
    sound, lines = told(
        ("clock", well("clock_synced", error_ms=3)),
        ("keys", look("file_open", path="/a/key", mode="0644")),
        ("keys", wrong("file_empty", path="/b\x1b[2J")),
        ("service", unseen("no_systemd", name="campus-edge.service")),
    )
    assert not sound
    assert lines == [
        "Clock",
        "  ✓ The clock is disciplined, error at most 3 ms",
        "Keys and secrets",
        "  ! /a/key can be read by others (mode 0644)",
        "      chmod 0600 /a/key",
        "  ✗ /b\\x1b[2J is empty",
        "      Put the secret into it, or remove it and run init or enrol again",
        "Service",
        "  - campus-edge.service: systemd does not run here",
        "well 1, worth a look 1, wrong 1, not looked at 1",
    ]


def test_what_is_only_worth_a_look_is_no_failure() -> None:
    assert told(("clock", look("clock_unsynced")))[0]


def test_a_document_has_codes_and_no_sentences() -> None:
    sound, (document,) = told(("keys", wrong("file_empty", path=Path("/b"))), as_json=True)
    assert not sound
    assert json.loads(document) == {
        "schema": 1,
        "ok": False,
        "checks": [{"group": "keys", "check": "file_empty", "mark": "fail", "params": {"path": "/b"}}],
    }


def test_a_check_that_breaks_stops_no_other() -> None:
    def broken() -> list[Verdict]:
        raise KeyError("secret")

    found = list(examine([("keys", broken), ("clock", lambda: [well("clock_synced", error_ms=1)])]))
    assert [(group, verdict.code) for group, verdict in found] == [("keys", "broke"), ("clock", "clock_synced")]
    assert found[0][1].params == {"cause": "KeyError"}


def codes(*makers: str) -> set[str]:
    """What `look`, `wrong` and the like are called with, wherever that is."""
    seen = set()
    for path in {path for path, _ in literals()}:
        for node in ast.walk(ast.parse(Path(path).read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args or not isinstance(node.args[0], ast.Constant):
                continue
            function = node.func.body if isinstance(node.func, ast.IfExp) else node.func
            if isinstance(function, ast.Name) and function.id in makers:
                seen.add(str(node.args[0].value))
    return seen


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_everything_worth_a_look_says_what_to_do(language: str) -> None:
    known = catalog(language)
    assert len(codes("look", "wrong")) > 40
    assert {f"doctor.{code}" for code in codes("look", "wrong", "well", "unseen")} <= set(known)
    assert {f"doctor.{code}.do" for code in codes("look", "wrong")} <= set(known)
