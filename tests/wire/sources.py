"""The product's Python sources, parsed once."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("wire", "device_profiles", "edge_agent", "aggregator", "simulators")

# What callers name the object that looks texts up.
LOOKUPS = {"texts", "_texts", "_T"}


@cache
def modules() -> dict[Path, ast.Module]:
    """Every module of the product."""
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    return {path.relative_to(ROOT): ast.parse(path.read_bytes()) for path in paths}


def literals() -> Iterator[tuple[Path, ast.Constant]]:
    """Every text written in a module, docstrings left out."""
    for path, module in modules().items():
        documentation = set(_docstrings(module))
        for node in ast.walk(module):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and node not in documentation:
                yield path, node


def _docstrings(module: ast.Module) -> Iterator[ast.AST]:
    for node in ast.walk(module):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            yield body[0].value


def lookups() -> Iterator[tuple[Path, ast.Call]]:
    """Every place where a text is looked up: `texts(…)`, `self._texts(…)`, `Texts(language)(…)`."""
    for path, module in modules().items():
        for node in ast.walk(module):
            if isinstance(node, ast.Call) and node.args and _is_lookup(node.func):
                yield path, node


def _is_lookup(function: ast.expr) -> bool:
    match function:
        case ast.Name(name) | ast.Attribute(attr=name):
            return name in LOOKUPS
        case ast.Call(func=ast.Name("Texts")):
            return True
    return False


def patterns() -> list[re.Pattern[str]]:
    """The keys that f-strings make, as patterns whose group 1 is what is filled in."""
    found = []
    for _, call in lookups():
        key = call.args[0]
        if isinstance(key, ast.JoinedStr):
            parts = [re.escape(part.value) if isinstance(part, ast.Constant) else "(.+)" for part in key.values]
            found.append(re.compile("".join(map(str, parts))))
    return found
