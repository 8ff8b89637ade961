"""A probe hears what a device says, of every kind of channel, and does nothing to it."""

import asyncio
import fcntl
import json
import os
import random
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from device_profiles.catalogue import load_catalogue
from edge_agent.probe import Held, Limits, ProbeRefused, Report, Target, probe
from edge_agent.probe.naming import NoTarget, addressed, is_address
from simulators.children import free_ports
from simulators.hik_camera import HikCamera, HikConfig
from simulators.journal import JournalWriter
from simulators.modbus_units import ClimateSensor, DoorBoard
from simulators.modbus_wire import Line, RtuLine, TcpServer
from simulators.serial_readers import SerialReader
from tests.channels.clients import listening, publish
from tests.simulators.rig import Seen
from tests.support.mosquitto import AnonymousBroker
from tests.support.waiting import until
from wire.clock import SystemTime
from wire.identity import Pseudonymiser
from wire.system_clock import SystemClock

CLOCK = SystemClock()
CATALOGUE = load_catalogue(())


def target_of(address: str, profile: str, password: str = "") -> Target:
    assert is_address(address)
    return addressed(address, profile, CATALOGUE, password=password, zone="Asia/Shanghai")


class Seeing:
    """A report, and what it was told as it came."""

    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.report = Report(self.said.append, Pseudonymiser(b"k" * 32))

    async def probe(self, target: Target, *, count: int = 3, for_s: float = 20) -> None:
        await probe(target, self.report, Limits(count, for_s), CLOCK)


# --- modbus -------------------------------------------------------------------------------------------


async def test_values_of_a_unit_behind_tcp_and_how_long_they_took(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge_agent.probe.modbus.ROUND_S", 0)
    server = TcpServer(Line({7: ClimateSensor(random.Random(1))}))
    await server.open()
    try:
        seeing = Seeing()
        await seeing.probe(target_of(f"modbus-tcp://127.0.0.1:{server.port}?unit_id=7", "xy-md02"))
    finally:
        await server.close()
    assert len(seeing.report.heard) == 3
    assert seeing.said == seeing.report.heard
    for item in seeing.report.heard:
        assert item["asked"] == "input_registers 1+2"
        assert {one["resource"] for one in item["values"]} == {"temperature", "humidity"}
        assert all(isinstance(one["value"], float) for one in item["values"])
    latency = seeing.report.latency_ms()
    assert latency is not None
    assert 0 < latency["min"] <= latency["p50"] <= latency["p95"] <= latency["max"]


async def test_nothing_is_written_to_a_door_and_what_it_refuses_is_asked_in_pieces(tmp_path: Path) -> None:
    board = DoorBoard(CLOCK.mono_ns)
    line = RtuLine(Line({1: board}), tmp_path / "bus")
    line.open()
    written: list[object] = []
    board.write = lambda *words: written.append(words)  # type: ignore[method-assign]  # the test listens in
    try:
        seeing = Seeing()
        address = f"modbus-rtu:{tmp_path}/bus?unit_id=1&reply_within_ms=200"
        await seeing.probe(target_of(address, "waveshare-relay-di"), count=1)
    finally:
        line.close()
    assert seeing.report.heard
    assert written == []
    assert board.strikes == 0


async def test_a_unit_that_is_not_there_is_told_as_without_an_answer(tmp_path: Path) -> None:
    line = RtuLine(Line({1: ClimateSensor(random.Random(1))}), tmp_path / "bus")
    line.open()
    try:
        seeing = Seeing()
        address = f"modbus-rtu:{tmp_path}/bus?unit_id=9&reply_within_ms=50"
        await seeing.probe(target_of(address, "xy-md02"), count=1)
    finally:
        line.close()
    assert (seeing.report.heard, seeing.report.unanswered, seeing.report.latency_ms()) == ([], 1, None)
    assert "cause" in seeing.said[0]


# --- serial -------------------------------------------------------------------------------------------


async def test_a_card_at_a_reader_is_shown_without_its_number(tmp_path: Path) -> None:
    reader = SerialReader("reader-1", "rdm6300", tmp_path / "reader", witness=Seen(), clock=SystemTime())
    reader.replug()
    try:
        seeing = Seeing()
        probing = asyncio.create_task(seeing.probe(target_of(f"serial:{tmp_path}/reader", "rdm6300"), count=1))
        while not probing.done():
            await reader.show("0077841681", held_s=0.07)
        await probing
    finally:
        reader.unplug()
    (item,) = seeing.report.heard
    assert item["message"]["credential"]["number"] == "…"
    assert item["events"][0]["credential"]["kind"] == "Card"
    assert "ref" not in item["events"][0]["credential"]
    assert "77841681" not in json.dumps(item)
    assert "04A3C511" not in json.dumps(item)


@pytest.mark.parametrize("kind", ["serial", "modbus-rtu"])
async def test_a_line_that_the_agent_holds_is_told_as_held(tmp_path: Path, kind: str) -> None:
    _end, far = os.openpty()
    path = tmp_path / "port"
    path.symlink_to(os.ttyname(far))
    fcntl.flock(far, fcntl.LOCK_EX)
    profile, query = ("rdm6300", "") if kind == "serial" else ("xy-md02", "?unit_id=1")
    with pytest.raises(Held, match="port"):
        await Seeing().probe(target_of(f"{kind}:{path}{query}", profile))
    os.close(far)
    os.close(_end)
    path.unlink()
    with pytest.raises(FileNotFoundError):
        await Seeing().probe(target_of(f"{kind}:{path}{query}", profile))


# --- mqtt ---------------------------------------------------------------------------------------------

RECORD = {
    "operator": "RecPush",
    "info": {
        "customId": "20260001",
        "personId": "17",
        "RecordID": "4211",
        "VerifyStatus": "1",
        "PersonType": "0",
        "similarity1": "93.000000",
        "Sendintime": 1,
        "personName": "CANARY-NAME",
        "facesluiceId": "1026701",
        "time": "2026-09-01 07:55:10",
        "PushType": 0,
        "otype": "1",
        "RFIDCard": "0012345678",
    },
}


@pytest.mark.peer
async def test_what_devices_say_at_a_broker_is_heard_beside_the_agent_and_nothing_is_answered(
    anonymous_broker: AnonymousBroker,
) -> None:
    broker = anonymous_broker.address
    seeing = Seeing()
    target = target_of(f"mqtt://127.0.0.1:{broker.port}/mqtt/face", "facesluice-mqtt")
    async with listening(broker, "mqtt/face/+") as device:
        probing = asyncio.create_task(seeing.probe(target, count=2))
        await until(lambda: len(seeing.report.answers_ns) == 5)
        await publish(broker, "mqtt/face/1026701/Rec", RECORD)
        await publish(broker, "mqtt/face/1026701/Rec", {"operator": "RecPush", "info": {"facesluiceId": "1026701"}})
        await probing
    record, odd = seeing.report.heard
    assert record["address"] == "1026701"
    assert record["events"][0]["topic"] == "AccessControl/AccessGranted/Credential"
    assert "discard" in odd
    assert device.messages == []
    told = json.dumps(seeing.said, ensure_ascii=False)
    assert not any(secret in told for secret in ("CANARY", "20260001", "12345678"))


async def test_a_broker_that_refuses_and_one_that_is_not_there(mosquitto: Any) -> None:
    wrong = target_of(f"mqtt://nobody@127.0.0.1:{mosquitto.port}", "facesluice-mqtt", password="wrong")
    with pytest.raises(ProbeRefused):
        await Seeing().probe(wrong, for_s=5)
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        await Seeing().probe(target_of("mqtt://127.0.0.1:1", "facesluice-mqtt"), for_s=5)


# --- http ---------------------------------------------------------------------------------------------


@asynccontextmanager
async def camera_of(folder: Path) -> AsyncIterator[HikCamera]:
    config = HikConfig(name="cam-1", password="right", repeat_s=0.02, keep_alive_s=0.05)
    with JournalWriter(folder / "journal.jsonl") as journal:
        camera = HikCamera(config, SystemTime(), journal, random.Random(1))
        serving = asyncio.create_task(camera.run())
        try:
            await camera.serving.wait()
            yield camera
        finally:
            serving.cancel()
            await asyncio.wait([serving])


async def test_a_camera_is_signed_in_to_and_heard(tmp_path: Path) -> None:
    async with camera_of(tmp_path) as camera:
        address = f"http-stream://campus@127.0.0.1:{camera.port}"
        seeing = Seeing()
        camera.begin("VMD")
        await seeing.probe(target_of(address, "hik-camera", "right"), count=4)
        assert len(seeing.report.heard) == 4
        assert any(item["message"]["kind"] != "heartbeat" and item["events"] for item in seeing.report.heard)
        assert len(seeing.report.answers_ns) == 1
        with pytest.raises(ProbeRefused):
            await Seeing().probe(target_of(address, "hik-camera", "wrong"))


def push(port: int, path: str, rows: str | None = None) -> tuple[int, str]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", None if rows is None else rows.encode())
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, ""


async def test_a_terminal_that_calls_is_let_in_and_keeps_what_it_brings() -> None:
    (port,) = free_ports(1)
    seeing = Seeing()
    target = target_of(f"http-push://127.0.0.1:{port}", "zk-adms-att")
    probing = asyncio.create_task(seeing.probe(target, count=2))
    hello = "/iclock/cdata?SN=ABC1&options=all&pushver=2.4.1"
    async with asyncio.timeout(60):
        while True:
            try:
                status, options = await asyncio.to_thread(push, port, hello)
                break
            except OSError:
                await asyncio.sleep(0.02)
    assert (status, "Stamp=9999" in options) == (200, True)
    assert await asyncio.to_thread(push, port, "/iclock/getrequest?SN=ABC1") == (200, "OK\n")
    row = "20260001\t2026-09-01 07:55:10\t0\t1\t0\t0\t0\n"
    table = "/iclock/cdata?SN=ABC1&table=ATTLOG&Stamp=9999"
    for _ in range(2):
        status, _ = await asyncio.to_thread(push, port, table, row)
        # Not taken: it brings it again, to the agent.
        assert status >= 500
    await probing
    records = [item for item in seeing.report.heard if item["events"]]
    assert len(records) == 2
    assert records[0]["address"] == "ABC1"
    assert "20260001" not in json.dumps(seeing.said)


async def test_a_port_that_the_agent_has_is_told_as_held() -> None:
    holder = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = holder.sockets[0].getsockname()[1]
    try:
        with pytest.raises(Held, match=str(port)):
            await Seeing().probe(target_of(f"http-push://127.0.0.1:{port}", "zk-adms-att"))
    finally:
        holder.close()
        await holder.wait_closed()


async def test_a_device_that_says_nothing_ends_it_in_time() -> None:
    (port,) = free_ports(1)
    seeing = Seeing()
    await seeing.probe(target_of(f"http-push://127.0.0.1:{port}", "zk-adms-att"), for_s=0.05)
    assert seeing.report.heard == []


# --- names --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "profile", "code"),
    [
        ("modbus-tcp://192.0.2.1?unit_id=7", None, "no_profile"),
        ("modbus-tcp://192.0.2.1?unit_id=7", "no-such", "bad_profile"),
        ("modbus-tcp://192.0.2.1?unit_id=7", "rdm6300", "bad_profile"),
        ("modbus-tcp://192.0.2.1?unit_id=999", "xy-md02", "bad_address"),
        ("modbus-tcp://192.0.2.1:99999?unit_id=7", "xy-md02", "bad_address"),
        ("serial:/dev/ttyUSB0?baud=9600", "rdm6300", "bad_address"),
        ("mqtt://[::1", "facesluice-mqtt", "bad_address"),
    ],
)
def test_an_address_that_cannot_be_used_is_told(address: str, profile: str | None, code: str) -> None:
    with pytest.raises(NoTarget) as told:
        addressed(address, profile, CATALOGUE, password="", zone="Asia/Shanghai")
    assert told.value.code == code


def test_an_address_is_known_by_its_kind() -> None:
    assert is_address("serial:/dev/ttyUSB0")
    assert is_address("http-push://0.0.0.0:8081")
    assert not is_address("gate-1/face-1")
    assert not is_address("mqtt")


async def test_every_kind_of_transport_can_be_probed() -> None:
    from importlib import import_module

    from edge_agent.transports import transports

    for kind in transports().values():
        assert callable(import_module(f"edge_agent.probe.{kind.channel}").probe)
