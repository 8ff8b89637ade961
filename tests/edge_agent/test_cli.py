"""How `campus-edge` ends: the exit code that systemd or a script goes by, and one clear line instead of a traceback."""

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edge_agent import OUTBOX_FILE
from edge_agent import app as composition
from edge_agent.check_cli import init_command
from edge_agent.cli import _typed, app
from edge_agent.enrol import EnrolError
from edge_agent.intake import IntakeClosedError
from edge_agent.keys import IdentityKey
from edge_agent.outbox import OutboxDamaged, OutboxGone, OutboxLimits, OutboxStore
from tests.support.clock import VirtualClock, seeded
from wire.i18n import LANGUAGES, Texts


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A box that has joined."""
    init_command(tmp_path, sample="minimal", language="en")
    keys = tmp_path / "keys"
    IdentityKey.create(keys / "edge.key")
    (keys / "campus.key").write_text("00" * 32)
    (keys / "campus.pub").write_text("11" * 32)
    (keys / "broker.password").write_text("s3cret")
    return tmp_path / "edge.yaml"


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Have the agent end with an error, as if it had run."""

    def end_with(error: Exception) -> None:
        async def run_agent(*_: object) -> None:
            raise error

        monkeypatch.setattr(composition, "run_agent", run_agent)

    return end_with


@pytest.fixture(autouse=True)
def _logging_stays_pytests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wire.logs.configure_logging", lambda _level: None)


def campus_edge(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments), "--lang", "en"])


def run(config: Path) -> tuple[int, str]:
    done = campus_edge("run", "-c", config)
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stderr


@pytest.fixture
def opened(config: Path) -> Iterator[OutboxStore]:
    """The outbox of box gate-9 where gate-1 wants its own."""
    folder = config.parent / "data"
    folder.mkdir()
    store = OutboxStore.open(
        folder / OUTBOX_FILE, clock=VirtualClock(), random=seeded(1), edge="gate-9", limits=OutboxLimits()
    )
    yield store
    store.close()


def test_an_outbox_of_another_box_is_left_to_a_person(config: Path, opened: OutboxStore) -> None:
    opened.close()
    code, said = run(config)
    assert code == 78
    assert (
        said == "Stopped: outbox.sqlite: belongs to edge node 'gate-9', not to 'gate-1'; move it away or fix `edge`\n"
    )


def test_an_outbox_that_is_still_open_elsewhere_is_tried_again(config: Path, opened: OutboxStore) -> None:
    assert opened.recovery is None
    code, said = run(config)
    assert code == 1
    assert said == "Stopped: outbox.sqlite.lock: another process has this outbox open\n"


def test_a_data_folder_that_cannot_be_made_is_left_to_a_person(config: Path) -> None:
    (config.parent / "data").write_text("a file where a folder should be")
    code, said = run(config)
    assert code == 78
    assert said == f"Stopped: {config.parent / 'data'}: File exists\n"


@pytest.mark.parametrize("error", [OutboxGone("disk I/O error"), OutboxDamaged("record 7 is not what was written")])
def test_a_disk_that_fails_under_the_running_box_is_one_line(config: Path, stopped, error: OutboxGone) -> None:
    told = IntakeClosedError("not stored")
    stopped(ExceptionGroup("tasks", [told, ExceptionGroup("more", [error])]))
    assert run(config) == (1, f"Stopped: {error}\n")


def test_a_bug_beside_the_failing_disk_keeps_its_traceback(config: Path, stopped) -> None:
    stopped(ExceptionGroup("tasks", [OutboxGone("disk I/O error"), KeyError("ours")]))
    done = campus_edge("run", "-c", config)
    assert isinstance(done.exception, ExceptionGroup)


def test_a_missing_key_file_is_named_with_what_to_do(config: Path) -> None:
    key = config.parent / "keys" / "campus.key"
    key.unlink()
    assert run(config) == (
        78,
        f"A key cannot be read ({key}: No such file or directory); run campus-edge enrol first\n",
    )


def test_a_log_level_that_does_not_exist_is_a_mistake_of_usage(config: Path) -> None:
    done = campus_edge("run", "-c", config, "--log", "shout")
    assert done.exit_code == 2
    assert "DEBUG" in done.stderr


@pytest.mark.parametrize(
    ("url", "code"), [("campus:8000", 2), ("http://127.0.0.1:9", 4), ("http://[::1", 2), ("http:///x", 2)]
)
def test_an_address_where_no_campus_answers_ends_with_its_own_code(config: Path, url: str, code: int) -> None:
    done = campus_edge("enrol", "-c", config, "--url", url, "--token", "x")
    assert done.exit_code == code
    assert "urlopen" not in done.stderr


def test_a_broken_key_is_told_before_the_token_is_used_up(config: Path) -> None:
    (config.parent / "keys" / "edge.key").write_text("not a key")
    done = campus_edge("enrol", "-c", config, "--url", "http://127.0.0.1:9", "--token", "x")
    assert done.exit_code == 1
    assert "(unusable_key)" in done.stderr


def test_a_key_that_cannot_be_kept_is_told_before_the_token_is_used_up(config: Path) -> None:
    text = config.read_text().replace("identity_key_file: keys/edge.key", "identity_key_file: edge.yaml/edge.key")
    config.write_text(text)
    done = campus_edge("enrol", "-c", config, "--url", "http://127.0.0.1:9", "--token", "x")
    assert done.exit_code == 1
    assert "(not_written)" in done.stderr


@pytest.mark.parametrize("language", LANGUAGES)
def test_why_a_box_could_not_join_is_told_in_words(
    config: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    def refused(*_: object, **__: object) -> None:
        raise EnrolError("token_used", "Forbidden")

    monkeypatch.setattr("edge_agent.enrol.enrol", refused)
    done = CliRunner().invoke(
        app, ["enrol", "-c", str(config), "--url", "http://x", "--token", "x", "--lang", language]
    )
    assert done.exit_code == 5
    why, what_to_do = done.stderr.splitlines()
    assert "(token_used)" in why.replace("（", "(").replace("）", ")")
    assert "Forbidden" not in why
    assert "campus-aggregator edge add gate-1" in what_to_do


class _Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_person_is_told_that_the_token_is_waited_for_and_a_pipe_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    assert _typed(_Terminal("enrol_1\n"), Texts("en")) == "enrol_1"
    assert "token" in capsys.readouterr().err
    assert _typed(io.StringIO("enrol_2\n"), Texts("en")) == "enrol_2"
    assert capsys.readouterr().err == ""


def test_a_sample_that_cannot_be_written_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = campus_edge("init", tmp_path / "file" / "box")
    assert done.exit_code == 1
    assert done.stderr == f"{tmp_path / 'file' / 'box' / 'edge.yaml'} cannot be written: Not a directory\n"
