import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notify import Manager
from wire.notify import Notifier, Watchdog, starting


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    manager = Manager(str(tmp_path / "notify"))
    yield manager
    manager.close()


def test_it_says_what_systemd_understands(manager: Manager) -> None:
    notifier = Notifier(manager.address)
    notifier.ready("3 channels")
    notifier.progress()
    notifier.status("48 devices,\n46 up")
    notifier.starting_takes(30)
    notifier.stopping()
    assert manager.heard() == [
        "READY=1\nSTATUS=3 channels",
        "WATCHDOG=1",
        "STATUS=48 devices, 46 up",
        "EXTEND_TIMEOUT_USEC=30000000",
        "STOPPING=1",
    ]


def test_an_abstract_socket_is_understood(tmp_path: Path) -> None:
    manager = Manager(f"@campus-test-{tmp_path.name}-{id(tmp_path)}")
    Notifier(manager.address).ready()
    assert manager.heard() == ["READY=1\nSTATUS="]
    manager.close()


@pytest.mark.parametrize("address", ["", "/no/such/socket"])
def test_where_nobody_listens_nothing_happens(address: str) -> None:
    Notifier(address).ready()


@pytest.mark.parametrize(
    ("environ", "watchdog_s"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "60000000"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "42"}, 60.0),
        ({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "43"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_ours_only_if_systemd_says_so(environ: dict[str, str], watchdog_s: float | None) -> None:
    assert Notifier.from_environment(environ, 42).watchdog_s == watchdog_s


async def test_the_watchdog_is_fed_only_when_every_part_has_got_on(manager: Manager) -> None:
    watchdog = Watchdog(Notifier(manager.address, watchdog_s=0.03), ["disk", "loop"])
    running = asyncio.create_task(watchdog.run())
    watchdog.moved("loop")
    await asyncio.sleep(0.05)
    assert manager.heard() == []
    watchdog.moved("disk")
    async with asyncio.timeout(45):
        while "WATCHDOG=1" not in manager.heard():  # noqa: ASYNC110  a socket that the test looks into
            await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert manager.heard() == []
    running.cancel()


async def test_a_long_start_is_told(manager: Manager) -> None:
    async with starting(Notifier(manager.address), each_s=10) as started:
        await asyncio.sleep(0)
        started()
    assert manager.heard() == ["EXTEND_TIMEOUT_USEC=30000000"]
