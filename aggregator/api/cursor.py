"""Where a page ended, as text that a caller gives back and does not read."""

import base64
import binascii
import re

from aggregator.api.problems import Problem


def make_cursor(place: str) -> str:
    """place: what names the last entry, ASCII."""
    return base64.urlsafe_b64encode(place.encode("ascii")).decode("ascii").rstrip("=")


def read_cursor(cursor: str, form: re.Pattern[str]) -> tuple[str, ...]:
    """The groups of form in what `make_cursor` was given. Raises Problem 422 for everything else."""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode("ascii")
    except (binascii.Error, ValueError):
        raise Problem(422, "bad_cursor") from None
    match = form.fullmatch(text)
    if match is None:
        raise Problem(422, "bad_cursor")
    return match.groups()
