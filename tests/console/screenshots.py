"""The pictures of docs/console.md: `python -m tests.console.screenshots docs/console`, or `make screenshots`."""

import struct
import sys
import tempfile
import zlib
from pathlib import Path
from typing import Final, NamedTuple

from playwright.sync_api import Page, expect, sync_playwright

from tests.console.browser.conftest import ARGUMENTS
from tests.console.browser.desk import Desk
from tests.console.scene import set_scene
from tests.console.site import Site
from tests.support.peers import find_program


class Shot(NamedTuple):
    """One picture. sign: what must be there before it is taken; press: keys, or a button to click."""

    name: str
    path: str
    sign: str
    lang: str = "zh-CN"
    theme: str = "light"
    size: str = "desk"
    user: str = "guard"
    click: str = ""
    press: tuple[str, ...] = ()


SHOTS: Final = (
    Shot("live", "/live", ".door"),
    Shot("live-en-dark", "/live", ".door", lang="en", theme="dark"),
    Shot("live-phone", "/live", ".alarm", size="phone"),
    Shot("unlock-en", "/live", ".door", lang="en", click='[data-device="gate-1/face-01"] button', press=("1", "Enter")),
    Shot(
        "unlock-phone-dark", "/live", ".door", theme="dark", size="phone", click='[data-device="gate-1/face-02"] button'
    ),
    Shot("alarms", "/alarms?state=all", "tbody tr", user="lead"),
    Shot("alarm-en", "ALARM", ".steps li", lang="en", user="lead"),
    Shot("health-en", "/health", ".chip-device", lang="en", user="ops"),
    Shot("telemetry-dark", "/telemetry?device=gate-1/climate-01", "series-chart .line", theme="dark", user="ops"),
    Shot(
        "telemetry-phone-en",
        "/telemetry?device=gate-1/meter-01",
        "series-chart .line",
        lang="en",
        size="phone",
        user="ops",
    ),
)


def take(folder: Path) -> None:
    """Write all of them."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch, sync_playwright() as playwright:
        site = Site(Path(scratch))
        site.start()
        browser = playwright.chromium.launch(
            executable_path=find_program("chromium", "chromium fonts-noto-cjk"), args=ARGUMENTS
        )
        try:
            set_scene(site)
            alarm = site.alarms()["duress face-01"]
            for shot in SHOTS:
                desk = Desk(browser, site.url, shot.user, lang=shot.lang, theme=shot.theme, size=shot.size)
                page = desk.open(shot.path.replace("ALARM", f"/alarms/{alarm}"))
                _picture(page, shot, folder / f"{shot.name}.png")
                desk.close()
        finally:
            browser.close()
            site.stop()


def _picture(page: Page, shot: Shot, file: Path) -> None:
    expect(page.locator(shot.sign).first).to_be_visible()
    # Numbers that are counted by a slower clock than the first paint.
    page.wait_for_timeout(1500)
    if shot.click:
        page.locator(shot.click).click()
    for key in shot.press:
        page.keyboard.press(key)
    if "Enter" in shot.press:
        expect(page.locator("dialog[open]")).to_have_attribute("data-phase", "confirmed")
    file.write_bytes(tight(page.screenshot(animations="disabled")))
    print(f"{file} {file.stat().st_size // 1024} KB")  # noqa: T201  a tool for people


def tight(png: bytes) -> bytes:
    """The same picture, packed as well as zlib can."""
    head, chunks, at = png[:8], [], 8
    while at < len(png):
        (length,) = struct.unpack(">I", png[at : at + 4])
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += 12 + length
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    packed = zlib.compress(pixels, 9)
    kept = [(kind, data) for kind, data in chunks if kind in {b"IHDR", b"PLTE"}]
    whole = [*kept, (b"IDAT", packed), (b"IEND", b"")]
    return head + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in whole
    )


if __name__ == "__main__":
    take(Path(sys.argv[1]))
