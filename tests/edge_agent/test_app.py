"""A whole box in one process, from its settings: it starts and ends in order, whatever it has or lacks."""

import asyncio
import re
from pathlib import Path

import pytest

from edge_agent import OUTBOX_FILE
from edge_agent.app import run_agent
from edge_agent.check_cli import init_command
from edge_agent.keys import IdentityKey
from edge_agent.outbox import OutboxLimits, OutboxStore
from edge_agent.settings import read_settings
from simulators.children import free_ports
from tests.support.clock import VirtualClock, seeded
from wire.records import decode_record
from wire.topics import Lane


def joined(folder: Path, channels: str) -> Path:
    """The settings of a box that has joined a campus whose broker is away."""
    init_command(folder, sample="minimal", language="en")
    keys = folder / "keys"
    IdentityKey.create(keys / "edge.key")
    (keys / "campus.key").write_text("00" * 32)
    (keys / "campus.pub").write_text("11" * 32)
    (keys / "broker.password").write_text("s3cret")
    path = folder / "edge.yaml"
    (port,) = free_ports(1)
    text = path.read_text(encoding="utf-8").replace("port: 1883", f"port: {port}")
    if not channels:
        text = re.sub(r"^channels:.*", "channels: []\n", text, flags=re.DOTALL | re.MULTILINE)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("channels", ["", "terminals"])
async def test_a_box_ends_in_order_also_without_a_channel_or_a_campus(tmp_path: Path, channels: str) -> None:
    loaded = read_settings(joined(tmp_path, channels))
    assert loaded.settings is not None, loaded.findings
    stop = asyncio.Event()
    running = asyncio.create_task(run_agent(loaded.settings, loaded, stop=stop))
    health = tmp_path / "data" / "health.json"
    async with asyncio.timeout(60):
        while not health.exists():
            await asyncio.sleep(0.01)
            assert not running.done()
        stop.set()
        await running
    store = OutboxStore.open(
        tmp_path / "data" / OUTBOX_FILE, clock=VirtualClock(), random=seeded(1), edge="gate-1", limits=OutboxLimits()
    )
    told = [decode_record(row.body) for row in store.read(Lane.S, 0, 10, 10_000)]
    store.close()
    assert [record.device for record in told][: 1 + len(loaded.devices)] == [
        "gate-1",
        *(f"gate-1/{device.name}" for bound in loaded.devices.values() for device in bound),
    ]
