"""Options that every command line takes: what cannot be is told in words, before anything begins."""

from typing import Final

import typer

from wire.i18n import Texts, language_of
from wire.pipe import span_s
from wire.topics import LANES

_T: Final = Texts()


def language(tag: str | None) -> str | None:
    """The language of the catalog that is nearest to a tag. For an option's callback, like those below."""
    return language_of(tag) if tag else None


def log_level(name: str) -> str:
    """A level of `wire.logs`. Raises typer.BadParameter."""
    from wire.logs import LEVELS

    if name.upper() not in LEVELS:
        raise typer.BadParameter(_T("cli.bad_log", name=name, known=", ".join(LEVELS)))
    return name.upper()


def lane(name: str) -> str:
    """A lane, or the empty word. Raises typer.BadParameter."""
    if name.upper() not in {"", *LANES}:
        raise typer.BadParameter(_T("cli.bad_lane", name=name, known=" ".join(LANES)))
    return name.upper()


def span(text: str | None) -> str | None:
    """A span of time as `wire.pipe.span_s` reads it. Raises typer.BadParameter."""
    try:
        if text is not None:
            span_s(text)
    except ValueError:
        raise typer.BadParameter(_T("cli.bad_since", text=text)) from None
    return text
