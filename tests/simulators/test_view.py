import io

import pytest
from rich.console import Console

from simulators.campus.tracking import Row
from simulators.campus.view import LiveView, PlainView, ProcessLine, Snapshot, make_view
from simulators.compare import SYSTEMS
from simulators.faults import Harm
from wire.i18n import LANGUAGES, Texts

CLASSES = [
    "access_control",
    "attendance",
    "biometric",
    "one_card",
    "broadcast",
    "payment",
    "video",
    "environment",
    "energy",
]


def snapshot() -> Snapshot:
    names = [f"class.{name}" for name in CLASSES] + [f"system.{name}" for name in SYSTEMS]
    return Snapshot(
        phase="running",
        elapsed_s=12.3,
        left_s=17.7,
        total=Row("", produced=1234, acked=1200, stored=1190),
        rows=[Row(name, produced=7) for name in names],
        processes=[ProcessLine("broker", up=True, kills=2), ProcessLine("gate-1", up=False, kills=0)],
        online=19,
        terminals=20,
        p50_ms=41.4,
        p99_ms=None,
        harms=dict.fromkeys(Harm, 1),
    )


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_table_names_every_group_and_harm_in_both_languages(language: str) -> None:
    out = io.StringIO()
    view = make_view(Console(file=out, force_terminal=True, width=160, color_system=None), Texts(language))
    assert isinstance(view, LiveView)
    view.show(snapshot())
    view.close()
    shown = out.getvalue()
    for part in ("1234", "1190", "44", "● broker (†2)", "○ gate-1", "41 ms", "19/20"):
        assert part in shown


@pytest.mark.parametrize("language", LANGUAGES)
def test_off_a_terminal_there_is_one_plain_line_without_control_characters(language: str) -> None:
    out = io.StringIO()
    view = make_view(Console(file=out, width=40), Texts(language))
    assert isinstance(view, PlainView)
    view.show(snapshot())
    view.close()
    assert out.getvalue().count("\n") == 1
    assert "\x1b" not in out.getvalue()
    assert "1234" in out.getvalue()
