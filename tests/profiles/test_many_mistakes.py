"""A profile with a mistake of nearly every kind: all of them in one run, each with its place, in both languages."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.profile_cli import app
from wire.i18n import LANGUAGES

FOLDER = Path(__file__).parent / "many_mistakes"
PROFILE = "biometric/door-terminal.yaml"
HEAD = re.compile(r"biometric/door-terminal\.yaml:(\d+):(\d+): \S+\[(\w+)\] ")


def places(text: str) -> list[tuple[int, int, str]]:
    heads = [match.groups() for line in text.splitlines() if (match := HEAD.match(line))]
    return [(int(line), int(column), code) for line, column, code in heads]


@pytest.mark.parametrize("language", LANGUAGES)
def test_check_tells_all_of_them(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    shown = CliRunner().invoke(app, ["check", PROFILE, "--lang", language])
    assert shown.exit_code == 1
    assert shown.stderr == ""
    assert shown.stdout == Path(f"expected.{language}.txt").read_text(encoding="utf-8")


def test_both_languages_tell_the_same_in_the_order_of_the_file() -> None:
    chinese, english = (places((FOLDER / f"expected.{one}.txt").read_text(encoding="utf-8")) for one in LANGUAGES)
    assert chinese == english
    assert english == sorted(english)
    assert len({code for _, _, code in english}) >= 20


def test_each_line_that_has_no_mistake_is_left_alone() -> None:
    lines = (FOLDER / PROFILE).read_text(encoding="utf-8").splitlines()
    told = {line for line, _, _ in places((FOLDER / "expected.en.txt").read_text(encoding="utf-8"))}
    sound = ["description:", "protocol:", "contract:", "idempotent:", "reply_within_ms:", "  - name: AccessDoor"]
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.strip().startswith(tuple(sound)):
            assert number not in told, line
