"""What the Modbus parts share: a box with gateways of ten units each, whose registers are read in one rhythm."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import yaml

from tests.bench.processes import Helper, helper

UNITS: Final = 10
REGISTERS: Final = 40
PROFILE: Final = "bench-registers"


def channels(ports: list[int], profile: str, units: int = UNITS) -> list[dict[str, Any]]:
    """One channel for each gateway."""
    return [
        {
            "name": f"gateway-{number}",
            "protocol": "modbus",
            "transport": {"kind": "modbus-tcp", "host": "127.0.0.1", "port": port},
            "devices": [
                {"name": f"unit-{number}-{unit}", "profile": profile, "address": {"unit_id": unit}}
                for unit in range(1, units + 1)
            ],
        }
        for number, port in enumerate(ports, start=1)
    ]


def write_profile(folder: Path, interval_ms: int, registers: int = REGISTERS) -> None:
    """PROFILE: so many registers of a meter, each a value that is told at every turn."""
    path = folder / "energy" / f"{PROFILE}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    names = [f"value_{index:02d}" for index in range(registers)]
    profile = {
        "name": PROFILE,
        "description": "Registers for the bench",
        "description_zh": "基准测试用寄存器",
        "products": [{"manufacturer": "Bench", "model": "Registers"}],
        "device_class": "energy",
        "systems": [],
        "protocol": "modbus",
        "contract": "unheard",
        "source": "tests/bench",
        "witness": {"kind": "vendor_document", "by": "nobody; a load"},
        "liveness": {"interval_s": 30, "missed": 3},
        "device_resources": [
            {
                "name": name,
                "attributes": {"primary_table": "holding_registers", "starting_address": index, "raw_type": "uint16"},
                "properties": {"value_type": "Float32", "read_write": "R", "units": "V", "scale": 0.1},
            }
            for index, name in enumerate(names)
        ],
        "auto_events": [{"source": name, "interval_ms": interval_ms} for name in names],
    }
    path.write_text(yaml.safe_dump(profile, allow_unicode=True), encoding="utf-8")


@contextmanager
def gateways(count: int) -> Iterator[tuple[Helper, list[int]]]:
    """That many gateways, and where they listen."""
    with helper("registers", count, REGISTERS) as answering:
        ports: list[int] = answering.hear()["ports"]
        yield answering, ports
