"""Whoever tells a tool to look away says why, on the same line; and nothing is skipped without a word."""

import ast
import io
import re
import tokenize
from pathlib import Path

ROOT = Path(__file__).parents[2]
# The codes, then two blanks and a reason.
LOOKS_AWAY = re.compile(r"#\s*(noqa|type:\s*ignore)\b")
WITH_REASON = re.compile(r"# (noqa: [A-Z]+[0-9]+(, [A-Z]+[0-9]+)*|type: ignore\[[a-z, -]+\])  (#\s*)?\w.{3,}")


def python_files() -> list[Path]:
    folders = ("wire", "device_profiles", "edge_agent", "aggregator", "simulators", "tests")
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def test_every_exception_from_a_rule_has_its_reason_beside_it() -> None:
    bare = [
        f"{path.relative_to(ROOT)}:{token.start[0]}: {token.string}"
        for path in python_files()
        for token in tokenize.generate_tokens(io.StringIO(path.read_text(encoding="utf-8")).readline)
        if token.type == tokenize.COMMENT and LOOKS_AWAY.match(token.string) and not WITH_REASON.match(token.string)
    ]
    assert bare == []


def test_a_peer_that_is_missing_fails_where_peers_are_required() -> None:
    """Only tests.support.peers may skip for a missing program: it knows when that is a failure."""
    # The last of them where there is no git checkout to compare with.
    allowed = {"tests/support/peers.py", "tests/packaging/test_peers.py", "tests/packaging/test_wheel.py"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in python_files()
        if str(path.relative_to(ROOT)) not in allowed
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in {"skip", "skipif", "xfail", "importorskip"}
    ]
    assert found == []
