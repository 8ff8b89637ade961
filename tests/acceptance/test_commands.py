"""The commands of box and campus as an operator meets them: what they say, where, and how they end."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.site import Site, eventually, run, running_site

pytestmark = [pytest.mark.processes]


def test_a_box_that_has_not_joined_says_so_and_is_not_restarted(tmp_path: Path) -> None:
    run("edge_agent.cli", "init", str(tmp_path))
    done = run("edge_agent.cli", "run", "-c", str(tmp_path / "edge.yaml"))
    assert done.returncode == 78
    assert "campus-edge enrol" in done.stderr


def test_a_box_with_a_typo_refuses_to_start_and_points_at_it(tmp_path: Path) -> None:
    run("edge_agent.cli", "init", str(tmp_path))
    path = tmp_path / "edge.yaml"
    path.write_text(path.read_text().replace("protocol: facesluice", "protocol: facesluce"))
    done = run("edge_agent.cli", "run", "-c", str(path))
    assert done.returncode == 78
    assert "did you mean facesluice?" in done.stderr
    assert f"{path}:" in done.stderr


def test_enrolment_without_a_campus_ends_with_its_own_code(tmp_path: Path) -> None:
    run("edge_agent.cli", "init", str(tmp_path))
    path = str(tmp_path / "edge.yaml")
    done = run("edge_agent.cli", "enrol", "-c", path, "--url", "http://127.0.0.1:9", "--token", "x")
    assert done.returncode == 4
    assert "unreachable" in done.stderr


def test_there_is_no_outbox_before_the_first_start(tmp_path: Path) -> None:
    run("edge_agent.cli", "init", str(tmp_path))
    done = run("edge_agent.cli", "outbox", "-c", str(tmp_path / "edge.yaml"))
    assert (done.returncode, done.stdout) == (1, "")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with running_site(tmp_path, "1026701") as running:
        yield running


@pytest.mark.peer
def test_the_life_of_a_box(site: Site) -> None:
    config, campus = str(site.edge_file), str(site.campus_file)

    # The birth of the box and of its device have arrived, and nothing waits.
    eventually(lambda: site.events("EdgeNode/State/Birth"))
    shown = run("edge_agent.cli", "outbox", "-c", config, "--json")
    lanes = json.loads(shown.stdout)["lanes"]
    assert lanes["S"]["accepted"] >= 2
    assert eventually(lambda: _queued(config) == 0)

    status = run("aggregator.cli", "status", "-c", campus, "--json")
    assert (status.returncode, json.loads(status.stdout)["edges_live"]) == (0, 1)

    # A second enrolment token for the same box is refused once used.
    token = run("aggregator.cli", "edge", "add", "gate-1", "-c", campus).stdout.strip()
    url = f"http://127.0.0.1:{site.http_port}"
    assert run("edge_agent.cli", "enrol", "-c", config, "--url", url, "--token", token).returncode == 0
    again = run("edge_agent.cli", "enrol", "-c", config, "--url", url, "--token", token)
    assert again.returncode == 5
    assert "token_used" in again.stderr

    # SIGTERM ends a service cleanly, and what readers made can be made again.
    assert site.edge.stop() == 0
    assert site.aggregator.stop() == 0
    rebuilt = run("aggregator.cli", "readers", "rebuild", "registry", "-c", campus)
    assert rebuilt.returncode == 0, rebuilt.stderr
    assert run("aggregator.cli", "status", "-c", campus).returncode == 4


def _queued(config: str) -> int:
    shown = run("edge_agent.cli", "outbox", "-c", config, "--json")
    return sum(lane["queued"] for lane in json.loads(shown.stdout)["lanes"].values())


@pytest.mark.peer
def test_a_revoked_box_is_refused_and_keeps_what_it_has(site: Site) -> None:
    campus = str(site.campus_file)
    revoked = run("aggregator.cli", "edge", "revoke", "gate-1", "-c", campus)
    assert revoked.returncode == 0
    site.edge.stop()
    site.edge.start()
    eventually(lambda: "refused" in site.edge.log() or "Not authorized" in site.edge.log())
    eventually(lambda: _queued(str(site.edge_file)) >= 2)
    assert site.get("/edges/gate-1")["state"] == "revoked"
