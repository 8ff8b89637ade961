"""The command line: what it says, what it costs, what it exits with."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from simulators import run as run_module
from simulators.broker import HOST, EmbeddedBroker, iotcore
from simulators.children import Supervisor, free_ports, wait_for_port
from simulators.cli import app
from simulators.journal import Fate, read_journal
from simulators.run import RunPlan, RunState, run_terminals
from tests.simulators.test_mqtt_device import Gateway
from wire.mqtt_link import BrokerAddress

HEAVY = ("fastapi", "uvicorn", "aggregator", "edge_agent", "paho", "sqlite3", "simulators.campus.demo")


@pytest.mark.parametrize("command", [[], ["run"], ["demo"]])
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    program = f"""
import sys
from simulators.cli import app
try:
    app([*{command!r}, "--help"])
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules])
"""
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", ["run", "demo"])
def test_help_shows_two_examples(command: str) -> None:
    shown = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200"})
    assert shown.exit_code == 0
    assert shown.output.count(f"campus-sim {command}") == 2


def test_a_missing_password_file_is_a_settings_error(tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["run", "--password-file", str(tmp_path / "none"), "--lang", "en"])
    assert shown.exit_code == 3
    assert "No such file" in shown.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--zone", "Foo/Bar"], "Foo/Bar"),
        (["--zone", "../etc"], "../etc"),
        (["--log", "shout"], "shout"),
        (["a/b"], "a/b"),
        (["+"], "+"),
    ],
)
def test_what_cannot_work_is_a_mistake_of_usage(options: list[str], said: str) -> None:
    shown = CliRunner().invoke(app, ["run", *options, "--for", "0.1"], env={"COLUMNS": "200"})
    assert shown.exit_code == 2, shown.exception
    assert said in shown.output


@pytest.mark.parametrize("name", ["missing/truth.jsonl", "odd.jsonl", "."])
def test_a_journal_that_cannot_be_kept_is_a_settings_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "odd.jsonl").write_text("no journal\n")
    shown = CliRunner().invoke(app, ["run", "--journal", str(tmp_path / name), "--for", "0.1", "--lang", "en"])
    assert shown.exit_code == 3, shown.exception
    assert "The journal cannot be written" in shown.output


@pytest.mark.parametrize(("language", "word"), [("en", "produced"), ("zh-CN", "产生")])
def test_nobody_listening_is_said_in_the_chosen_language_with_its_own_exit_code(
    monkeypatch: pytest.MonkeyPatch, language: str, word: str
) -> None:
    monkeypatch.setattr(run_module, "SETTLE_S", 0.2)
    (port,) = free_ports(1)
    for rate in ("600", "0.001"):
        options = ["run", "--port", str(port), "--for", "0.5", "--rate", rate, "--lang", language]
        shown = CliRunner().invoke(app, options)
        assert shown.exit_code == 4
        assert word in shown.output


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    device_port, uplink_port = free_ports(2)
    embedded = iotcore(tmp_path, {"u": "p"}, device_port=device_port, uplink_port=uplink_port)
    children = Supervisor(tmp_path)
    try:
        child = children.start(embedded.program)
        await wait_for_port(child, device_port)
        await wait_for_port(child, uplink_port)
        yield embedded
    finally:
        await children.close()


@pytest.mark.processes
async def test_terminals_run_against_a_broker_until_all_is_acknowledged(broker: EmbeddedBroker, tmp_path: Path) -> None:
    gateway = Gateway()
    await gateway.open(broker.uplink_port)
    shown: list[RunState] = []
    plan = RunPlan(
        address=BrokerAddress(host=HOST, port=broker.device_port, username="u", password="p"),
        device_ids=("1026701", "1026702"),
        prefix="mqtt/face",
        per_minute=1200,
        seed=3,
        qos=1,
        picture_bytes=20_000,
        flawless=True,
        zone="Asia/Shanghai",
        for_s=3.0,
        journal=tmp_path / "truth.jsonl",
    )
    async with asyncio.timeout(40):
        state = await run_terminals(plan, shown.append)
    assert gateway.link is not None
    await gateway.link.close()
    assert state.owed == 0
    assert state.counts.produced == state.counts.acked > 40
    journal = read_journal(tmp_path / "truth.jsonl")
    assert journal.count(Fate.ACKED) == state.counts.produced
    assert {record.device for record in journal.records.values()} == {"1026701", "1026702"}
    assert len(shown) >= 1
