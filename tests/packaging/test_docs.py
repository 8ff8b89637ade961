"""What the documents say is what the program does."""

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from itertools import chain
from pathlib import Path

import pytest
import typer

from device_profiles.catalogue import load_catalogue
from device_profiles.page import render_page
from tests.packaging.commands import command_at, commands, programs_modules
from wire.counters import box_families
from wire.metrics import process_families

ROOT = Path(__file__).parents[2]
DOCUMENTS = sorted(
    [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("systemd/**/*.md"), *ROOT.glob("tests/contract/*.md")]
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```\w*\n(.*?)^```", re.MULTILINE | re.DOTALL)
PROGRAM = re.compile(r"campus-(?:aggregator|edge|profile|sim)\b")


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("document", DOCUMENTS, ids=name)
def test_links_lead_somewhere(document: Path) -> None:
    for target in LINK.findall(document.read_text()):
        path, _, anchor = target.partition("#")
        if "://" in target:
            continue
        assert (document.parent / path).exists(), target
        assert not anchor, "anchors are not checked, so they are not used"


def fenced_lines(document: Path) -> Iterator[str]:
    for block in FENCE.findall(document.read_text()):
        yield from (line.strip() for line in block.splitlines())


def shell_commands(document: Path) -> list[list[str]]:
    """Every command line of ours that a person is told to type, in words, without redirections."""
    lines = (line for line in fenced_lines(document) if PROGRAM.match(line))
    return [shlex.split(re.split(r" [<>|] ?", line)[0]) for line in lines]


TYPED = [(document, words) for document in DOCUMENTS for words in shell_commands(document)]


def test_the_readme_has_commands_to_type() -> None:
    told = {words[0] for document, words in TYPED if document.name == "README.md"}
    assert told == {"campus-aggregator", "campus-edge", "campus-sim"}


@pytest.mark.parametrize(("document", "words"), TYPED, ids=[" ".join(words[:3]) for _, words in TYPED])
def test_a_command_in_a_document_is_one_that_the_program_takes(document: Path, words: list[str]) -> None:
    command, rest = command_at(words)
    # Raises for an option, a choice or a number of arguments that the command does not take.
    context = command.make_context(words[0], rest, resilient_parsing=False)
    assert context is not None, document


@pytest.mark.parametrize("document", ["README.md", "README.zh-CN.md"])
def test_the_table_of_commands_names_what_there_is(document: str) -> None:
    text = (ROOT / document).read_text()
    for program, paths in commands().items():
        (row,) = re.findall(rf"^\| `{program}` \|(.*)\|$", text, re.MULTILINE)
        told = set(re.findall(r"`([a-z -]+)`", row))
        assert told <= paths, program
        top = {path.split()[0] for path in paths} - {"version"}
        assert {path.split()[0] for path in told} == top, program


def test_both_readmes_have_the_same_commands_and_settings() -> None:
    chinese, english = (FENCE.findall((ROOT / one).read_text()) for one in ("README.zh-CN.md", "README.md"))
    # The picture is the first of them and is labelled in its language.
    assert chinese[1:] == english[1:]
    assert len(chinese) == len(english)


@pytest.mark.parametrize("chinese", sorted(ROOT.glob("docs/*.zh-CN.md")), ids=name)
def test_a_page_in_both_languages_has_the_same_commands_and_settings(chinese: Path) -> None:
    english = chinese.with_name(chinese.name.replace(".zh-CN", ""))
    assert FENCE.findall(chinese.read_text()) == FENCE.findall(english.read_text())
    levels = [re.findall(r"^(#+) ", page.read_text(), re.MULTILINE) for page in (chinese, english)]
    assert levels[0] == levels[1]
    assert f"({english.name})" in chinese.read_text()
    assert f"({chinese.name})" in english.read_text()


def test_make_targets_in_the_readme_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for document in ("README.md", "README.zh-CN.md"):
        told = set(re.findall(r"\bmake ([a-z]+)\b(?=[` \n])", (ROOT / document).read_text()))
        assert told & {"demo", "test"} == {"demo", "test"}
        assert {one for one in told if f"make {one}" in "\n".join(fenced_lines(ROOT / document))} <= targets


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    names = {re.split(r"[ <>=;\[]", one)[0] for one in asked} - {"campus-iot"}
    told = set(re.findall(r"`([a-z0-9-]+)`", (ROOT / "docs/dependencies.md").read_text()))
    assert names | {"hatchling", "editables"} <= told


def test_the_device_page_is_what_the_profiles_say() -> None:
    guides = {path.stem for path in (ROOT / "docs/devices").glob("*.md")}
    page = render_page(load_catalogue(()).profiles.values(), guides)
    assert (ROOT / "docs/devices.md").read_text(encoding="utf-8") == page, "make docs"


def test_every_guide_is_of_a_profile_that_is_shipped() -> None:
    shipped = {path.stem for path in (ROOT / "device_profiles").rglob("*.yaml")}
    assert {path.stem for path in (ROOT / "docs/devices").glob("*.md")} <= shipped


@pytest.mark.parametrize(("language", "sign"), [("zh-CN", "语言"), ("en", "Language")])
@pytest.mark.parametrize("program", commands())
def test_every_program_speaks_both_languages(program: str, language: str, sign: str) -> None:
    path = min(commands()[program] - {"version"})
    module = programs_modules()[program]
    done = subprocess.run(
        [sys.executable, "-m", module, *path.split(), "--help"],
        env={**os.environ, "CAMPUS_LANG": language, "PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert sign in done.stdout


def test_the_scripts_of_the_project_exist() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert set(scripts) == set(commands())
    for target in scripts.values():
        module, _, function = target.partition(":")
        assert callable(getattr(import_module(module), function))
        assert isinstance(import_module(module).app, typer.Typer)


def test_every_metric_is_on_the_page_and_every_name_on_the_page_is_one() -> None:
    told = set(re.findall(r"`((?:campus|process)_[a-z0-9_]+)`", (ROOT / "docs/operating.md").read_text()))
    code = "".join((ROOT / name).read_text() for name in ("edge_agent/metrics.py", "aggregator/api/metrics.py"))
    code = code.replace("{prefix}", "campus_aggregator_")
    written = set(re.findall(r'f?"((?:campus|process)_[a-z0-9_]+)"', code))
    written |= {f"campus_aggregator_reader_{name}" for name in ("position", "lag", "faults", "failing")}
    written |= {f"campus_edge_device_{name}" for name in re.findall(r'family\(\s*"([a-z0-9_]+)"', code)}
    written |= {family.name for family in box_families({}, {})}
    written |= {family.name for family in process_families(0)}
    assert told == {name for name in written if not name.endswith("_")}
