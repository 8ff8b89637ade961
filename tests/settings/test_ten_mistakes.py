"""A file with ten different mistakes gives ten findings, each with its place, in both languages."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from edge_agent.cli import app
from edge_agent.settings import read_settings

HERE = Path(__file__).parent

PLACES = {
    "ten_mistakes": {
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
    },
    "ten_more_mistakes": {
        "folder_missing": (11, 19),
        "pattern": (16, 41),
        "unknown_resource": (20, 42),
        "too_small": (23, 68),
        "not_one_of": (28, 63),
        "transport_unfit": (33, 23),
        "useless_key": (38, 62),
        "taken": (43, 55),
        "other_protocol": (45, 32),
        "too_few": (49, 14),
    },
}


@pytest.mark.parametrize("folder", PLACES)
def test_every_mistake_is_found_where_it_stands(folder: str) -> None:
    loaded = read_settings(HERE / folder / "edge.yaml")
    assert loaded.settings is None
    assert {finding.code: (finding.line, finding.column) for finding in loaded.findings} == PLACES[folder]
    assert len(loaded.findings) == 10


@pytest.mark.parametrize("language", ["zh-CN", "en"])
@pytest.mark.parametrize("folder", PLACES)
def test_check_prints_ten_findings(folder: str, language: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(HERE / folder)
    result = CliRunner().invoke(app, ["check", "-c", "edge.yaml", "--lang", language])
    assert result.exit_code == 3
    assert result.stdout == Path(f"expected.{language}.txt").read_text(encoding="utf-8")
    heads = [line for line in result.stdout.splitlines() if re.match(r"edge\.yaml:\d+:\d+: ", line)]
    assert len(heads) == 10


@pytest.mark.parametrize("folder", PLACES)
def test_both_languages_say_the_same_in_other_words(folder: str) -> None:
    chinese, english = (
        (HERE / folder / f"expected.{language}.txt").read_text(encoding="utf-8").splitlines()
        for language in ("zh-CN", "en")
    )
    assert len(chinese) == len(english)
    for one, other in zip(chinese, english, strict=True):
        if one.startswith("edge.yaml:"):
            # Same place, same code, other words.
            assert re.findall(r"^\S+:\d+:\d+:|\[\w+\]", one) == re.findall(r"^\S+:\d+:\d+:|\[\w+\]", other)
            assert one != other
        elif re.match(r" +\d* \|", one):
            assert one == other
