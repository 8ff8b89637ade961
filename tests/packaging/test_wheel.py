import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("wire", "device_profiles", "edge_agent", "aggregator", "simulators")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel, built with the build tool of the lock file."""
    folder = tmp_path_factory.mktemp("wheel")
    program = f"from hatchling.build import build_wheel; print(build_wheel({str(folder)!r}))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    return zipfile.ZipFile(folder / done.stdout.split()[-1])


def test_the_wheel_holds_every_file_of_the_packages_and_nothing_else(wheel: zipfile.ZipFile) -> None:
    listed = subprocess.run(["git", "ls-files", *PACKAGES], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    packed = {name for name in wheel.namelist() if ".dist-info/" not in name}
    tracked = set(listed.stdout.split())
    assert tracked - packed == set()
    assert {name.partition("/")[0] for name in packed} == set(PACKAGES)


def test_the_wheel_holds_what_is_not_python(wheel: zipfile.ZipFile) -> None:
    packed = set(wheel.namelist())
    assert {
        "aggregator/broker/mosquitto.conf.template",
        "aggregator/samples/aggregator.yaml",
        "edge_agent/samples/minimal.yaml",
        "edge_agent/outbox/schema.sql",
        "device_profiles/biometric/facesluice-mqtt.yaml",
        "wire/i18n/zh-CN.json",
        "wire/py.typed",
    } <= packed
    assert any(name.startswith("aggregator/ledger/migrations/") for name in packed)


def test_the_wheel_carries_licence_and_scripts(wheel: zipfile.ZipFile) -> None:
    names = {Path(name).name: name for name in wheel.namelist() if ".dist-info/" in name}
    assert wheel.read(names["LICENSE"]) == (ROOT / "LICENSE").read_bytes()
    metadata = wheel.read(names["METADATA"]).decode()
    assert "License-Expression: Apache-2.0" in metadata
    scripts = wheel.read(names["entry_points.txt"]).decode()
    for program in ("campus-edge", "campus-profile", "campus-aggregator", "campus-sim"):
        assert f"{program} = " in scripts
