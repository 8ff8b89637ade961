"""Two hundred terminals that push over HTTP, and one real box that is killed again and again.

Invariant: when every terminal has been told that it may forget, the box's outbox holds exactly what the terminals' own
journal says they made: nothing is missing, nothing stands there twice. No campus is there; the box does not need one.
"""

import asyncio
import json
import sqlite3
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_agent.keys import IdentityKey
from simulators.chance import seeded
from simulators.children import free_ports
from simulators.compare import DeviceFacts, Stored, compare
from simulators.device import DeviceClock, Memory
from simulators.http_device import HttpDeviceRunner
from simulators.iclock_device import IclockConfig, IclockDevice, IclockFaults
from simulators.journal import JournalWriter, read_journal
from simulators.people import make_people
from simulators.zk_pos import Purse, ZkPos
from simulators.zk_terminal import ZkTerminal
from tests.acceptance.site import HOST, Process, run
from wire.records import Event, decode_record
from wire.system_clock import SystemClock

TERMINALS = 190
TILLS = 10
KILLS = 20
WITHIN_S = 90.0
# Often enough to have everybody back soon after each kill; a real terminal waits 30 s.
WAITS_MAX_S = 0.8
FAULTS = IclockFaults(deaf=0.02, cut=0.02, garbage=0.01)
PEOPLE = make_people(3)


def write_box(folder: Path, ports: tuple[int, int, int], serials: dict[str, list[str]]) -> Path:
    """The settings of a box that has joined a campus which is not there."""
    att_port, pos_port, nobody = ports
    keys = folder / "keys"
    keys.mkdir(parents=True)
    IdentityKey.create(keys / "edge.key")
    (keys / "campus.key").write_text("07" * 32)
    (keys / "campus.pub").write_text(Ed25519PrivateKey.generate().public_key().public_bytes_raw().hex())
    (keys / "broker.password").write_text("nobody")
    channels = [
        {
            "name": name,
            "protocol": protocol,
            "transport": {"kind": "http-push", "host": HOST, "port": port, "connections_max": 400},
            "devices": [
                {"name": f"{name}-{number}", "profile": protocol, "address": {"serial": serial}}
                for number, serial in enumerate(serials[protocol])
            ],
        }
        for name, protocol, port in (("att", "zk-adms-att", att_port), ("pos", "zk-cm-pos", pos_port))
    ]
    settings: dict[str, Any] = {
        "schema": 1,
        "campus": "test-school",
        "edge": "gate-1",
        "site": {"zone": "Asia/Shanghai"},
        "data_dir": "data",
        "identity_key_file": "keys/edge.key",
        "campus_key_file": "keys/campus.key",
        "campus_public_key_file": "keys/campus.pub",
        "uplink": {"host": HOST, "port": nobody, "username": "gate-1", "password_file": "keys/broker.password"},
        "channels": channels,
    }
    file = folder / "edge.yaml"
    file.write_text(yaml.safe_dump(settings))
    return file


class School:
    """The terminals, their lines, and what happens before them."""

    def __init__(self, journal: JournalWriter, ports: tuple[int, int, int]) -> None:
        self.chance = seeded("zk-kills")
        clock = SystemClock(assume_synced=True)
        self.runners: list[HttpDeviceRunner] = []
        self.devices: list[IclockDevice] = []
        for number in range(TERMINALS + TILLS):
            kind, port = (ZkTerminal, ports[0]) if number < TERMINALS else (ZkPos, ports[1])
            device = kind(
                IclockConfig(serial=f"ZK{number:06d}", batch=20, waits_max_s=WAITS_MAX_S),
                clock=DeviceClock(wrong_by_s=self.chance.uniform(-600, 600)),
                memory=Memory(),
                witness=journal,
                chance=seeded("zk-kills", number),
                faults=FAULTS,
            )
            self.devices.append(device)
            self.runners.append(HttpDeviceRunner(device, HOST, port, clock))
        self.purses = [Purse(f"{10_000_000 + number}", 10**9) for number in range(50)]

    def serials(self) -> dict[str, list[str]]:
        names = [device.config.serial for device in self.devices]
        return {"zk-adms-att": names[:TERMINALS], "zk-cm-pos": names[TERMINALS:]}

    def happen(self, number: int | None = None) -> None:
        """Somebody comes to a terminal, to any if no number is given."""
        if number is None:
            number = self.chance.randrange(len(self.devices))
        device, runner = self.devices[number], self.runners[number]
        if isinstance(device, ZkPos):
            device.sell(self.chance.choice(self.purses), self.chance.randrange(100, 2500), runner.now())
        elif isinstance(device, ZkTerminal):
            person = self.chance.choice(PEOPLE)
            device.punch(person.site_id, person.index, runner.now(), verify=self.chance.choice((1, 4, 15)))
            if self.chance.random() < 0.02:
                device.enrol(person)
        runner.nudge()

    async def live(self) -> None:
        """At each terminal once, then anywhere, until cancelled."""
        for number in range(len(self.devices)):
            self.happen(number)
        while True:
            self.happen()
            await asyncio.sleep(0.01)

    def owed(self) -> int:
        return sum(device.owed() for device in self.devices)


async def until(condition: Any) -> None:
    """Condition holds, or the test fails."""
    async with asyncio.timeout(WITHIN_S):
        while not condition():  # noqa: ASYNC110  it looks into other processes
            await asyncio.sleep(0.02)


async def be_killed(box: Process, school: School, journal: JournalWriter) -> None:
    """KILLS times, at moments of chance: mostly in full work, sometimes while it starts."""
    for number in range(KILLS):
        box.start()
        if number % 4 != 3:
            acked = journal.total().acked
            await until(lambda acked=acked: journal.total().acked >= acked + 20)
        await asyncio.sleep(school.chance.uniform(0.0, 0.4))
        assert box.ended() is None, box.log()
        box.kill()


def at_rest(outbox: Path) -> list[Event]:
    """Every record of a device's own, read as any program could."""
    with sqlite3.connect(f"file:{outbox}?mode=ro", uri=True) as database:
        bodies = [body for (body,) in database.execute("SELECT body FROM record ORDER BY key")]
    records = [decode_record(body) for body in bodies]
    return [record for record in records if isinstance(record, Event) and record.source is not None]


def speaks_of_people(folder: Path) -> list[str]:
    """Files below folder that hold the number or the name of a person."""
    traces = [person.site_id.encode() for person in PEOPLE] + [person.name.encode() for person in PEOPLE]
    # Two characters of GB2312 are four bytes, which chance may put next to each other.
    traces += [person.name.encode("gb2312", "replace") for person in PEOPLE if len(person.name) > 2]
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path.name for path in files if any(trace in path.read_bytes() for trace in traces)]


@pytest.mark.processes
async def test_two_hundred_terminals_and_twenty_kills_lose_and_double_nothing(tmp_path: Path) -> None:
    free = free_ports(3)
    ports = (free[0], free[1], free[2])
    with JournalWriter(tmp_path / "journal") as journal:
        school = School(journal, ports)
        config = write_box(tmp_path / "box", ports, school.serials())
        box = Process([sys.executable, "-m", "edge_agent.cli", "run", "-c", str(config)], tmp_path / "box" / "log")
        try:
            async with asyncio.TaskGroup() as group:
                lines = [group.create_task(runner.run()) for runner in school.runners]
                life = group.create_task(school.live())
                await be_killed(box, school, journal)
                box.start()
                life.cancel()
                await until(lambda: school.owed() == 0)
                for line in lines:
                    line.cancel()
            assert box.stop() == 0, box.log()
        finally:
            box.stop()
        produced = journal.total().produced
        # All two hundred of them, and each was told of at least one that it may forget it.
        assert len(school.devices) == 200
        assert all(journal.of(device.config.serial).acked > 0 for device in school.devices)

    events = at_rest(tmp_path / "box" / "data" / "outbox.sqlite")
    devices = {
        device.config.serial: DeviceFacts(
            f"gate-1/att-{number}" if number < TERMINALS else f"gate-1/pos-{number - TERMINALS}",
            "attendance" if number < TERMINALS else "payment",
            ("attendance",) if number < TERMINALS else ("payment",),
            None if number < TERMINALS else {"pos": 0},
        )
        for number, device in enumerate(school.devices)
    }
    stored = [
        Stored(event.id, event.device, event.device_time.raw if event.device_time else "", event.source.record_no)
        for event in events
        if event.source is not None
    ]
    comparison = compare(read_journal(tmp_path / "journal"), stored, devices)
    assert produced > 500
    assert comparison.exact, comparison
    assert comparison.total.produced == comparison.total.stored == len(stored) == produced
    assert Counter(event.topic for event in events).keys() == {"Attendance/Punch", "Payment/Sale"}
    assert speaks_of_people(tmp_path / "box") == []
    shown = run("edge_agent.cli", "outbox", "-c", str(config), "--json")
    assert shown.returncode == 0, shown.stderr
    # Answers that a kill swallowed: the rows came again and were known.
    assert json.loads(shown.stdout)["tally"]["repeats"] > 0
