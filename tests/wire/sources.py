"""The product's sources: Python, parsed once, and what the console's pages are made of."""

import ast
import re
from collections.abc import Collection, Iterator
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


def patterns(groups: Collection[str]) -> list[re.Pattern[str]]:
    """The keys that f-strings make, as patterns with a group for each thing filled in. groups: first words of keys."""
    found = []
    for module in modules().values():
        for node in ast.walk(module):
            if isinstance(node, ast.JoinedStr) and _opens_with(node, groups):
                parts = [
                    re.escape(str(part.value)) if isinstance(part, ast.Constant) else "(.+)" for part in node.values
                ]
                found.append(re.compile("".join(parts)))
    return found


def _opens_with(text: ast.JoinedStr, groups: Collection[str]) -> bool:
    match text.values:
        case [ast.Constant(value=str(first)), *_]:
            word, dot, rest = first.partition(".")
            return bool(dot) and word in groups and re.fullmatch(r"[a-z_.]*", rest) is not None
    return False


CONSOLE = ROOT / "aggregator" / "console"
# `t` puts this before every key.
CONSOLE_PREFIX = "console."
_KEY = re.compile(r"""(?<![\w.])t\(\s*"([a-z0-9_.]+)"(?! ~)""")
_FAMILY = re.compile(r"""(?<![\w.])t\(\s*(?:`([a-z0-9_.]+\.)\$\{|"([a-z0-9_.]+\.)" ~)""")
_DOTTED = re.compile(r'"([a-z0-9_]+(?:\.[a-z0-9_]+)+)"')
_WORD = re.compile(r"[A-Za-z0-9_]+")


@cache
def console_texts() -> dict[Path, str]:
    """Scripts, templates and styles of the console."""
    paths = (path for kind in ("js", "html", "css") for path in sorted(CONSOLE.rglob(f"*.{kind}")))
    return {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in paths}


def console_keys() -> set[str]:
    """Keys that stand whole in a script or a template."""
    return {CONSOLE_PREFIX + key for text in console_texts().values() for key in _KEY.findall(text)}


def console_words() -> set[str]:
    """Everything that may be a key or a part of one, there."""
    dotted = {word for text in console_texts().values() for word in _DOTTED.findall(text)}
    plain = {word for text in console_texts().values() for word in _WORD.findall(text)}
    return dotted | {CONSOLE_PREFIX + word for word in dotted | plain} | plain


def console_patterns() -> list[re.Pattern[str]]:
    """Families of keys that are made there, by the part they begin with."""
    begins = {one or other for text in console_texts().values() for one, other in _FAMILY.findall(text)}
    return [re.compile(re.escape(CONSOLE_PREFIX + begin) + "(.+)") for begin in sorted(begins)]
