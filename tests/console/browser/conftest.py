"""One browser and one campus for all tests of this folder; each test has profiles of its own.

Playwright's loop runs in the thread of the tests for as long as it is open, so nothing here is asyncio; those tests of
the console that are stand in the folder above.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Final

import pytest
from playwright.sync_api import Browser, Playwright, sync_playwright

from tests.console.browser.desk import Desk
from tests.console.site import Site
from tests.support.peers import find_program

# Every name but our own loopback leads nowhere, so that what asks outside cannot be answered.
ARGUMENTS: Final = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="package")
def browser(playwright: Playwright) -> Iterator[Browser]:
    browser = playwright.chromium.launch(
        executable_path=find_program("chromium", "chromium fonts-noto-cjk"), args=ARGUMENTS
    )
    yield browser
    browser.close()


@pytest.fixture(scope="package")
def campus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    site = Site(tmp_path_factory.mktemp("site"))
    site.start()
    yield site
    site.stop()


@pytest.fixture
def site(campus: Site) -> Site:
    """The campus with every alarm settled and every door shut."""
    campus.calm()
    return campus


Sit = Callable[..., Desk]


@pytest.fixture
def sit(browser: Browser, site: Site) -> Iterator[Sit]:
    """Sit down at one with a browser of its own: `sit("guard", lang="en")`. No page may have complained by the end."""
    with ExitStack() as stack:
        desks: list[Desk] = []

        def one(user: str = "guard", *, url: str = "", **options: str) -> Desk:
            desk = Desk(browser, url or site.url, user, **options)
            stack.callback(desk.close)
            desks.append(desk)
            return desk

        yield one
        for desk in desks:
            assert desk.complaints == []
            assert desk.outside == []
