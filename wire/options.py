"""What every command line has: its frame, the language, and options whose nonsense is told before anything begins.

`--lang` stands before a command or behind it, as people write it, and the one nearest to the command counts.
"""

import sys
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Final

import typer

from wire.i18n import Texts, language_of
from wire.pipe import span_s
from wire.topics import LANES


def asked_language(arguments: Sequence[str]) -> str | None:
    """The language that a command line asks for, wherever `--lang` stands in it."""
    asked = None
    for option, value in pairwise([*arguments, ""]):
        if option == "--":
            break
        name, equals, attached = option.partition("=")
        if name == "--lang":
            asked = attached if equals else value
    return language_of(asked) if asked else None


# What `--help` shows is looked up while a program is loaded, before its options are read.
HELP: Final = Texts(asked_language(sys.argv[1:]))


def language(ctx: typer.Context, tag: str | None) -> str | None:
    """The language of the catalog that is nearest to a tag; without one what stood before the command.

    For an option's callback, like those below.
    """
    if tag:
        return language_of(tag)
    before: str | None = ctx.parent.params.get("lang") if ctx.parent else None
    return before


Language = Annotated[str | None, typer.Option("--lang", callback=language, help=HELP("cli.opt.lang"))]


def _before_the_command(lang: Language = None) -> None:
    """Takes the option there; `language` looks for it."""


def commands(about: str) -> typer.Typer:
    """A program, or one of its groups of commands, to add commands to."""
    made = typer.Typer(help=about, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
    made.callback()(_before_the_command)
    return made


def log_level(name: str) -> str:
    """A level of `wire.logs`. Raises typer.BadParameter."""
    from wire.logs import LEVELS

    if name.upper() not in LEVELS:
        raise typer.BadParameter(HELP("cli.bad_log", name=name, known=", ".join(LEVELS)))
    return name.upper()


def lane(name: str) -> str:
    """A lane, or the empty word. Raises typer.BadParameter."""
    if name.upper() not in {"", *LANES}:
        raise typer.BadParameter(HELP("cli.bad_lane", name=name, known=" ".join(LANES)))
    return name.upper()


def span(text: str | None) -> str | None:
    """A span of time as `wire.pipe.span_s` reads it. Raises typer.BadParameter."""
    try:
        if text is not None:
            span_s(text)
    except ValueError:
        raise typer.BadParameter(HELP("cli.bad_since", text=text)) from None
    return text
