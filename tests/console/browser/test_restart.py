"""The real service under ten tabs of one browser: it ends at once, comes back, and no tab has missed anything."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from aggregator.parts import open_parts
from aggregator.settings import read_settings
from simulators.children import free_ports
from tests.acceptance.site import eventually
from tests.api.rig import PASSWORD
from tests.console.browser.desk import Desk
from wire.identity import derived_id
from wire.records import Event
from wire.topics import CAMPUS_NODE

pytestmark = [pytest.mark.peer, pytest.mark.processes]

TABS = 10


class Service:
    """`campus-aggregator run` in a folder of its own. No broker answers; a console must live without one."""

    def __init__(self, folder: Path) -> None:
        port, broker = free_ports(2)
        self.url = f"http://127.0.0.1:{port}"
        self.config = folder / "campus" / "aggregator.yaml"
        self._log = folder / "log"
        self._run("init", str(self.config.parent))
        text = self.config.read_text()
        text = text.replace("port: 8000", f"port: {port}").replace("port: 1883", f"port: {broker}")
        assert f"port: {port}" in text
        self.config.write_text(text)
        self._run("user", "add", "guard", "--role", "guard", "-c", str(self.config), stdin=f"{PASSWORD}\n")
        self.process: subprocess.Popen[bytes] | None = None

    def _run(self, *arguments: str, stdin: str = "") -> None:
        argv = [sys.executable, "-m", "aggregator.cli", *arguments]
        done = subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        argv = [sys.executable, "-m", "aggregator.cli", "run", "-c", str(self.config)]
        with self._log.open("ab") as log:
            self.process = subprocess.Popen(argv, stdout=log, stderr=log, env={**os.environ, "CAMPUS_LANG": "en"})

    def stop(self) -> int:
        """SIGTERM; the exit code. A service that waits for its watchers would never end."""
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(30)
        self.process = None
        return code

    def append(self, name: str) -> None:
        """Put an alarm into the ledger of a service that is down."""
        settings = read_settings(self.config).settings
        assert settings is not None

        async def write() -> None:
            async with open_parts(settings) as parts:
                stamp = parts.clock.stamp()
                values = {"edge": name, "device": name, "incident": "test"}
                event = Event(
                    id=derived_id("incident", name),
                    device=CAMPUS_NODE,
                    stamp=stamp,
                    topic="Delivery/Conflict",
                    values=values,
                )
                await parts.ledger.append_campus([event], stamp)

        # Playwright's loop runs in this thread.
        with ThreadPoolExecutor(1) as pool:
            pool.submit(lambda: asyncio.run(write())).result()


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    service = Service(tmp_path)
    yield service
    if service.process is not None:
        service.process.kill()
        service.process.wait()


def up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/api/v1/health", timeout=2) as answer:
            return answer.status == 200
    except OSError:
        return False


def watchers(url: str) -> int:
    with urllib.request.urlopen(f"{url}/api/v1/health", timeout=5) as answer:
        count: int = json.loads(answer.read())["watchers"]
    return count


def test_ten_tabs_share_one_stream_and_outlive_a_restart(browser: Browser, service: Service) -> None:
    service.append("gate-8")
    service.start()
    eventually(lambda: up(service.url))
    desk = Desk(browser, service.url, "guard", lang="en")
    try:
        tabs: list[Page] = [desk.page, *(desk.context.new_page() for _ in range(TABS - 1))]
        for number, tab in enumerate(tabs):
            tab.goto(f"{service.url}{'/live' if number % 2 == 0 else '/alarms'}")
            tab.evaluate("window.kept = true")
        for tab in tabs:
            desk.live(tab)
        expect(tabs[0].locator(".alarm")).to_have_count(1)
        assert watchers(service.url) == 1

        assert service.stop() == 0
        for tab in tabs:
            expect(tab.locator("#lost")).to_be_visible()
        expect(tabs[0].locator("#lost")).to_contain_text("do not reload")
        expect(tabs[0].locator("#lost-age")).to_contain_text("old")
        # While nobody listens something happens.
        service.append("gate-9")
        service.start()
        for tab in tabs:
            desk.live(tab)
            expect(tab.locator("#lost")).to_be_hidden()
            # It is the same page still: nothing was loaded anew.
            assert tab.evaluate("window.kept") is True
            expect(tab.locator(".rail .badge")).to_be_hidden()
        for tab in tabs[::2]:
            expect(tab.locator(".alarm")).to_have_count(2)
        assert eventually(lambda: watchers(service.url) == 1)
        desk.page.locator(".alarm").first.get_by_role("button").click()
        for tab in tabs[::2]:
            expect(tab.locator(".group.acked .alarm")).to_have_count(1)
        assert desk.outside == []
        assert desk.complaints == []
    finally:
        desk.close()
    assert service.stop() == 0
