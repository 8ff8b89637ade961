"""`campus-profile` as a person types it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from device_profiles.catalogue import SHIPPED
from edge_agent.profile_cli import app
from tests.protocols.cases import HERE as CASES
from wire.i18n import Texts

FACESLUICE = SHIPPED / "biometric" / "facesluice-mqtt.yaml"


def call(*arguments: str | Path, stdin: bytes | None = None) -> Result:
    return CliRunner().invoke(app, list(map(str, arguments)), input=stdin, catch_exceptions=False)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A site's own folder with a profile beside ours."""
    folder = tmp_path / "profiles"
    (folder / "biometric").mkdir(parents=True)
    own = FACESLUICE.read_text(encoding="utf-8").replace("name: facesluice-mqtt", "name: own-terminal")
    (folder / "biometric" / "own-terminal.yaml").write_text(own, encoding="utf-8")
    return folder


def test_list_names_every_shipped_profile() -> None:
    shown = call("list", "--lang", "en")
    assert shown.exit_code == 0
    for path in SHIPPED.glob("*/*.yaml"):
        assert path.stem in shown.stdout


def test_list_as_json_has_the_shape_that_is_promised() -> None:
    document = json.loads(call("list", "--json").stdout)
    assert document["schema"] == 1
    assert document["broken"] == []
    (face,) = [profile for profile in document["profiles"] if profile["name"] == "facesluice-mqtt"]
    assert face["device_class"] == "biometric"
    assert face["contract"] == "acked"
    assert face["systems"] == ["access", "attendance", "biometrics"]
    assert Path(face["file"]) == FACESLUICE


def test_list_shows_a_sites_own_and_tells_a_broken_one(site: Path) -> None:
    (site / "biometric" / "half.yaml").write_text("name: half\n", encoding="utf-8")
    shown = call("list", "--folder", site, "--lang", "en")
    assert shown.exit_code == 0
    assert "own-terminal" in shown.stdout
    assert "facesluice-mqtt" in shown.stdout
    assert "half.yaml" in shown.stderr


@pytest.mark.parametrize("language", ["zh-CN", "en"])
def test_show_tells_what_a_person_must_know(language: str) -> None:
    texts = Texts(language)
    shown = call("show", "facesluice-mqtt", "--lang", language)
    assert shown.exit_code == 0
    for text in (
        "HFSecurity",
        "MQTT Protocol V1.25",
        "verify_status = 1",
        "AccessControl/AccessGranted/Credential",
        "30 … 45",
        "not confirmed on hardware",
        texts("contract.acked"),
        texts("system.biometrics"),
        texts("lane.A"),
    ):
        assert text in shown.stdout


def test_show_prints_what_a_profile_says_as_text_never_as_markup(site: Path) -> None:
    path = site / "biometric" / "own-terminal.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("model: face terminal", "model: '[bold]AC-4[/] :smile:'", 1), encoding="utf-8")
    path.write_text(path.read_text(encoding="utf-8").replace("' with FaceSluice firmware", "'"), encoding="utf-8")
    assert "[bold]AC-4[/] :smile:" in call("show", "own-terminal", "-f", site).stdout


def test_show_as_json_holds_all_of_the_profile() -> None:
    document = json.loads(call("show", "facesluice-mqtt", "--json").stdout)
    assert document["schema"] == 1
    assert document["event_mappings"][0]["when"] == {"verify_status": 1}
    assert document["device_resources"][0]["properties"]["units"] == "Cel"
    assert document["liveness"] == {"interval_s": 40, "missed": 3, "alarm_topic": None}
    assert len(document["caveats"]) >= 1


@pytest.mark.parametrize("command", ["show", "test"])
def test_unknown_name_is_answered_with_the_nearest(command: str) -> None:
    shown = call(command, "facesluise-mqtt", "--lang", "en")
    assert shown.exit_code == 2
    assert shown.stdout == ""
    assert "did you mean facesluice-mqtt?" in shown.stderr


def test_show_of_a_broken_profile_says_what_is_wrong_with_it(site: Path) -> None:
    path = site / "biometric" / "own-terminal.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace("contract: acked", "contract: asked"), encoding="utf-8")
    shown = call("show", "own-terminal", "--folder", site, "--lang", "en")
    assert shown.exit_code == 1
    assert "did you mean acked?" in shown.stderr


# --- check --------------------------------------------------------------------------------------------


def test_check_passes_what_we_ship() -> None:
    shown = call("check", "--lang", "en")
    assert shown.exit_code == 0
    assert "findings: 0" in shown.stdout


def test_check_tells_every_finding_of_every_file(site: Path) -> None:
    (site / "biometric" / "half.yaml").write_text("name: half\n", encoding="utf-8")
    path = site / "biometric" / "own-terminal.yaml"
    text = path.read_text(encoding="utf-8")
    path.write_text(text.replace("Device/Alarm", "Device/Alram").replace("[mask]", "[maks]"), encoding="utf-8")
    shown = call("check", site, "--json")
    assert shown.exit_code == 1
    document = json.loads(shown.stdout)
    assert document["schema"] == 1
    assert sorted(Path(file).name for file in document["files"]) == ["half.yaml", "own-terminal.yaml"]
    found = {(Path(finding["file"]).name, finding["code"]) for finding in document["findings"]}
    assert {
        ("half.yaml", "missing_key"),
        ("own-terminal.yaml", "unknown_topic"),
        ("own-terminal.yaml", "unknown_field"),
    } == found


def test_check_of_one_file(site: Path) -> None:
    assert call("check", site / "biometric" / "own-terminal.yaml").exit_code == 0
    assert call("check", site / "biometric" / "absent.yaml").exit_code == 1


def test_check_finds_a_profile_that_lies_in_no_class_folder(site: Path) -> None:
    shutil.move(site / "biometric" / "own-terminal.yaml", site / "own-terminal.yaml")
    shown = call("check", site, "--lang", "en")
    assert shown.exit_code == 1
    assert "class_is_folder" in shown.stdout


def test_check_that_looked_at_nothing_has_not_passed(tmp_path: Path) -> None:
    assert call("check", tmp_path).exit_code == 1


# --- test ---------------------------------------------------------------------------------------------


def test_all_golden_cases_pass() -> None:
    shown = call("test", "facesluice-mqtt", "--lang", "en")
    assert shown.exit_code == 0, shown.stdout
    folders = sorted((CASES / "facesluice").glob("*/messages.jsonl"))
    assert shown.stdout.count("passed ") == len(folders)
    assert f"{len(folders)} cases, failed: 0" in shown.stdout


def test_a_case_that_fails_shows_the_difference(tmp_path: Path) -> None:
    shutil.copytree(CASES / "facesluice" / "allowed", tmp_path / "facesluice" / "allowed")
    shutil.copytree(CASES / "facesluice" / "refused", tmp_path / "facesluice" / "refused")
    expected = tmp_path / "facesluice" / "allowed" / "expected.json"
    expected.write_text(expected.read_text(encoding="utf-8").replace('"direction": "in"', '"direction": "out"'))
    shown = call("test", "facesluice-mqtt", "--cases", tmp_path, "--lang", "en")
    assert shown.exit_code == 1
    lines = [line.replace(" ", "") for line in shown.stdout.splitlines()]
    assert {"FAILEDallowed", "passedrefused", '-"direction":"out",', '+"direction":"in",'} <= set(lines)


@pytest.mark.parametrize("damage", ["not json", '{"topic": "mqtt/face/1/Rec"}', "[]", '{"topic": "t", "hex": "zz"}'])
def test_a_case_that_cannot_be_read_fails_by_itself(tmp_path: Path, damage: str) -> None:
    shutil.copytree(CASES / "facesluice" / "allowed", tmp_path / "facesluice" / "allowed")
    shutil.copytree(CASES / "facesluice" / "refused", tmp_path / "facesluice" / "refused")
    (tmp_path / "facesluice" / "allowed" / "messages.jsonl").write_text(damage + "\n", encoding="utf-8")
    shown = call("test", "facesluice-mqtt", "--cases", tmp_path, "--lang", "en")
    assert shown.exit_code == 1
    assert "messages.jsonl:1" in shown.stdout
    assert "passed refused" in shown.stdout


def test_what_a_new_case_comes_to_is_written_once_for_a_person_to_read(tmp_path: Path) -> None:
    case = tmp_path / "facesluice" / "allowed"
    shutil.copytree(CASES / "facesluice" / "allowed", case)
    expected = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    (case / "expected.json").unlink()
    assert call("test", "facesluice-mqtt", "--cases", tmp_path).exit_code == 1
    shown = call("test", "facesluice-mqtt", "--cases", tmp_path, "--write", "--lang", "en")
    assert (shown.exit_code, "written allowed" in shown.stdout) == (0, True)
    assert json.loads((case / "expected.json").read_text(encoding="utf-8")) == expected
    (case / "expected.json").write_text("[]", encoding="utf-8")
    assert call("test", "facesluice-mqtt", "--cases", tmp_path, "--write").exit_code == 1
    assert (case / "expected.json").read_text(encoding="utf-8") == "[]"


def test_a_profile_is_not_held_against_the_cases_of_another(tmp_path: Path) -> None:
    shown = call("test", "sdm-meter", "--lang", "en")
    assert (shown.exit_code, "1 case, failed: 0" in shown.stdout) == (0, True)
    for name, owner in (("allowed", "facesluice-mqtt"), ("refused", "another"), ("stranger", None)):
        case = tmp_path / "facesluice" / name
        shutil.copytree(CASES / "facesluice" / name, case)
        (case / "profile").unlink()
        if owner is not None:
            (case / "profile").write_text(f"{owner}\n")
    shown = call("test", "facesluice-mqtt", "--cases", tmp_path, "--lang", "en")
    assert shown.exit_code == 0
    assert [line.split()[1] for line in shown.stdout.splitlines()[:-1]] == ["allowed", "stranger"]


def test_a_profile_is_checked_from_within_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "biometric").mkdir()
    shutil.copy(FACESLUICE, tmp_path / "biometric")
    monkeypatch.chdir(tmp_path / "biometric")
    assert call("check", Path("facesluice-mqtt.yaml")).exit_code == 0


def test_no_cases_is_not_a_pass(tmp_path: Path) -> None:
    assert call("test", "facesluice-mqtt", "--cases", tmp_path).exit_code == 2


def captured(folder: Path, **changes: object) -> Path:
    row = json.loads((CASES / "facesluice" / "card" / "messages.jsonl").read_text(encoding="utf-8").splitlines()[0])
    row["payload"]["info"] |= changes
    path = folder / "payload.json"
    path.write_text(json.dumps(row["payload"]), encoding="utf-8")
    (folder / "topic").write_text(row["topic"], encoding="utf-8")
    return path


def test_a_captured_message_is_shown_as_what_it_becomes(tmp_path: Path) -> None:
    path = captured(tmp_path)
    topic = (tmp_path / "topic").read_text(encoding="utf-8")
    shown = call("test", "facesluice-mqtt", "--topic", topic, "--message", path, "--zone", "Asia/Urumqi")
    assert shown.exit_code == 0
    document = json.loads(shown.stdout)
    assert document["schema"] == 1
    (event,) = document["events"]
    assert event["topic"].startswith("AccessControl/")
    assert event["device_time"]["zone"] == "Asia/Urumqi"
    assert json.loads(
        call("test", "facesluice-mqtt", "--topic", topic, "--message", "-", stdin=path.read_bytes()).stdout
    )


def test_a_captured_message_gives_no_number_of_a_person_or_card_away(tmp_path: Path) -> None:
    path = captured(tmp_path, customId="20268811", RFIDCard="0455667788", personName="ZHANG SAN", telnum="13900001111")
    topic = (tmp_path / "topic").read_text(encoding="utf-8")
    runs = [call("test", "facesluice-mqtt", "--topic", topic, "--message", path).stdout for _ in range(2)]
    for canary in ("20268811", "0455667788", "ZHANG", "13900001111"):
        assert canary not in runs[0]
    # A ref under a key that everybody has would be the number itself for whoever counts through all of them.
    refs = [json.loads(run)["events"][0].get("holder_ref") for run in runs]
    assert None not in refs
    assert refs[0] != refs[1]


def test_bytes_that_make_no_sense_fail(tmp_path: Path) -> None:
    (tmp_path / "payload").write_bytes(b"{")
    arguments = ("test", "facesluice-mqtt", "--message", tmp_path / "payload", "--topic")
    assert call(*arguments, "mqtt/face/1026701/Rec").exit_code == 1
    assert call(*arguments, "elsewhere/1026701").exit_code == 1


def test_topic_and_message_go_together(tmp_path: Path) -> None:
    assert call("test", "facesluice-mqtt", "--topic", "mqtt/face/1/Rec").exit_code == 2
    assert call("test", "facesluice-mqtt", "--message", tmp_path).exit_code == 2


@pytest.mark.parametrize("module", ["edge_agent.cli", "edge_agent.profile_cli"])
def test_help_imports_nothing_heavy(module: str) -> None:
    script = (
        f"import sys\nfrom {module} import app\n"
        "try:\n    app(['--help'])\nexcept SystemExit:\n    pass\n"
        "heavy = {'paho', 'sqlite3', 'pydantic', 'yaml', 'cryptography', 'asyncio', 'msgspec', 'fastapi'}\n"
        "print(','.join(sorted(heavy & {name.partition('.')[0] for name in sys.modules})), file=sys.stderr)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert ran.stderr.strip() == ""
    assert ran.stdout.strip()
