"""Joins ES modules into one script for each page, so that a page costs one request and still is written in small files.

A module may say `import {a, b} from "./x.js";` or `import "./x.js";`, each on a line of its own, and `export` before a
declaration; nothing else of the module syntax. All names at the top of the modules of one bundle share one scope, so
they must differ; what does not fit raises LinkError when the program starts, and a test links every page.

Comments on lines of their own and indentation are left out of what is sent; text that goes over several lines is
therefore refused. `squeeze` does the like for style sheets.
"""

import re
from collections.abc import Callable
from typing import Final

_IMPORT: Final = re.compile(r'^import (?:\{ ?([^}]*?) ?\} from )?"(\.{1,2}/[a-z0-9/_.-]+\.js)";\n', re.MULTILINE)
_EXPORT: Final = re.compile(r"^export (?=(?:async )?(?:function|class|const|let)\b)", re.MULTILINE)
_TOP: Final = re.compile(r"^(export )?(?:async )?(?:function\*?|class|const|let) ([A-Za-z_$][\w$]*)", re.MULTILINE)
_OTHER: Final = re.compile(r"^(?:import|export)\b.*|^(?:const|let|var) [{\[].*|^var .*", re.MULTILINE)
_COMMENT: Final = re.compile(r"^ *//.*\n", re.MULTILINE)
_INDENT: Final = re.compile(r"^ +|^\n", re.MULTILINE)
_BACKTICK: Final = re.compile(r"(?<!\\)`")
_CSS_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_CSS_SPACE: Final = re.compile(r"\s+")
_CSS_TIGHT: Final = re.compile(r"(?<=[{};:,]) | (?=[{}])")


class LinkError(Exception):
    """A module that cannot be joined; says which and why."""


def link(entry: str, read: Callable[[str], str]) -> str:
    """The script for one entry. read: the text of a module by its path, such as `pages/live.js`."""
    linker = _Linker(read)
    linker.join(entry, ())
    return "".join(linker.parts)


class _Linker:
    def __init__(self, read: Callable[[str], str]) -> None:
        self.parts: list[str] = []
        self._read = read
        self._exports: dict[str, frozenset[str]] = {}
        self._owner: dict[str, str] = {}

    def join(self, path: str, within: tuple[str, ...]) -> None:
        """Put a module behind those that it needs. within: who asked for it."""
        if path in self._exports:
            return
        if path in within:
            raise LinkError(f"{path} imports itself by way of {' '.join(within)}")
        text = self._read(path)
        for names, target in _IMPORT.findall(text):
            found = _beside(path, target)
            self.join(found, (*within, path))
            missing = {name.strip() for name in names.split(",") if name.strip()} - self._exports[found]
            if missing:
                raise LinkError(f"{path}: {found} does not export {', '.join(sorted(missing))}")
        self._take(path, _IMPORT.sub("", text))

    def _take(self, path: str, text: str) -> None:
        for _, name in _TOP.findall(text):
            if self._owner.setdefault(name, path) != path:
                raise LinkError(f"{path}: {name} is also declared in {self._owner[name]}")
        self._exports[path] = frozenset(name for exported, name in _TOP.findall(text) if exported)
        text = _COMMENT.sub("", _EXPORT.sub("", text))
        odd = _OTHER.search(text)
        if odd is not None:
            raise LinkError(f"{path}: cannot join {odd.group()!r}")
        for line in text.splitlines():
            if len(_BACKTICK.findall(line)) % 2:
                raise LinkError(f"{path}: text over several lines: {line.strip()!r}")
        self.parts.append(_INDENT.sub("", text))


def _beside(path: str, target: str) -> str:
    parts = path.split("/")[:-1]
    for step in target.split("/"):
        if step == "..":
            if not parts:
                raise LinkError(f"{path}: {target} leads out of the folder")
            parts.pop()
        elif step != ".":
            parts.append(step)
    return "/".join(parts)


def squeeze(styles: str) -> str:
    """A style sheet without comments and superfluous space."""
    return _CSS_TIGHT.sub("", _CSS_SPACE.sub(" ", _CSS_COMMENT.sub("", styles))).strip()
