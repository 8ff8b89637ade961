"""Fifty SIGKILLs of broker, aggregator and boxes on real processes, while terminals go on speaking.

Invariant: when it is quiet again, the ledger holds exactly what the terminals' own journal says they had: nothing that
a terminal was allowed to forget is missing, nothing stands there twice.
"""

from pathlib import Path

import pytest

from simulators.broker import Flavour
from simulators.campus.demo import DemoPlan, run_demo
from simulators.campus.layout import Ports, plan_campus
from simulators.campus.view import Snapshot
from simulators.children import free_ports
from simulators.faults import FaultRates
from tests.support.mosquitto import find_program

KILLS = 50
ONLY_KILLS = FaultRates(
    kill_every_s=1.0, power_cut_every_s=None, network_cut_every_s=None, line_cut_every_s=None, line_freeze_every_s=None
)


class Watcher:
    """Takes the place of the screen."""

    every_s = 0.2

    def __init__(self) -> None:
        self.last: Snapshot | None = None

    def show(self, snapshot: Snapshot) -> None:
        self.last = snapshot

    def close(self) -> None:
        """Nothing to leave behind."""


@pytest.mark.peer
@pytest.mark.processes
async def test_fifty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    find_program("mosquitto")
    broker_port, api_port = free_ports(2)
    ports = Ports(devices=broker_port, uplink=broker_port, api=api_port)
    layout = plan_campus(tmp_path / "campus", Flavour.MOSQUITTO, ports, terminals=20)
    layout.folder.mkdir()
    watcher = Watcher()
    plan = DemoPlan(layout=layout, seed=50, for_s=100.0, chaos=True, rates=ONLY_KILLS)
    findings = await run_demo(plan, lambda: watcher, lambda _secrets: None)

    assert watcher.last is not None
    kills = {process.name: process.kills for process in watcher.last.processes}
    assert sum(kills.values()) >= KILLS, kills
    assert all(kills.values()), kills
    total = findings.comparison.total
    assert total.produced > 100
    assert (total.lost, total.duplicated, findings.drained) == (0, 0, True), findings
