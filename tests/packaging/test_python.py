"""What the oldest Python that we support does differently, so that it is not found out on a school's box."""

import ast

from tests.wire.sources import modules


def test_nothing_is_raised_inside_an_except_star_block() -> None:
    # Python before 3.11.4, which is Debian 12's, wraps what is raised there in an ExceptionGroup, and callers that
    # expect the exception itself take it for a bug.
    found = [
        f"{path}:{raised.lineno}"
        for path, module in modules().items()
        for node in ast.walk(module)
        if isinstance(node, ast.TryStar)
        for handler in node.handlers
        for raised in ast.walk(handler)
        if isinstance(raised, ast.Raise)
    ]
    assert found == []
