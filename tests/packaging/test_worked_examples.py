"""The worked examples of docs/new-device.md and docs/new-protocol.md, taken from the pages and done."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import device_profiles.protocols
import edge_agent.codecs
from aggregator.broker import terminal_user
from device_profiles.catalogue import load_catalogue
from device_profiles.protocols import protocol, protocol_names
from edge_agent.cases import play
from edge_agent.codecs import Codec, codec
from edge_agent.profile_cli import app
from edge_agent.settings import read_settings
from tests.broker.test_users import HASH
from tests.settings.test_edge_settings import TEXT

DOCS = Path(__file__).parents[2] / "docs"


def blocks(page: str, language: str) -> list[str]:
    return re.findall(
        rf"^```{language}\n(.*?)^```", (DOCS / page).read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def called(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def case(folder: Path, name: str, line: str) -> Path:
    """A new case, with nothing expected yet."""
    folder.mkdir(parents=True)
    (folder / "messages.jsonl").write_text(line, encoding="utf-8")
    (folder / "profile").write_text(f"{name}\n", encoding="utf-8")
    return folder


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def events(folder: Path) -> list[dict[str, Any]]:
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return [event for line in expected for event in line["events"]]


def test_the_new_device_is_checked_played_and_accepted_by_a_box(tmp_path: Path) -> None:
    profile_text, device_text = blocks("new-device.md", "yaml")
    (line,) = blocks("new-device.md", "json")
    path = written(tmp_path / "profiles" / "attendance" / "canteen-face.yaml", profile_text)
    assert called("check", path).exit_code == 0
    folder = tmp_path / "profiles"
    assert called("show", "canteen-face", "--folder", folder).exit_code == 0
    new = case(tmp_path / "cases" / "facesluice" / "counter", "canteen-face", line)
    options = ("canteen-face", "--folder", folder, "--cases", tmp_path / "cases")
    assert called("test", *options, "--write").exit_code == 0
    assert called("test", *options).exit_code == 0
    (punch,) = events(new)
    assert punch["topic"] == "Attendance/Punch"
    profile = load_catalogue([folder]).profiles["canteen-face"]
    unconditional = {mapping.source for mapping in profile.event_mappings if not mapping.when}
    assert codec("facesluice", Codec).records <= unconditional
    settings = TEXT[: TEXT.index("    devices:")]
    loaded = read_settings(written(tmp_path / "edge.yaml", f"{settings}{device_text}profile_folders: [profiles]\n"))
    assert [finding.code for finding in loaded.findings if finding.code != "file_missing"] == []
    assert loaded.settings is not None


@pytest.fixture
def rooms(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The protocol's modules where Python finds them, as if they lay in their rooms."""
    model, decoder = blocks("new-protocol.md", "python")
    for package, text in ((device_profiles.protocols, model), (edge_agent.codecs, decoder)):
        folder = tmp_path / package.__name__
        written(folder / "acme_lock.py", text)
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    protocol_names.cache_clear()
    yield tmp_path
    monkeypatch.undo()
    protocol_names.cache_clear()


def test_the_new_protocol_is_found_by_its_name_and_played(rooms: Path) -> None:
    (profile_text,) = blocks("new-protocol.md", "yaml")
    (line,) = blocks("new-protocol.md", "json")
    path = written(rooms / "profiles" / "access_control" / "acme-lock.yaml", profile_text)
    assert called("check", path).exit_code == 0
    profile = load_catalogue([rooms / "profiles"]).profiles["acme-lock"]
    assert codec("acme-lock", Codec).records == protocol("acme-lock").messages.keys()
    new = case(rooms / "cases" / "acme_lock" / "battery", "acme-lock", line)
    assert play(profile, new, write=True).written
    assert play(profile, new).diff == ()
    (event,) = events(new)
    assert (event["topic"], event["values"]) == ("Device/State/Notice", {"percent": 87})
    topics = protocol("acme-lock").topics
    assert topics is not None
    user = terminal_user("locks", topics, topics.prefix, HASH)
    assert [grant.topic for grant in user.grants] == ["lock/+/battery", "lock/+/set"]
