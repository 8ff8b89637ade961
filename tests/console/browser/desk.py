"""A person at a screen: one browser profile, signed in, watched for what a page must not do."""

import re
from typing import Any, Final

from playwright.sync_api import Browser, Locator, Page, Request, expect

from tests.api.rig import PASSWORD
from wire.i18n import catalog

expect.set_options(timeout=90_000)

SIZES: Final = {"desk": (1366, 768), "wide": (1920, 1080), "old": (1024, 768), "phone": (390, 844)}


class Desk:
    """complaints: errors of scripts and refusals of the content policy; outside: requests to any server but ours."""

    def __init__(
        self,
        browser: Browser,
        url: str,
        user: str = "guard",
        *,
        lang: str = "zh-CN",
        theme: str = "light",
        size: str = "desk",
    ) -> None:
        self.url = url
        self.complaints: list[str] = []
        self.outside: list[str] = []
        self.requests: list[Request] = []
        width, height = SIZES[size]
        self.context = browser.new_context(viewport={"width": width, "height": height}, locale=lang)
        self.context.set_default_timeout(90_000)
        self.context.add_cookies(
            [{"name": "campus_lang", "value": lang, "url": url}, {"name": "campus_theme", "value": theme, "url": url}]
        )
        self.context.on("request", self._asked)
        self.context.on("page", self._watch)
        if user:
            answer = self.context.request.post(f"{url}/api/v1/session", data={"name": user, "password": PASSWORD})
            assert answer.status == 204, answer.text()
        self.page: Page = self.context.new_page()

    def _asked(self, request: Request) -> None:
        self.requests.append(request)
        if not request.url.startswith((self.url, "data:", "blob:")):
            self.outside.append(request.url)

    def _watch(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._heard(said.type, said.text))

    def _heard(self, kind: str, text: str) -> None:
        # An answer of the API that is no success is the business of the test.
        if kind == "error" and not text.startswith("Failed to load resource"):
            self.complaints.append(text)

    def close(self) -> None:
        self.context.close()

    def open(self, path: str = "/live", *, live: bool = True) -> Page:
        self.page.goto(self.url + path)
        if live:
            self.live()
        return self.page

    def live(self, page: Page | None = None) -> None:
        expect((page or self.page).locator("body")).to_have_attribute("data-status", "live")

    def until(self, script: str) -> None:
        """Wait for a condition in the page; its policy forbids Playwright's own way."""
        for _ in range(600):
            if self.page.evaluate(script):
                return
            self.page.wait_for_timeout(50)
        raise AssertionError(f"never true: {script}")

    def size(self, name: str) -> None:
        width, height = SIZES[name]
        self.page.set_viewport_size({"width": width, "height": height})

    # --- what stands on the screen --------------------------------------------------------------------

    def door(self, name: str) -> Locator:
        return self.page.locator(f'.door[data-device="gate-1/{name}"]')

    def alarm(self, alarm_id: str) -> Locator:
        return self.page.locator(f'.alarm[data-id="{alarm_id}"]')

    @property
    def dialog(self) -> Locator:
        return self.page.locator("dialog[open]")

    def ask(self, method: str, path: str, **options: Any) -> Any:
        """The API as this person."""
        return self.context.request.fetch(f"{self.url}/api/v1{path}", method=method, **options)


# A key of a text that nobody looked up, or a placeholder that nobody filled.
GROUPS: Final = sorted(
    {key.split(".")[1] for key in catalog("en") if key.startswith("console.") and key.count(".") > 1}
)
RAW_KEY: Final = re.compile(rf"\b(?:{'|'.join(GROUPS)})\.[a-z_]+(?:\.[A-Za-z0-9_]+)*\b|\{{\w+\}}")
