"""Scripts and styles, joined once when the program starts, named by their content and kept by browsers for ever.

A page is handed only the texts and icons that its script names: `t("live.title")`, or a family such as
t(`alarm.kind.${kind}`), and `icon("door")`.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from aggregator.console.icons import ICONS
from aggregator.console.linking import link, squeeze
from wire.i18n import catalog

PREFIX: Final = "console."
STYLES: Final = ("tokens", "base", "shell")
KINDS: Final = ("live", "work")
DARK: Final = "dark"
WORKER: Final = "worker"
_TEXT: Final = re.compile(r'\bt\(\s*"([a-z0-9_.]+)"')
_DOTTED: Final = re.compile(r'"([a-z0-9_]+(?:\.[a-z0-9_]+)+)"')
_FAMILY: Final = re.compile(r"\bt\(\s*`([a-z0-9_.]+\.)\$\{")
_ICON: Final = re.compile(r'\b(?:icon\(|setIcon\([^,()]+,)\s*"([a-z-]+)"')
_WORD: Final = re.compile(r'"([a-z-]+)"')


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent. name: with the hash of its content."""

    name: str
    media_type: str
    body: bytes
    packed: bytes


@dataclass(frozen=True, slots=True)
class Script:
    """One page's script with what it needs. texts: keys without the prefix."""

    asset: Asset
    texts: frozenset[str]
    icons: frozenset[str]


def _static() -> Traversable:
    return files("aggregator.console") / "static"


def _asset(stem: str, suffix: str, media_type: str, text: str) -> Asset:
    body = text.encode()
    digest = hashlib.sha256(body).hexdigest()[:12]
    return Asset(f"{stem}-{digest}.{suffix}", media_type, body, gzip.compress(body, 9, mtime=0))


def _module(path: str) -> str:
    return (_static() / "js").joinpath(*path.split("/")).read_text(encoding="utf-8")


@cache
def styles() -> Asset:
    """What every page needs. The dark colours stand in one file and hold by choice or by what the system prefers."""
    texts = {name: _style(name) for name in (*STYLES, DARK)}
    dark = texts[DARK]
    by_choice = f':root[data-theme="dark"] {{\n{dark}}}\n'
    by_system = f'@media (prefers-color-scheme: dark) {{ :root[data-theme="auto"] {{\n{dark}}} }}\n'
    first, *others = (texts[name] for name in STYLES)
    return _asset("console", "css", "text/css", squeeze("".join([first, by_choice, by_system, *others])))


@cache
def style(name: str) -> Asset:
    """What one kind of page needs besides."""
    return _asset(name, "css", "text/css", squeeze(_style(name)))


def _style(name: str) -> str:
    return (_static() / "css" / f"{name}.css").read_text(encoding="utf-8")


@cache
def script(page: str) -> Script:
    """What one page runs. page: the name of a module in static/js/pages."""
    text = link(f"pages/{page}.js", _module)
    return Script(_asset(page, "js", "text/javascript", text), text_keys(text), icon_names(text))


@cache
def worker() -> Asset:
    """The script that holds the one stream of a browser."""
    return _asset(WORKER, "js", "text/javascript", link("worker.js", _module))


def text_keys(source: str) -> frozenset[str]:
    """Keys of all texts that a script may look up, without the prefix."""
    known = {key.removeprefix(PREFIX) for key in catalog("en") if key.startswith(PREFIX)}
    wanted = set(_TEXT.findall(source))
    named = set(_DOTTED.findall(source)) & known
    families = tuple(_FAMILY.findall(source))
    plain = {key.removesuffix("_one").removesuffix("_other"): key for key in known}
    missing = wanted - known - set(plain)
    if missing:
        raise KeyError(", ".join(sorted(missing)))
    counted = {f"{key}_{form}" for key in wanted for form in ("one", "other")} & known
    return frozenset(
        (wanted & known) | named | counted | {key for key in known if families and key.startswith(families)}
    )


def icon_names(source: str) -> frozenset[str]:
    """Names of all icons that a script may draw: every quoted word that is one. Raises KeyError for one in `icon(…)`
    or `setIcon(…)` that we do not have.
    """
    missing = set(_ICON.findall(source)) - set(ICONS)
    if missing:
        raise KeyError(", ".join(sorted(missing)))
    return frozenset(set(_WORD.findall(source)) & set(ICONS))


def pages() -> list[str]:
    """Names of all pages that have a script."""
    folder = _static() / "js" / "pages"
    return sorted(file.name.removesuffix(".js") for file in folder.iterdir() if file.name.endswith(".js"))


@cache
def by_name() -> Mapping[str, Asset]:
    """Every asset there is."""
    held = [styles(), worker(), *map(style, KINDS), *(script(page).asset for page in pages())]
    return {asset.name: asset for asset in held}


def words(language: str, keys: Iterable[str]) -> dict[str, str]:
    """Texts in one language by their keys without the prefix."""
    entries = catalog(language)
    return {key: entries[PREFIX + key] for key in sorted(keys)}


@cache
def build_id() -> str:
    """What changes with every change of the console; a page that has another one is told to load anew."""
    parts = [version("campus-iot"), *sorted(by_name())]
    for folder in (files("aggregator.console") / "templates",):
        parts += sorted(file.read_text(encoding="utf-8") for file in folder.iterdir() if file.name.endswith(".html"))
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]
