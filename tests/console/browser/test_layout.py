"""Nothing leaves its place: at every size, in both languages, in one that is longer than both, light and dark.

Rules of accessibility do not see a word that lies over its neighbour, so this is looked for by measure.
"""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.console.browser.conftest import Sit
from tests.console.browser.desk import SIZES, Desk
from tests.console.browser.test_pages import PAGES, trouble
from tests.console.site import Site
from wire.i18n import catalog

pytestmark = pytest.mark.peer

MEASURE = Path(__file__).with_name("layout.js").read_text(encoding="utf-8")
FILL = "aeiou"


def longer(text: str) -> str:
    """Every word of a text by 60 percent longer; what is filled in stays."""

    def stretch(match: re.Match[str]) -> str:
        word = match.group()
        return word if word.startswith("{") else word + (FILL * len(word))[: -(-len(word) * 6 // 10)]

    return re.sub(r"\{\w+\}|[A-Za-z]+", stretch, text)


@pytest.fixture
def pseudo() -> Iterator[None]:
    """English as a longer language, for as long as the test runs."""
    entries = catalog("en")
    assert isinstance(entries, dict)
    kept = dict(entries)
    entries.update({key: longer(text) for key, text in kept.items() if key.startswith("console.")})
    yield
    entries.update(kept)


def measured(page: Page) -> list[str]:
    found: list[str] = page.evaluate(MEASURE)
    return found


def walk(desk: Desk, site: Site) -> None:
    alarm = trouble(site)
    wrong: list[str] = []
    for path, sign in (PAGES | {f"/alarms/{alarm}": ".steps li"}).items():
        page = desk.open(path)
        expect(page.locator(sign).first).to_be_visible()
        for size in SIZES:
            desk.size(size)
            wrong += [f"{path} {size}: {one}" for one in measured(page)]
        page.evaluate("document.documentElement.dataset.theme = 'dark'")
        wrong += [f"{path} dark: {one}" for one in measured(page)]
    assert wrong == []


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_nothing_leaves_its_place(sit: Sit, site: Site, lang: str) -> None:
    walk(sit("lead", lang=lang), site)


@pytest.mark.usefixtures("pseudo")
def test_nothing_leaves_its_place_in_a_longer_language(sit: Sit, site: Site) -> None:
    walk(sit("lead", lang="en"), site)


def dialogs(desk: Desk, site: Site) -> Iterator[str]:
    """Each dialog of the live page in turn, open."""
    page = desk.page
    page.keyboard.press("?")
    yield "help"
    page.keyboard.press("Escape")
    desk.door("face-01").get_by_role("button").click()
    yield "unlock"
    page.keyboard.press("Escape")
    alarm = desk.alarm(site.alarms()["door_forced door-01"])
    alarm.get_by_role("button").click()
    expect(alarm).to_have_attribute("data-state", "acked")
    alarm.get_by_role("button").click()
    page.keyboard.press("1")
    page.keyboard.press("Tab")
    desk.dialog.locator("button[type=submit]").click()
    yield "resolve"
    page.keyboard.press("Escape")


@pytest.mark.parametrize(("lang", "size"), [("zh-CN", "desk"), ("en", "desk"), ("en", "phone"), ("zh-CN", "phone")])
def test_dialogs_fit_the_screen(sit: Sit, site: Site, lang: str, size: str) -> None:
    trouble(site)
    desk = sit("lead", lang=lang, size=size)
    desk.open("/live")
    for name in dialogs(desk, site):
        expect(desk.dialog).to_be_visible()
        assert measured(desk.page) == [], name
    if size == "phone":
        desk.page.locator('[data-do="more"]').click()
        expect(desk.dialog).to_be_visible()
        assert measured(desk.page) == []


def test_the_pages_before_signing_in_fit_the_screen(sit: Sit) -> None:
    for lang in ("zh-CN", "en"):
        desk = sit("", lang=lang)
        for path in ("/sign-in", "/nowhere"):
            page = desk.open(path, live=False)
            for size in SIZES:
                desk.size(size)
                assert measured(page) == []


def test_the_measure_sees_what_it_is_for(sit: Sit) -> None:
    desk = sit("guard")
    page = desk.open("/live")
    expect(page.locator(".door").first).to_be_visible()
    assert measured(page) == []
    page.evaluate("document.querySelector('.door footer').style.width = '400px'")
    assert any("leaves" in one for one in measured(page))
    page.evaluate("document.querySelector('.door footer').style.width = ''")
    page.evaluate("document.querySelectorAll('.door h3')[1].style.marginTop = '-20px'")
    assert any("lies over" in one for one in measured(page))
    page.evaluate("document.querySelectorAll('.door h3')[1].style.marginTop = ''")
    page.evaluate("document.body.append(Object.assign(document.createElement('p'), {textContent: 'x'.repeat(400)}))")
    page.evaluate("document.body.lastElementChild.style.overflowWrap = 'normal'")
    assert any("sideways" in one for one in measured(page))


# --- accessibility ------------------------------------------------------------------------------------------


AXE: Final = Axe()


def serious(page: Page) -> list[str]:
    """What axe finds that keeps somebody out. In the dark only colours are other than in the light."""
    dark = page.evaluate("document.documentElement.dataset.theme") == "dark"
    found = AXE.run(page, options={"runOnly": ["color-contrast"]} if dark else None).response["violations"]
    return [
        f"{one['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for one in found
        if one["impact"] in {"serious", "critical"}
        for node in one["nodes"]
    ]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_keeps_anybody_out(sit: Sit, site: Site, theme: str) -> None:
    alarm = trouble(site)
    desk = sit("lead", lang="en", theme=theme)
    wrong: list[str] = []
    for path, sign in (PAGES | {f"/alarms/{alarm}": ".steps li"}).items():
        page = desk.open(path)
        expect(page.locator(sign).first).to_be_visible()
        wrong += [f"{path}: {one}" for one in serious(page)]
    desk.open("/live")
    for name in dialogs(desk, site):
        expect(desk.dialog).to_be_visible()
        wrong += [f"{name}: {one}" for one in serious(desk.page)]
    assert wrong == []


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_way_in_keeps_nobody_out(sit: Sit, theme: str) -> None:
    desk = sit("", theme=theme)
    for path in ("/sign-in", "/nowhere"):
        assert serious(desk.open(path, live=False)) == []
