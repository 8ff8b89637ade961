"""The box's watchdog is fed by progress alone. The real agent runs here; systemd's end of the socket is the test's."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from edge_agent import app as composition
from edge_agent.check_cli import init_command
from edge_agent.keys import IdentityKey
from edge_agent.outbox import Outbox
from edge_agent.settings import read_settings
from simulators.children import free_ports
from tests.support.notify import Manager
from tests.support.waiting import until

PERIOD_S = 0.06


class Running:
    """An agent without a campus, watched."""

    def __init__(self, manager: Manager) -> None:
        self._manager = manager
        self._heard: list[str] = []
        self.stalled = asyncio.Event()
        self.held = 0

    def count(self, what: str) -> int:
        """How often the agent has said that."""
        self._heard += self._manager.heard()
        return sum(line == what or line.startswith(what) for line in self._heard)


@pytest.fixture
async def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    init_command(tmp_path, sample="minimal", language="en")
    config = tmp_path / "edge.yaml"
    (port,) = free_ports(1)
    config.write_text(config.read_text().replace("port: 1883", f"port: {port}"))
    IdentityKey.create(tmp_path / "keys" / "edge.key")
    for name, text in (("campus.key", "00" * 32), ("campus.pub", "11" * 32), ("broker.password", "s3cret")):
        (tmp_path / "keys" / name).write_text(text)
    manager = Manager(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", manager.address)
    monkeypatch.setenv("WATCHDOG_USEC", str(int(PERIOD_S * 1e6)))
    monkeypatch.setenv("CAMPUS_LANG", "en")
    monkeypatch.setattr(composition, "MAINTAIN_S", 0.005)
    monkeypatch.setattr(composition, "CLOCK_WATCH_S", 0.005)
    watched = Running(manager)
    real = Outbox.maintain

    async def maintain(outbox: Outbox) -> Any:
        if watched.stalled.is_set():
            watched.held += 1
            await asyncio.Event().wait()
        return await real(outbox)

    monkeypatch.setattr(Outbox, "maintain", maintain)
    loaded = read_settings(config)
    assert loaded.settings is not None
    stop = asyncio.Event()
    agent = asyncio.create_task(composition.run_agent(loaded.settings, loaded, stop=stop))
    try:
        await until(lambda: watched.count("WATCHDOG=1"))
        yield watched
    finally:
        watched.stalled.clear()
        stop.set()
        await asyncio.wait([agent], timeout=20)
        agent.cancel()
        await asyncio.wait([agent])
        manager.close()


async def test_it_says_that_it_is_ready_and_how_it_stands_and_is_fed_without_a_campus(running: Running) -> None:
    fed = running.count("WATCHDOG=1")
    await until(lambda: running.count("WATCHDOG=1") > fed + 3)
    assert running.count("READY=1") == 1
    assert running.count("STATUS=1 devices, 0 up, 0.0 ev/s, ") >= 1


async def test_an_outbox_that_does_not_get_on_ends_the_feeding_while_the_loop_turns(running: Running) -> None:
    running.stalled.set()
    await until(lambda: running.held)
    # What was reported before may still feed it once.
    await asyncio.sleep(PERIOD_S)
    fed = running.count("WATCHDOG=1")
    await asyncio.sleep(PERIOD_S * 10)
    assert running.count("WATCHDOG=1") == fed


async def test_a_loop_that_does_not_turn_feeds_nobody(running: Running) -> None:
    fed = running.count("WATCHDOG=1")
    # Whatever feeds it from a thread would do so now.
    time.sleep(PERIOD_S * 10)  # noqa: ASYNC251  the fault itself
    assert running.count("WATCHDOG=1") == fed
    await until(lambda: running.count("WATCHDOG=1") > fed)
