"""A simulated terminal on a real broker, with a gateway of a few lines on the other side."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from simulators.broker import HOST, EmbeddedBroker, iotcore
from simulators.chance import seeded
from simulators.children import Supervisor, free_ports, wait_for_port
from simulators.device import DeviceClock, Memory
from simulators.facesluice import Terminal
from simulators.facesluice_messages import TerminalConfig
from simulators.journal import JournalWriter
from simulators.mqtt_device import DeviceRunner
from tests.simulators.rig import PEOPLE, swipe_of
from tests.support.waiting import until
from wire.clock import SystemTime
from wire.mqtt_link import BrokerAddress, Message, MqttLink

pytestmark = pytest.mark.processes


class Gateway:
    """Acknowledges everything at once; remembers what came."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, Any]]] = []
        self.link: MqttLink | None = None

    async def open(self, port: int) -> None:
        address = BrokerAddress(host=HOST, port=port, username="u", password="p")
        self.link = await MqttLink.connect(address, self._take, client_id="gateway", version=5)
        await self.link.subscribe("mqtt/face/+/+", "mqtt/face/basic", "mqtt/face/heartbeat")

    def _take(self, message: Message) -> None:
        body = json.loads(message.payload)
        info = body["info"]
        self.got.append((body["operator"], info))
        match body["operator"]:
            case "Online":
                self.tell(info, "Online-Ack", {"facesluiceId": info["facesluiceId"], "result": "ok"})
            case "RecPush":
                self.tell(info, "PushAck", {"PushAckType": 2, "SnapOrRecordID": int(info["RecordID"])})

    def tell(self, info: dict[str, Any], operator: str, answer: dict[str, Any]) -> None:
        assert self.link is not None
        payload = json.dumps({"operator": operator, "info": answer}).encode()
        self.link.send(f"mqtt/face/{info['facesluiceId']}", payload).add_done_callback(lambda sent: sent.exception())

    def operators(self) -> list[str]:
        return [operator for operator, _ in self.got]

    def numbers(self) -> list[int]:
        return [int(info["RecordID"]) for operator, info in self.got if operator == "RecPush"]


class Stage:
    def __init__(self, broker: EmbeddedBroker, children: Supervisor, folder: Path) -> None:
        self.broker, self.children = broker, children
        self.gateway = Gateway()
        self.writer = JournalWriter(folder / "journal.jsonl")
        self.terminal = Terminal(
            TerminalConfig(device_id="1026701", ack_wait_s=1.0, online_interval_s=0.5),
            clock=DeviceClock(),
            memory=Memory(),
            witness=self.writer,
            chance=seeded("stage"),
        )
        address = BrokerAddress(host=HOST, port=broker.device_port, username="u", password="p")
        self.runner = DeviceRunner(self.terminal, address, clock=SystemTime(), chance=lambda: 0.0)
        self.task = asyncio.create_task(self.runner.run())

    def swipe(self, count: int) -> None:
        for _ in range(count):
            self.terminal.swipe(swipe_of(), PEOPLE[0], self.runner.now())
        self.runner.nudge()

    async def close(self) -> None:
        self.task.cancel()
        with suppress(asyncio.CancelledError):
            await self.task
        if self.gateway.link is not None:
            await self.gateway.link.close()
        self.writer.close()


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    device_port, uplink_port = free_ports(2)
    broker = iotcore(tmp_path, {"u": "p"}, device_port=device_port, uplink_port=uplink_port)
    children = Supervisor(tmp_path)
    try:
        await wait_for_port(children.start(broker.program), uplink_port)
        stage = Stage(broker, children, tmp_path)
        try:
            await stage.gateway.open(uplink_port)
            yield stage
        finally:
            await stage.close()
    finally:
        await children.close()


async def test_records_reach_the_gateway_in_order_and_are_released(stage: Stage) -> None:
    stage.swipe(20)
    await until(lambda: stage.writer.total().acked == 20)
    assert stage.gateway.numbers() == list(range(1, 21))
    assert stage.gateway.operators()[0] == "Online"


async def test_a_cut_device_records_on_and_delivers_all_of_it_afterwards(stage: Stage) -> None:
    stage.swipe(3)
    await until(lambda: stage.terminal.memory.owed() == 0)
    stage.runner.cut(0.3)
    stage.swipe(5)
    assert stage.terminal.memory.owed() == 5
    await until(lambda: stage.terminal.memory.owed() == 0)
    assert sorted(set(stage.gateway.numbers())) == list(range(1, 9))
    assert stage.runner.counters.connects == 2


async def test_a_device_without_power_records_nothing_and_its_will_is_published(stage: Stage) -> None:
    await until(lambda: "Online" in stage.gateway.operators())
    stage.runner.cut(0.3, power=True)
    stage.swipe(1)
    assert stage.writer.total().produced == 0
    await until(lambda: "Offline" in stage.gateway.operators())
    await until(lambda: stage.gateway.operators().count("Online") >= 2)
    stage.swipe(1)
    await until(lambda: stage.writer.total().acked == 1)


async def test_a_killed_broker_costs_no_record(stage: Stage) -> None:
    stage.swipe(5)
    await until(lambda: stage.terminal.memory.owed() < 5)
    stage.children.kill("broker")
    stage.swipe(5)
    broker = stage.children.children["broker"]
    await until(lambda: broker.life.starts == 2)
    await wait_for_port(broker, stage.broker.uplink_port)
    await stage.gateway.open(stage.broker.uplink_port)
    await until(lambda: stage.writer.total().acked == 10)
    assert set(stage.gateway.numbers()) == set(range(1, 11))


async def test_a_rebooted_device_comes_back_by_itself(stage: Stage) -> None:
    await until(lambda: stage.runner.online and "Online" in stage.gateway.operators())
    stage.gateway.tell({"facesluiceId": "1026701"}, "RebootDevice", {})
    await until(lambda: stage.gateway.operators().count("Online") >= 2)
    assert "RebootDevice-Ack" in stage.gateway.operators()
    assert stage.runner.counters.cuts == 1


async def test_an_unanswered_online_is_repeated_on_the_wire(tmp_path: Path) -> None:
    device_port, uplink_port = free_ports(2)
    children = Supervisor(tmp_path)
    broker = iotcore(tmp_path, {"u": "p"}, device_port=device_port, uplink_port=uplink_port)
    try:
        await wait_for_port(children.start(broker.program), uplink_port)
        stage = Stage(broker, children, tmp_path)
        try:
            await until(lambda: stage.runner.counters.published >= 3)
            assert stage.terminal.phase.name == "ANNOUNCING"
        finally:
            await stage.close()
    finally:
        await children.close()
