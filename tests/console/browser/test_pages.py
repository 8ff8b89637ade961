"""What holds for every page, in every language: nothing from outside, nothing refused, nothing without words."""

import re

import pytest
from playwright.sync_api import expect

from tests.console.browser.conftest import Sit
from tests.console.browser.desk import RAW_KEY
from tests.console.site import Site

pytestmark = pytest.mark.peer

PAGES = {
    "/live": "door-grid .door",
    "/alarms": "tbody tr",
    "/health": ".chip-device",
    "/devices/gate-1/climate-01": "series-chart",
    "/edges/gate-1": "tbody tr",
    "/events": "tbody tr",
    "/telemetry": "series-chart",
}


def trouble(site: Site) -> str:
    """Something of everything that pages show; gives the id of an alarm."""
    site.climate()
    site.door_alarm("door-01")
    site.door_alarm("door-03", "DoorOpenTooLong")
    site.deliver(site.event("Device/State/Operating", "door-04", values={"state": "DOWN"}))
    site.pass_by("face-03", "AccessControl/Denied/Credential", reason="CredentialExpired")
    return site.alarms()["door_forced door-01"]


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_every_page_is_whole_and_asks_nobody_but_us(sit: Sit, site: Site, lang: str) -> None:
    alarm = trouble(site)
    desk = sit("lead", lang=lang)
    for path, sign in (PAGES | {f"/alarms/{alarm}": ".steps li"}).items():
        page = desk.open(path)
        expect(page.locator(sign).first).to_be_visible()
        assert page.locator("html").get_attribute("lang") == lang
        assert page.locator("h1").count() == 1
        assert RAW_KEY.findall(page.inner_text("body")) == []
        missing = page.evaluate(
            "[...document.querySelectorAll('use')].map((use) => use.getAttribute('href'))"
            ".filter((href) => !document.querySelector(href))"
        )
        assert missing == []
        cjk = re.findall(r"[\u4e00-\u9fff]+", page.inner_text("header.top") + page.inner_text("nav.rail"))
        assert ("中文" in "".join(cjk)) is (lang == "en"), "the other language is named in its own"
    assert len({request.url for request in desk.requests}) > 20


@pytest.mark.parametrize("lang", ["zh-CN", "en"])
def test_the_pages_before_signing_in_ask_nobody_but_us(sit: Sit, lang: str) -> None:
    desk = sit("", lang=lang)
    page = desk.open("/sign-in", live=False)
    expect(page.locator("input[name=name]")).to_be_focused()
    assert RAW_KEY.findall(page.inner_text("body")) == []
    page = desk.open("/nowhere", live=False)
    expect(page.locator("h1")).to_be_visible()
    assert RAW_KEY.findall(page.inner_text("body")) == []


def test_the_live_page_keeps_its_budget(sit: Sit) -> None:
    desk = sit("guard")
    page = desk.open("/live")
    expect(page.locator(".door").first).to_be_visible()
    assert len(desk.requests) <= 8, [request.url for request in desk.requests]
    worker = page.evaluate("JSON.parse(document.getElementById('boot').textContent).worker")
    # A browser's log may leave out what a worker loads.
    assets = {request.url for request in desk.requests if "/assets/" in request.url} | {desk.url + worker}
    assert len(assets) == 4
    assert sum(len(desk.context.request.get(url).body()) for url in assets) <= 60 * 1024


def test_the_language_and_the_theme_are_changed_where_one_stands(sit: Sit) -> None:
    desk = sit("guard")
    page = desk.open("/alarms?state=resolved&level=1")
    page.locator('.top [data-do="theme"]').click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.locator('.top [data-do="language"]').click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.url.endswith("/alarms?state=resolved&level=1")
    expect(page.locator('[role=tab][aria-selected="true"]')).to_have_text("Resolved")


def test_signing_in_tells_what_is_wrong_and_leads_to_the_page_that_was_wanted(sit: Sit) -> None:
    desk = sit("", lang="en")
    page = desk.open("/events?span=week", live=False)
    page.fill("input[name=name]", "guard")
    page.fill("input[name=password]", "not the one")
    page.keyboard.press("Enter")
    expect(page.locator("#told")).to_have_text("Wrong user name or password")
    page.fill("input[name=password]", "correct horse battery")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Events")
    assert page.url.endswith("/events?span=week")
    page.locator('.top [data-do="sign-out"]').click()
    expect(page.locator("input[name=password]")).to_be_visible()
    desk.open("/events", live=False)
    expect(page.locator("input[name=password]")).to_be_visible()


def test_a_session_that_ends_under_a_page_leads_to_the_sign_in_page_and_back(sit: Sit, site: Site) -> None:
    desk = sit("zhao", lang="en")
    page = desk.open("/live")
    site.do(site.rig.office.set_password("zhao", "another good password"))
    expect(page.locator("input[name=password]")).to_be_visible()
    page.fill("input[name=name]", "zhao")
    page.fill("input[name=password]", "another good password")
    page.keyboard.press("Enter")
    desk.live()
    assert page.url.endswith("/live")
    site.do(site.rig.office.set_password("zhao", "correct horse battery"))


def test_a_page_that_is_older_than_the_server_says_so_and_does_not_load_by_itself(sit: Sit, site: Site) -> None:
    desk = sit("guard", lang="en")
    page = desk.open("/live")
    expect(page.locator("#stale")).to_be_hidden()
    build = site.rig.campus.build
    try:
        object.__setattr__(site.rig.campus, "build", "another")
        desk.open("/live")
        expect(page.locator("#stale")).to_be_visible()
    finally:
        object.__setattr__(site.rig.campus, "build", build)
    page.locator("#stale button").click()
    desk.live()
    expect(page.locator("#stale")).to_be_hidden()
