"""`campus-edge probe` as a person types it."""

import asyncio
import json
import os
import random
import sys
from pathlib import Path

import pytest
import yaml

from simulators.children import free_ports
from simulators.modbus_units import ClimateSensor
from simulators.modbus_wire import Line, TcpServer


def settings(folder: Path, port: int) -> Path:
    path = folder / "edge.yaml"
    document = {
        "schema": 1,
        "campus": "test-school",
        "edge": "hall-1",
        "site": {"zone": "Asia/Shanghai"},
        "data_dir": "data",
        "identity_key_file": "keys/edge.key",
        "campus_key_file": "keys/campus.key",
        "campus_public_key_file": "keys/campus.pub",
        "uplink": {"host": "127.0.0.1"},
        "channels": [
            {
                "name": "climate",
                "protocol": "modbus",
                "transport": {"kind": "modbus-tcp", "host": "127.0.0.1", "port": port, "reply_within_ms": 1000},
                "devices": [
                    {"name": f"climate-{unit}", "profile": "xy-md02", "address": {"unit_id": unit}} for unit in (1, 2)
                ],
            }
        ],
    }
    path.write_text(yaml.safe_dump(document))
    return path


async def campus_edge_probe(*arguments: str) -> tuple[int, str, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge_agent.cli", "probe", *arguments),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "CAMPUS_LANG": "en", "PYTHONUTF8": "1"},
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return process.returncode, out.decode(), err.decode()


@pytest.mark.processes
async def test_a_device_by_its_name_a_channel_whole_and_a_document(tmp_path: Path) -> None:
    server = TcpServer(Line({1: ClimateSensor(random.Random(1)), 2: ClimateSensor(random.Random(2))}))
    await server.open()
    config = str(settings(tmp_path, server.port))
    try:
        code, out, err = await campus_edge_probe("climate-2", "-c", config, "--count", "1")
        assert (code, len(out.splitlines())) == (0, 3)
        assert out.startswith("hall-1/climate-2 2 input_registers 1+2 temperature=")
        assert "answer time: min" in out
        assert "modbus-tcp" in err
        code, out, _ = await campus_edge_probe("climate", "-c", config, "--count", "1", "--json")
        document = json.loads(out)
        assert (code, document["schema"], document["ok"], document["answered"]) == (0, 1, True, 2)
        assert {one["device"] for one in document["heard"]} == {"hall-1/climate-1", "hall-1/climate-2"}
        assert set(document["latency_ms"]) == {"min", "p50", "p95", "max"}
    finally:
        await server.close()


@pytest.mark.processes
async def test_every_way_to_fail_has_its_code_and_its_sentence(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    config = str(settings(tmp_path, port))
    code, _, err = await campus_edge_probe("climate-1", "-c", config, "--for", "5")
    assert (code, "Nobody is there" in err) == (4, True)
    code, _, err = await campus_edge_probe("climate-3", "-c", config)
    assert (code, "did you mean climate-" in err) == (2, True)
    code, _, err = await campus_edge_probe("serial:/dev/none", "-c", config)
    assert (code, "rdm6300" in err) == (2, True)
    code, _, err = await campus_edge_probe("serial:/dev/none", "--profile", "rdm6300")
    assert (code, "/dev/none" in err) == (4, True)
    (tmp_path / "edge.yaml").write_text("schema: 1\n")
    code, _, err = await campus_edge_probe("climate-1", "-c", config)
    assert (code, "Traceback" in err) == (3, False)
