"""Curves: what is missing is a gap, what was extreme stays, and all of it can be had without seeing."""

import csv
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.console.browser.conftest import Sit
from tests.console.site import Site

pytestmark = pytest.mark.peer


@pytest.fixture
def page(sit: Sit, site: Site) -> Page:
    site.climate()
    desk = sit("ops", lang="en")
    page = desk.open("/telemetry?device=gate-1/climate-01&range=24h")
    expect(page.locator("series-chart .line").first).to_be_attached()
    return page


def test_a_gap_is_drawn_as_a_gap(page: Page) -> None:
    chart = page.locator('series-chart[data-resource="temperature"]')
    expect(chart.locator(".gap")).to_have_count(1)
    expect(chart.locator("polyline.line")).to_have_count(2)
    expect(chart.locator(".summary")).to_contain_text(re.compile(r"1 gap, 2 h( \d+ min)?\."))


def test_a_spike_survives_every_range(page: Page) -> None:
    chart = page.locator('series-chart[data-resource="temperature"]')
    for span in ("24h", "7d", "30d"):
        page.locator(f'input[name=range][value="{span}"]').check()
        expect(chart.locator(".summary")).to_contain_text("highest 40 °C")
    assert page.url.endswith("range=30d")


def test_the_cursor_moves_by_keyboard_and_in_all_charts_at_once(page: Page) -> None:
    first, second = page.locator("series-chart").first, page.locator("series-chart").nth(1)
    first.locator(".plot").focus()
    page.keyboard.press("End")
    at_end = first.locator(".cursor").inner_text()
    page.keyboard.press("ArrowLeft")
    expect(first.locator(".cursor")).not_to_have_text(at_end)
    # To the minute: each point of a day stands for three of them.
    assert re.match(r"\d\d:\d\d: ", first.locator(".cursor").inner_text())
    assert second.locator(".cursor").inner_text()[:5] == first.locator(".cursor").inner_text()[:5]
    expect(second.locator(".mark")).to_have_attribute("visibility", "visible")
    page.keyboard.press("Home")
    expect(first.locator(".cursor")).not_to_have_text(at_end)


def test_a_look_at_an_hour_is_told_to_the_second(page: Page) -> None:
    page.locator('input[name=range][value="1h"]').check()
    chart = page.locator("series-chart").first
    expect(chart.locator(".line").first).to_be_attached()
    chart.locator(".plot").focus()
    page.keyboard.press("End")
    expect(chart.locator(".cursor")).to_have_text(re.compile(r"^\d\d:\d\d:\d\d: "))


def test_what_is_drawn_can_be_taken_along(page: Page, tmp_path: Path) -> None:
    with page.expect_download() as started:
        page.locator('series-chart[data-resource="temperature"] button').click()
    file = tmp_path / "curve.csv"
    started.value.save_as(file)
    raw = file.read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(raw.decode("utf-8-sig").splitlines()))
    assert rows[0] == ["time", "count", "minimum", "maximum", "mean", "first", "last"]
    assert len(rows) > 200
    assert max(float(row[3]) for row in rows[1:]) == 40.0


def test_a_device_without_data_says_so(sit: Sit) -> None:
    page = sit("ops", lang="en").open("/telemetry?device=gate-1/meter-01&range=1h")
    expect(page.locator("series-chart .summary").first).to_have_text("No data in this time.")
    expect(page.locator("series-chart button").first).to_be_disabled()
