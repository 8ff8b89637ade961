"""`campus-edge outbox` on a terminal of 80 columns, and with names that devices made up."""

from pathlib import Path

import pytest

from edge_agent.outbox_cli import show_outbox
from tests.outbox.making import Box
from wire.i18n import LANGUAGES, Texts
from wire.topics import Lane


@pytest.fixture
def path(tmp_path: Path) -> Path:
    box = Box(tmp_path / "outbox.sqlite")
    box.fill(Lane.D, 12)
    box.store.quarantine("gate-1/[/red]\x1b[31m", "[bold]no\nreason", b"abc")
    box.store.close()
    return box.path


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_fits_into_eighty_columns_with_every_word_whole(
    path: Path, language: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    texts = Texts(language)
    assert show_outbox(path, as_json=False, texts=texts) == 0
    shown = capsys.readouterr().out
    for name in ("accepted", "acknowledged", "queued", "dropped", "quarantined", "oldest"):
        assert texts(f"edge.outbox.{name}") in shown
    assert all(texts(f"lane.{lane}") in shown for lane in Lane)
    assert "…" not in shown


def test_what_a_device_calls_itself_neither_breaks_the_list_nor_speaks_to_the_terminal(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show_outbox(path, as_json=False, texts=Texts("en")) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "reason" in line]
    assert r"gate-1/[/red]\x1b[31m  [bold]no\nreason  3 B" in line
