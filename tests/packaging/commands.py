"""The four programs, as trees of commands."""

import tomllib
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any

import typer

ROOT = Path(__file__).parents[2]


@cache
def programs_modules() -> dict[str, str]:
    """Each program's module."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    return {name: target.partition(":")[0] for name, target in scripts.items()}


@cache
def programs() -> dict[str, Any]:
    """Each program's command tree."""
    modules = {name: import_module(module) for name, module in programs_modules().items()}
    return {name: typer.main.get_command(module.app) for name, module in modules.items()}


@cache
def commands() -> dict[str, frozenset[str]]:
    """Each program's commands, with the words that lead to them: `edge add`."""
    return {name: frozenset(_paths(command)) for name, command in programs().items()}


def _paths(command: Any, prefix: str = "") -> list[str]:
    found: list[str] = []
    for name, inner in getattr(command, "commands", {}).items():
        path = f"{prefix}{name}"
        found += _paths(inner, f"{path} ") if getattr(inner, "commands", None) else [path]
    return found


def command_at(words: list[str]) -> tuple[Any, list[str]]:
    """The command that a line of words reaches, and the words left for it."""
    command, rest = programs()[words[0]], words[1:]
    while getattr(command, "commands", None) and rest:
        assert rest[0] in command.commands, f"{' '.join(words)}: no command {rest[0]}"
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest
