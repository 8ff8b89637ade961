"""A document with something odd put in the place of anything in it."""

import copy

from hypothesis import strategies as st

Place = tuple[str | int, ...]

NUMBERS = [-1, 1.5, 10**30, float("nan")]
TEXTS = ["", "1", "x" * 5000, "a\0b", "/", ".."]
SHAPES = [[], {}, [[]], [None], [5], {"a": 1}, {1: {}}]
ODD = st.sampled_from([None, True, *NUMBERS, *TEXTS, *SHAPES])


def places(document: object, place: Place = ()) -> list[Place]:
    """Everything in a document, and the document itself."""
    if isinstance(document, dict):
        inner = list(document.items())
    else:
        inner = list(enumerate(document)) if isinstance(document, list) else []
    return [place, *(found for key, value in inner for found in places(value, (*place, key)))]


def replaced(document: object, place: Place, value: object) -> object:
    """A copy with value in that place."""
    if not place:
        return value
    result = parent = copy.deepcopy(document)
    for part in place[:-1]:
        parent = parent[part]
    parent[place[-1]] = value
    return result
