"""What can be said of the scripts and styles without a browser: their size, and that old browsers know all of it."""

import re

import pytest

from aggregator.console import assets
from tests.wire.sources import CONSOLE, console_texts

BUDGET = 60 * 1024

# Newer than Chromium 109, Firefox 115 or Safari 16.4, which schools still have. None of those could be run here.
NEWER = {
    "css": [
        r"light-dark\(",
        r"color-mix\(",
        r"\bpopover\b",
        r"@scope\b",
        r"@starting-style\b",
        r"\bstyle\(--",
        r":has\(",
        r"\bsubgrid\b",
        r"\banchor\(",
        r"text-wrap",
        r"field-sizing",
        r":user-(?:in)?valid",
        r"\boklch\(",
        r"animation-timeline",
        r"scrollbar-(?:color|width)",
        # A rule within a rule.
        r"\{[^{}@]*\{[^{}]*\}[^{}]*:[^{}]*\}",
    ],
    "html": [r"\bpopover\b", r"\bcommandfor\b", r"<search\b", r"<selectedcontent\b"],
    "js": [
        r"\.toSorted\(",
        r"\.toReversed\(",
        r"\.toSpliced\(",
        r"\.with\(",
        r"Object\.groupBy",
        r"Map\.groupBy",
        r"Array\.fromAsync",
        r"Promise\.(?:withResolvers|try)\b",
        r"URL\.(?:canParse|parse)\b",
        r"\.(?:union|intersection|difference|symmetricDifference|isSubsetOf|isSupersetOf)\(",
        r"Intl\.DurationFormat",
        r"\.isWellFormed\(",
        r"startViewTransition",
        r"AbortSignal\.any",
        r"\.checkVisibility\(",
        r"/[dgimsuy]*v[dgimsuy]*\.test",
        r"\.showPopover\(",
        r"Iterator\.from",
        # Of secure contexts only; a campus may speak plain HTTP on an address.
        r"navigator\.(?:locks|clipboard|serviceWorker|wakeLock|credentials)",
        r"crypto\.(?:subtle|randomUUID)",
        r"\bNotification\b",
    ],
}


def test_the_live_page_is_small() -> None:
    parts = [assets.styles(), assets.style("live"), assets.script("live").asset, assets.worker()]
    assert sum(len(part.body) for part in parts) <= BUDGET


def test_every_other_page_is_small_too() -> None:
    common = len(assets.styles().body) + len(assets.style("work").body) + len(assets.worker().body)
    for page in assets.pages():
        assert common + len(assets.script(page).asset.body) <= BUDGET + 16 * 1024, page


@pytest.mark.parametrize("kind", sorted(NEWER))
def test_nothing_is_newer_than_the_oldest_browser_that_we_promise(kind: str) -> None:
    texts = {path: text for path, text in console_texts().items() if path.suffix == f".{kind}"}
    assert texts
    for path, text in texts.items():
        plain = re.sub(r"/\*.*?\*/|^\s*//.*$|@(?:media|keyframes)[^{]*\{", "", text, flags=re.DOTALL | re.MULTILINE)
        found = {pattern: found.group() for pattern in NEWER[kind] if (found := re.search(pattern, plain))}
        assert found == {}, path


def test_the_scan_sees_what_it_is_for() -> None:
    nested = NEWER["css"][-1]
    assert re.search(nested, ".a { color: red; .b { color: blue; } margin: 0; }")
    assert not re.search(nested, ".a { color: red; } .b { color: blue; }")


def test_no_address_of_another_host_stands_in_what_is_sent() -> None:
    for path, text in console_texts().items():
        found = set(re.findall(r"https?://[^\s\"'`)]+", text))
        assert found <= {"http://www.w3.org/2000/svg"}, path


def test_no_file_has_grown_too_long() -> None:
    for path in (*CONSOLE.rglob("*.js"), *CONSOLE.rglob("*.html")):
        assert len(path.read_text(encoding="utf-8").splitlines()) <= 250, path
