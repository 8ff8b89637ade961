"""`--lang` stands where people write it, in every program."""

import pytest
import typer
from typer.testing import CliRunner

import aggregator.cli
import edge_agent.cli
import edge_agent.profile_cli
import simulators.cli
from wire.i18n import Texts
from wire.options import Language, asked_language, commands

PROGRAMS = [aggregator.cli.app, edge_agent.cli.app, edge_agent.profile_cli.app, simulators.cli.app]


@pytest.fixture
def program() -> typer.Typer:
    """A program that says the language it heard, by itself and in a group of commands."""
    app, group = commands("program"), commands("group")
    app.add_typer(group, name="group")

    @app.command()
    @group.command()
    def say(lang: Language = None) -> None:
        typer.echo(f"said {lang}")

    return app


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("say", None),
        ("--lang en say", "en"),
        ("say --lang en", "en"),
        ("--lang en_GB.UTF-8 say", "en"),
        ("--lang=zh say", "zh-CN"),
        ("--lang zh say --lang en", "en"),
        ("--lang en group say", "en"),
        ("group --lang en say", "en"),
        ("--lang zh group --lang en say", "en"),
        ("--lang en group say --lang zh", "zh-CN"),
    ],
)
def test_the_language_nearest_to_the_command_counts(program: typer.Typer, line: str, language: str | None) -> None:
    result = CliRunner().invoke(program, line.split())
    assert result.output == f"said {language}\n"
    assert result.exit_code == 0


@pytest.mark.parametrize(
    ("line", "language"),
    [
        ("", None),
        ("check -c edge.yaml", None),
        ("--lang en --help", "en"),
        ("check --help --lang=zh", "zh-CN"),
        ("--lang zh check --lang en", "en"),
        ("check --lang", None),
        ("tail -- --lang en", None),
    ],
)
def test_the_help_is_in_the_language_that_the_line_asks_for(line: str, language: str | None) -> None:
    assert asked_language(line.split()) == language


@pytest.mark.parametrize("app", PROGRAMS)
def test_every_program_takes_it_before_the_command(app: typer.Typer) -> None:
    result = CliRunner().invoke(app, ["--lang", "en", "--help"], terminal_width=200)
    assert result.exit_code == 0
    assert "--lang" in result.output


@pytest.mark.parametrize("language", ["en", "zh-CN"])
def test_a_command_answers_in_it(language: str, tmp_path) -> None:
    missing = tmp_path / "edge.yaml"
    result = CliRunner().invoke(edge_agent.cli.app, ["--lang", language, "check", "-c", str(missing)])
    assert Texts(language)("finding.absent", folder=tmp_path) in result.output
