"""`campus-edge init` and `check` as a person types them, and the samples they write."""

import json
import re
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from edge_agent.check_cli import SAMPLES
from edge_agent.cli import app
from edge_agent.settings import EdgeSettings, read_settings
from wire.i18n import LANGUAGES, Texts


def call(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), catch_exceptions=False)


def join(folder: Path) -> None:
    """Put there what enrolment writes."""
    (folder / "keys").mkdir()
    for name in ("edge.key", "campus.key", "campus.pub", "broker.password"):
        (folder / "keys" / name).touch(mode=0o600)


@pytest.fixture(params=SAMPLES)
def sample(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    assert call("init", tmp_path, "--sample", request.param).exit_code == 0
    return tmp_path / "edge.yaml"


def test_what_init_writes_passes_check(sample: Path) -> None:
    assert call("check", "--config", sample, "--strict").exit_code == 0
    loaded = read_settings(sample)
    assert loaded.settings is not None
    assert loaded.settings.data_dir.parent == sample.parent


def test_a_box_that_has_not_joined_yet_is_told_how(sample: Path) -> None:
    shown = call("check", "--config", sample, "--lang", "en")
    assert "campus-edge enrol" in shown.stderr
    join(sample.parent)
    assert call("check", "--config", sample, "--strict", "--lang", "en").stderr == ""


def test_a_sample_speaks_both_languages(sample: Path) -> None:
    remarks = [line for line in sample.read_text(encoding="utf-8").splitlines() if "#" in line]
    assert len(remarks) >= 8
    assert any("\u4e00" <= sign <= "\u9fff" for line in remarks for sign in line)


def test_the_full_sample_has_every_setting() -> None:
    text = (files("edge_agent") / "samples" / "full.yaml").read_text(encoding="utf-8")
    # What is optional and off may stand as a remark.
    uncommented = yaml.safe_load(re.sub("# (tls_|client_id|metrics)", r"\1", text))
    for name, field in EdgeSettings.model_fields.items():
        assert (field.alias or name) in uncommented
    transport = uncommented["channels"][0]["transport"]
    assert {"version", "topic_prefix", "client_id", "password_file"} <= transport.keys()
    assert {"tls_ca", "tls_certificate", "tls_key", "port"} <= uncommented["uplink"].keys()


def test_the_full_sample_states_the_defaults(tmp_path: Path) -> None:
    loaded = {}
    for name in SAMPLES:
        call("init", tmp_path / name, "--sample", name)
        loaded[name] = read_settings(tmp_path / name / "edge.yaml").settings
    full, minimal = loaded["full"], loaded["minimal"]
    assert full is not None
    assert minimal is not None
    assert full.outbox == minimal.outbox
    assert full.clock == minimal.clock


def test_init_overwrites_nothing(tmp_path: Path) -> None:
    (tmp_path / "edge.yaml").write_text("mine", encoding="utf-8")
    shown = call("init", tmp_path, "--lang", "en")
    assert shown.exit_code == 1
    assert "exists" in shown.stderr
    assert (tmp_path / "edge.yaml").read_text(encoding="utf-8") == "mine"


def test_init_makes_the_folder(tmp_path: Path) -> None:
    assert call("init", tmp_path / "etc" / "campus").exit_code == 0
    assert (tmp_path / "etc" / "campus" / "edge.yaml").exists()


def test_init_of_an_unknown_sample_is_a_mistake_of_use(tmp_path: Path) -> None:
    assert call("init", tmp_path, "--sample", "huge").exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_json_has_the_shape_that_is_promised(sample: Path) -> None:
    text = sample.read_text(encoding="utf-8").replace("campus:", "kampus:", 1)
    sample.write_text(text, encoding="utf-8")
    shown = call("check", "-c", sample, "--json", "--lang", "en")
    assert shown.exit_code == 3
    document = json.loads(shown.stdout)
    assert document.keys() == {"schema", "file", "findings"}
    assert document["schema"] == 1
    (finding,) = document["findings"]
    assert finding == {
        "file": str(sample),
        "line": next(number for number, line in enumerate(text.splitlines(), 1) if line.startswith("kampus")),
        "column": 1,
        "severity": "error",
        "code": "unknown_key",
        "params": {"key": "kampus", "nearest": "campus"},
        "message": "unknown key kampus; did you mean campus?",
    }


def test_a_warning_fails_only_under_strict(sample: Path) -> None:
    join(sample.parent)
    key = sample.parent / "keys" / "broker.password"
    key.chmod(0o644)
    shown = call("check", "-c", sample, "--lang", "en")
    assert shown.exit_code == 0
    assert "warning[file_open]" in shown.stdout
    assert "1 finding (warnings: 1)" in shown.stdout
    assert call("check", "-c", sample, "--strict").exit_code == 1
    key.chmod(0o600)
    assert call("check", "-c", sample, "--strict").exit_code == 0


@pytest.mark.parametrize("language", LANGUAGES)
def test_nothing_wrong_is_said_in_so_many_words(sample: Path, language: str) -> None:
    shown = call("check", "-c", sample, "--lang", language)
    assert shown.stdout.strip() == Texts(language)("check.ok", path=sample)


@pytest.mark.parametrize(
    ("tag", "language"), [("zh", "zh-CN"), ("zh_CN.UTF-8", "zh-CN"), ("fr", "en"), ("en_GB", "en")]
)
def test_any_language_is_answered_in_the_nearest_of_ours(sample: Path, tag: str, language: str) -> None:
    shown = call("check", "-c", sample, "--lang", tag)
    assert shown.stdout.strip() == Texts(language)("check.ok", path=sample)


@pytest.mark.parametrize(("command", "code"), [("run", 78), ("outbox", 3), ("enrol --url http://127.0.0.1:9", 3)])
def test_every_command_says_what_is_wrong_with_the_settings(tmp_path: Path, command: str, code: int) -> None:
    path = tmp_path / "edge.yaml"
    path.write_text("schema: 1\n", encoding="utf-8")
    # A process of its own: `run` sets up the logging of all of it.
    arguments = [sys.executable, "-m", "edge_agent.cli", *command.split(), "--config", path, "--lang", "en"]
    ran = subprocess.run(arguments, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=60, check=False)
    assert ran.returncode == code
    assert ran.stdout == ""
    assert "the key campus is missing" in ran.stderr
    assert "the key uplink is missing" in ran.stderr
