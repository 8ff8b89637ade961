"""A file with ten different mistakes gives ten findings, each with its place, in both languages."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.cli import app
from edge_agent.settings import read_settings

FOLDER = Path(__file__).parent / "ten_mistakes"

PLACES = {
    "missing_key": (2, 1),
    "duplicate_key": (5, 1),
    "unknown_zone": (7, 9),
    "unknown_key": (8, 3),
    "too_large": (15, 9),
    "wrong_type": (24, 13),
    "duplicate_name": (29, 15),
    "unknown_profile": (33, 18),
    "duplicate_address": (34, 18),
    "unknown_protocol": (36, 15),
}


def test_every_mistake_is_found_where_it_stands() -> None:
    loaded = read_settings(FOLDER / "edge.yaml")
    assert loaded.settings is None
    assert {finding.code: (finding.line, finding.column) for finding in loaded.findings} == PLACES
    assert len(loaded.findings) == 10


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_check_prints_ten_findings(language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)
    result = CliRunner().invoke(app, ["check", "-c", "edge.yaml", "--lang", language])
    assert result.exit_code == 3
    assert result.stdout == Path(f"expected.{language}.txt").read_text(encoding="utf-8")
    heads = [line for line in result.stdout.splitlines() if re.match(r"edge\.yaml:\d+:\d+: ", line)]
    assert len(heads) == 10


def test_both_languages_say_the_same_in_other_words() -> None:
    chinese, english = (
        (FOLDER / f"expected.{language}.txt").read_text(encoding="utf-8").splitlines() for language in ("zh-CN", "en")
    )
    assert len(chinese) == len(english)
    for one, other in zip(chinese, english, strict=True):
        if one.startswith("edge.yaml:"):
            # Same place, same code, other words.
            assert re.findall(r"^\S+:\d+:\d+:|\[\w+\]", one) == re.findall(r"^\S+:\d+:\d+:|\[\w+\]", other)
            assert one != other
        elif re.match(r" +\d* \|", one):
            assert one == other
