"""What an operator looks with, on a campus of real processes: doctor, top, tail, metrics."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from simulators.children import free_ports
from tests.acceptance.site import HOST, Site, eventually, run, running_site
from tests.acceptance.test_terminal_by_hand import DEVICE, Terminal, record
from tests.support.prometheus import samples, value

pytestmark = [pytest.mark.peer, pytest.mark.processes]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with running_site(folder, DEVICE) as running:
        # The box once more, with a page for Prometheus.
        (port,) = free_ports(1)
        settings = yaml.safe_load(running.edge_file.read_text())
        running.edge_file.write_text(yaml.safe_dump({**settings, "metrics": {"port": port}}))
        running.edge.stop()
        running.edge.start()
        terminal = Terminal(running, running.terminal_password(), folder / "heard")
        eventually(lambda: health_of(running).get("parts", {}).get("channel terminals", {}).get("state") == "up")
        terminal.says("Rec", record(4211))
        eventually(lambda: running.events("AccessControl"))
        yield running


def health_of(site: Site) -> dict[str, Any]:
    try:
        health: dict[str, Any] = json.loads((site.edge_file.parent / "data" / "health.json").read_text())
    except (OSError, ValueError):
        return {}
    return health


def secrets_of(site: Site) -> list[str]:
    files = [*site.edge_file.parent.glob("keys/*"), *site.campus_file.parent.glob("keys/*")]
    return [path.read_text().strip() for path in files if path.suffix != ".pub"]


@pytest.mark.parametrize("program", ["aggregator.cli", "edge_agent.cli"])
def test_a_sound_campus_has_nothing_wrong_and_tells_no_secret(site: Site, program: str) -> None:
    config = site.campus_file if program == "aggregator.cli" else site.edge_file
    # The box tells its devices as of its last look.
    eventually(lambda: run(program, "doctor", "-c", str(config)).returncode == 0)
    done = run(program, "doctor", "--json", "-c", str(config))
    document = json.loads(done.stdout)
    assert [one for one in document["checks"] if one["mark"] == "fail"] == []
    codes = {one["check"] for one in document["checks"]}
    expected = {"broker_in", "broker_fenced", "database_sound", "disk_commits"}
    assert codes >= expected | ({"campus_runs"} if program == "aggregator.cli" else {"agent_runs", "campus_hears"})
    assert not any(secret in done.stdout + done.stderr for secret in secrets_of(site))


def test_a_box_tells_its_devices_on_one_screen(site: Site) -> None:
    def up() -> bool:
        document = json.loads(run("edge_agent.cli", "top", "--json", "-c", str(site.edge_file)).stdout)
        return [one["state"] for one in document["devices"]] == ["UP"] and bool(document["running"])

    eventually(up)


def test_the_record_is_seen_on_the_box_and_on_the_campus(site: Site) -> None:
    box = run("edge_agent.cli", "tail", "--since", "1h", "--no-follow", "-o", "json", "-c", str(site.edge_file))
    topics = [json.loads(line)["topic"] for line in box.stdout.splitlines()]
    assert "AccessControl/AccessGranted/Credential" in topics
    assert "20260001" not in box.stdout


def test_box_and_campus_count_the_same(site: Site) -> None:
    made = run("aggregator.cli", "token", "create", "prometheus", "--role", "ops", "-c", str(site.campus_file))
    port = yaml.safe_load(site.edge_file.read_text())["metrics"]["port"]

    def page(url: str, token: str = "") -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"} if token else {})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return samples(answer.read().decode())

    def agree() -> bool:
        own = page(f"http://{HOST}:{port}/metrics")
        told = page(f"http://{HOST}:{site.http_port}/metrics", made.stdout.strip())
        names = ("campus_edge_events_total", "campus_edge_messages_total")
        counted = [value(own, name, edge="gate-1") for name in names]
        return min(counted) > 0 and counted == [value(told, name, edge="gate-1") for name in names]

    eventually(agree)
